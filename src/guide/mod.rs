//! How to use the program: the pages that the README leads to.

#[doc = include_str!("commands.md")]
pub mod commands {}

#[doc = include_str!("video.md")]
pub mod video {}

#[doc = include_str!("browser.md")]
pub mod browser {}

#[doc = include_str!("effort.md")]
pub mod effort {}

#[doc = include_str!("models.md")]
pub mod models {}

#[doc = include_str!("boards.md")]
pub mod boards {}

#[doc = include_str!("limits.md")]
pub mod limits {}

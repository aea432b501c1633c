//! Where frames come from and go to, as URIs: text to specs. Nothing is opened here and no file is looked at.
//!
//! Names are taken as they stand, but for `%3F` and `%25`, which are `?` and `%`; other `%` begin a number.

mod duration;
mod parts;
mod sink;
mod source;

pub use duration::parse_duration;
pub use parts::UriError;
pub(in crate::io) use sink::SinkSpec;
pub use sink::SinkUri;
pub use source::SourceUri;
pub(in crate::io) use source::{SourceSpec, TestSpec};

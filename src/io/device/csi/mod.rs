//! `csi://`: cameras on the board's own connector, through the program that the board's maker has for them.

#[cfg(unix)]
mod program;
#[cfg(unix)]
pub(super) mod source;
pub(in crate::io) mod spec;

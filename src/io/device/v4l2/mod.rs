//! `v4l2://`: cameras as sources, and devices that take frames as sinks.

#[cfg(all(target_os = "linux", feature = "v4l2"))]
pub(in crate::io) mod capture;
#[cfg(all(target_os = "linux", feature = "v4l2"))]
pub(super) mod fourcc;
#[cfg(all(target_os = "linux", feature = "v4l2"))]
mod negotiate;
#[cfg(all(target_os = "linux", feature = "v4l2"))]
pub(super) mod output;
pub(in crate::io) mod spec;

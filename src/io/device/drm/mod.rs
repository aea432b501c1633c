//! `drm://`: displays without a desktop.

#[cfg(all(target_os = "linux", feature = "drm"))]
pub(super) mod screen;
#[cfg(all(target_os = "linux", feature = "drm"))]
pub(super) mod sink;
pub(in crate::io) mod spec;

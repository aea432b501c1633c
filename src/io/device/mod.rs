//! Devices, a folder for each kind, called as in its URIs: `v4l2://`, `csi://`, `drm://`, `fb://`, `spi://`.
//!
//! Each has its plain spec in `spec.rs`, which is there on every system so that URIs can be judged, and its driver
//! beside it, which is there where it was built. A new device is a folder with both, a line of `factory`, and its
//! words in `uri`.

pub(in crate::io) mod csi;
pub(in crate::io) mod drm;
pub(in crate::io) mod factory;
#[cfg(all(target_os = "linux", feature = "drm"))]
mod fb;
#[cfg(all(target_os = "linux", feature = "drm"))]
mod screen;
pub(in crate::io) mod spi;
pub(in crate::io) mod survey;
pub(in crate::io) mod v4l2;

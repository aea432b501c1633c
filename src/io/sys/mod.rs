//! Devices of Linux: cameras, displays, and what they need of the kernel; the state of streams. The one part of the module that may
//! hold unsafe code, which is calls of the kernel and memory that it lends.

#[cfg(any(feature = "v4l2", feature = "drm"))]
pub(super) mod clock;
#[cfg(feature = "drm")]
pub(super) mod fb;
#[cfg(feature = "spi")]
pub(super) mod spi;
pub mod streams;
#[cfg(feature = "v4l2")]
pub(super) mod v4l2;

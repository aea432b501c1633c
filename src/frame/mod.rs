//! Pixel formats, views of frames, and the arithmetic that turns rows of pixels into luma and back.

mod chroma;
mod colour;
#[cfg(feature = "cli")]
mod deep;
mod enlarge;
mod fit;
mod luma;
mod packing;
#[cfg(feature = "cli")]
mod plain;
mod plane;
mod rgb;
mod view;
#[cfg(feature = "cli")]
mod weigh;
#[cfg(feature = "cli")]
mod window;
mod yuv;

pub use chroma::Chroma;
pub use colour::Colour;
#[cfg(feature = "cli")]
pub use deep::{Deep, DeepFilter};
pub use enlarge::Enlarger;
pub use fit::{Fit, Fitter};
pub use luma::luma_row;
pub use packing::{Bits, Packer, PixelBits};
#[cfg(feature = "cli")]
pub use plain::Plain;
pub use plane::{Axis, PlaneFilter};
pub use rgb::ToRgb;
pub use view::{Plane, PlaneMut};
#[cfg(feature = "cli")]
pub use weigh::Weigh;
pub use yuv::{Conversion, FrameFormat, Layout, Matrix, Range, Siting, YuvFormat};

/// Interleaved 8-bit pixel formats; a row is `width * channels` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PixelFormat {
    /// One byte: grey.
    Gray8,
    /// Two bytes: grey, alpha.
    GrayAlpha8,
    /// Three bytes: red, green, blue.
    Rgb8,
    /// Four bytes: red, green, blue, alpha (not premultiplied).
    Rgba8,
}

impl PixelFormat {
    /// Bytes of a pixel.
    pub const fn channels(self) -> usize {
        match self {
            Self::Gray8 => 1,
            Self::GrayAlpha8 => 2,
            Self::Rgb8 => 3,
            Self::Rgba8 => 4,
        }
    }

    /// Are there red, green and blue?
    pub const fn has_colour(self) -> bool {
        matches!(self, Self::Rgb8 | Self::Rgba8)
    }

    /// Does the last byte hold alpha?
    pub const fn has_alpha(self) -> bool {
        matches!(self, Self::GrayAlpha8 | Self::Rgba8)
    }
}

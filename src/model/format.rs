//! How a picture lies in the tensors of a network in floats, and what its numbers mean.

use super::load::Shape;
use crate::geom::Size;

/// What the numbers of a picture are, in and out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Range {
    /// 0 to 1.
    #[serde(rename = "0..1")]
    One,
    /// 0 to 255.
    #[serde(rename = "0..255")]
    Bytes,
    /// -1 to 1.
    #[serde(rename = "-1..1")]
    Signed,
}

impl Range {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::One, Self::Bytes, Self::Signed];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::One => "0..1",
            Self::Bytes => "0..255",
            Self::Signed => "-1..1",
        }
    }

    /// The number that stands for a byte.
    pub fn exact(self, byte: u8) -> f64 {
        let v = f64::from(byte);
        match self {
            Self::One => v / 255.0,
            Self::Bytes => v,
            Self::Signed => v / 127.5 - 1.0,
        }
    }

    /// The inverse of [`Range::exact`], not rounded.
    pub fn steps_of(self, real: f64) -> f64 {
        match self {
            Self::One => real * 255.0,
            Self::Bytes => real,
            Self::Signed => (real + 1.0) * 127.5,
        }
    }

    pub(super) fn real(self, byte: u8) -> f32 {
        let v = f32::from(byte);
        match self {
            Self::One => v / 255.0,
            Self::Bytes => v,
            Self::Signed => v / 127.5 - 1.0,
        }
    }

    pub(super) fn steps(self, real: f32) -> f32 {
        match self {
            Self::One => real * 255.0,
            Self::Bytes => real,
            Self::Signed => (real + 1.0) * 127.5,
        }
    }

    /// The nearest byte; what lies beyond the range is clamped, and what is no number is 0.
    pub(super) fn byte(self, real: f32) -> u8 {
        self.steps(real).round_ties_even().clamp(0.0, 255.0) as u8
    }
}

impl std::str::FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|r| r.name() == text)
            .ok_or_else(|| format!("'{text}' is not one of 0..1, 0..255, -1..1"))
    }
}

/// Order of the colours of a network that sees three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Red first.
    Rgb,
    /// Blue first, as OpenCV has it.
    Bgr,
}

impl Order {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rgb => "rgb",
            Self::Bgr => "bgr",
        }
    }
}

impl std::str::FromStr for Order {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Rgb, Self::Bgr].into_iter().find(|order| order.name() == text);
        known.ok_or_else(|| format!("'{text}' is not one of rgb, bgr"))
    }
}

/// Channels before rows and columns, or after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Batch, channels, rows, columns.
    Nchw,
    /// Batch, rows, columns, channels.
    Nhwc,
}

impl Layout {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nchw => "nchw",
            Self::Nhwc => "nhwc",
        }
    }

    pub(super) fn shape(self, channels: usize, size: Size) -> Shape {
        match self {
            Self::Nchw => [1, channels, size.height, size.width],
            Self::Nhwc => [1, size.height, size.width, channels],
        }
    }

    /// Channels and size of a tensor of one picture.
    pub(super) fn read(self, shape: &[usize]) -> Option<(usize, Size)> {
        match (self, shape) {
            (Self::Nchw, &[1, c, h, w]) | (Self::Nhwc, &[1, h, w, c]) => Some((c, Size::new(w, h))),
            _ => None,
        }
    }

    /// Numbers of the axes of rows and columns.
    pub(super) const fn axes(self) -> [usize; 2] {
        match self {
            Self::Nchw => [2, 3],
            Self::Nhwc => [1, 2],
        }
    }
}

/// How a network is given a picture and gives one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// Of the input and of the output.
    pub layouts: [Layout; 2],
    /// 1 (luma) or 3.
    pub channels: usize,
    /// What the numbers mean.
    pub range: Range,
    /// Order of colours.
    pub order: Order,
}

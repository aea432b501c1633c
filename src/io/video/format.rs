//! The formats that pixels come in, from files, pipes and devices: the one list of them.
//!
//! A new one is a variant, its row of [`VideoFormat::NAMES`], its layout and, where its samples take turns, its order
//! of them; `packing` and `raw` do the rest. What a camera calls it stands in `device/v4l2`.

use std::str::FromStr;

use crate::frame::{FrameFormat, Layout, Matrix, Range, Siting};
use crate::geom::Size;

/// How the samples of a frame lie in memory or in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VideoFormat {
    /// Luma, then Cb and Cr in turn, both of half the width and height.
    Nv12,
    /// Luma, Cb, Cr; chroma of half the width and height.
    Yuv420p,
    /// Luma, Cb, Cr; chroma of half the width.
    Yuv422p,
    /// Luma, Cb, Cr, all of one size.
    Yuv444p,
    /// Rows of Y, Cb, Y, Cr.
    Yuyv,
    /// Rows of Cb, Y, Cr, Y.
    Uyvy,
    /// Luma, in full range.
    Gray,
    /// Red, green, blue.
    Rgb24,
    /// A JPEG file for each frame.
    Mjpeg,
}

impl VideoFormat {
    /// What each is called in a URI: the name that is printed, then others that are understood.
    const NAMES: [(Self, &'static [&'static str]); 9] = [
        (Self::Nv12, &["nv12"]),
        (Self::Yuv420p, &["yuv420p", "yu12", "i420"]),
        (Self::Yuv422p, &["yuv422p"]),
        (Self::Yuv444p, &["yuv444p"]),
        (Self::Yuyv, &["yuyv", "yuyv422", "yuy2"]),
        (Self::Uyvy, &["uyvy", "uyvy422"]),
        (Self::Gray, &["gray", "grey"]),
        (Self::Rgb24, &["rgb24"]),
        (Self::Mjpeg, &["mjpeg", "mjpg"]),
    ];

    /// Name in a URI.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(format, _)| *format == self).map_or("", |(_, names)| names[0])
    }

    /// Names of all that `choose` takes, for messages.
    pub(in crate::io) fn list(choose: impl Fn(Self) -> bool) -> String {
        let names = Self::NAMES.iter().filter(|(format, _)| choose(*format)).map(|(_, names)| names[0]);
        names.collect::<Vec<_>>().join(", ")
    }

    /// The planes that a frame of this format becomes.
    pub const fn layout(self) -> Layout {
        match self {
            Self::Nv12 | Self::Yuv420p => Layout::Yuv420,
            Self::Yuv422p | Self::Yuyv | Self::Uyvy => Layout::Yuv422,
            Self::Yuv444p | Self::Mjpeg => Layout::Yuv444,
            Self::Gray => Layout::Gray,
            Self::Rgb24 => Layout::Rgb,
        }
    }

    /// Do frames lie in a file or pipe one after the other, all of one length?
    pub const fn is_raw(self) -> bool {
        !matches!(self, Self::Mjpeg)
    }

    /// Does a raw frame hold the bytes of [`FrameFormat::planes`] as they are?
    pub const fn is_planar(self) -> bool {
        !matches!(self, Self::Nv12 | Self::Yuyv | Self::Uyvy | Self::Mjpeg)
    }

    /// Frames of this format. Cameras give limited BT.601 with chroma on the left.
    pub fn frame(self, size: Size, matrix: Option<Matrix>, range: Option<Range>) -> FrameFormat {
        let layout = self.layout();
        let usual = if layout.has_chroma() { Range::Limited } else { Range::Full };
        FrameFormat {
            size,
            bits: 8,
            layout,
            siting: Siting::Left,
            matrix: matrix.unwrap_or(Matrix::Bt601),
            range: range.unwrap_or(usual),
        }
    }

    /// Where Y, Cb, Y and Cr lie in a group of four bytes; `None` where samples do not take turns so.
    pub(in crate::io) const fn order(self) -> Option<[usize; 4]> {
        match self {
            Self::Yuyv => Some([0, 1, 2, 3]),
            Self::Uyvy => Some([1, 0, 3, 2]),
            _ => None,
        }
    }
}

impl FromStr for VideoFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = |names: &[&str]| names.iter().any(|name| text.eq_ignore_ascii_case(name));
        let found = Self::NAMES.iter().find(|(_, names)| known(names)).map(|(format, _)| *format);
        found.ok_or_else(|| format!("'{text}' is not a pixel format; {} are", Self::list(|_| true)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_to_its_format_and_one_is_printed() {
        for (format, names) in VideoFormat::NAMES {
            for name in names {
                assert_eq!(name.parse(), Ok(format));
                assert_eq!(name.to_ascii_uppercase().parse(), Ok(format));
            }
            assert_eq!(format.name().parse(), Ok(format));
        }
        assert_eq!("grey".parse::<VideoFormat>().map(VideoFormat::name), Ok("gray"));
        assert!("p010".parse::<VideoFormat>().unwrap_err().contains("nv12"));
    }
}

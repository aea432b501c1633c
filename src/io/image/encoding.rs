//! Formats that can be written, and what each can hold.

use std::path::Path;
use std::str::FromStr;

use super::picture::Animation;
use crate::frame::PixelFormat;
use crate::geom::Size;
use crate::io::error::mib;
use crate::io::limits::{MAX_WHOLE_BYTES, whole_bytes, whole_limit};

/// A format of pictures to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// PNG, row by row.
    Png,
    /// Binary PPM (P6), row by row. Grey is written as colour.
    Ppm,
    /// Binary PGM (P5), row by row. Grey only.
    Pgm,
    /// PPM or PGM, as the picture has it.
    Pnm,
    /// JPEG, quality 95, held whole.
    Jpeg,
    /// Lossless WebP, held whole.
    WebP,
    /// BMP, held whole.
    Bmp,
    /// TIFF, held whole.
    Tiff,
    /// GIF of at most 256 colours for each picture, which is held whole.
    Gif,
}

impl Encoding {
    /// Extensions, each with its format.
    const NAMES: [(&'static str, Self); 13] = [
        ("png", Self::Png),
        ("ppm", Self::Ppm),
        ("pgm", Self::Pgm),
        ("pnm", Self::Pnm),
        ("jpg", Self::Jpeg),
        ("jpeg", Self::Jpeg),
        ("jfif", Self::Jpeg),
        ("jpe", Self::Jpeg),
        ("webp", Self::WebP),
        ("bmp", Self::Bmp),
        ("tif", Self::Tiff),
        ("tiff", Self::Tiff),
        ("gif", Self::Gif),
    ];

    /// The format that a file name tells.
    pub fn of_path(path: &Path) -> Option<Self> {
        path.extension()?.to_str()?.parse().ok()
    }

    /// The usual extension.
    pub fn extension(self) -> &'static str {
        Self::NAMES.iter().find(|(_, encoding)| *encoding == self).map_or("png", |(name, _)| name)
    }

    /// Why this format cannot hold such a picture.
    pub(in crate::io) fn refusal(self, size: Size, format: PixelFormat) -> Option<String> {
        let name = self.extension();
        if format.has_alpha() && matches!(self, Self::Jpeg | Self::Ppm | Self::Pgm | Self::Pnm) {
            return Some(format!("the picture has transparency, which .{name} cannot hold; use .png"));
        }
        if self == Self::Pgm && format.channels() > 1 {
            return Some("the picture has colour, which .pgm cannot hold; use .ppm or .png".into());
        }
        let side = match self {
            Self::Jpeg | Self::Gif => 65_535,
            Self::WebP => 16_383,
            _ => u32::MAX as usize >> 1,
        };
        if size.width > side || size.height > side {
            return Some(format!("{size} is too large for .{name} (at most {side}x{side}); use .png"));
        }
        self.too_much(size, self.stored(format))
    }

    fn too_much(self, size: Size, stored: PixelFormat) -> Option<String> {
        let streams = matches!(self, Self::Png | Self::Ppm | Self::Pgm | Self::Pnm);
        let needed = whole_bytes(size, stored.channels());
        if streams || needed <= MAX_WHOLE_BYTES.min(whole_limit()) {
            return None;
        }
        let limit = mib(whole_limit());
        let name = self.extension();
        Some(format!(
            "{size} takes {} as a whole, the limit is {limit}; .{name} cannot be written row by row, use .png",
            mib(needed)
        ))
    }

    /// Why this format cannot hold such an animation.
    pub(in crate::io) fn refuses_animation(self, animation: Animation) -> Option<String> {
        let (frames, name) = (animation.frames, self.extension());
        let holds = matches!(self, Self::Gif | Self::Png);
        (!holds).then(|| format!("an animation of {frames} pictures, which .{name} cannot hold; use .gif or .png"))
    }

    /// Can it hold 16 bits a sample?
    pub(in crate::io) fn holds_deep(self) -> bool {
        matches!(self, Self::Png | Self::Tiff | Self::Ppm | Self::Pgm | Self::Pnm)
    }

    /// How the pixels lie in the file: some formats know grey, or grey with alpha, only as colour.
    pub(in crate::io) fn stored(self, format: PixelFormat) -> PixelFormat {
        match (self, format) {
            (Self::Ppm, PixelFormat::Gray8) => PixelFormat::Rgb8,
            (Self::WebP | Self::Bmp | Self::Tiff | Self::Gif, PixelFormat::GrayAlpha8) => PixelFormat::Rgba8,
            (Self::Gif, PixelFormat::Gray8) => PixelFormat::Rgb8,
            _ => format,
        }
    }
}

/// A name that is no format.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not a format that can be written; use png, ppm, pgm, pnm, jpg, webp, bmp, tif or gif")]
pub struct UnknownEncoding(String);

impl FromStr for Encoding {
    type Err = UnknownEncoding;

    fn from_str(text: &str) -> Result<Self, UnknownEncoding> {
        let known = Self::NAMES.iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
        known.map(|(_, encoding)| *encoding).ok_or_else(|| UnknownEncoding(text.to_string()))
    }
}

/// Grey spread to colour: `from` and `to` are formats as [`Encoding::stored`] pairs them.
pub(in crate::io) fn spread<T: Copy>(row: &[T], from: PixelFormat, to: PixelFormat, out: &mut Vec<T>) {
    match (from, to) {
        (PixelFormat::Gray8, PixelFormat::Rgb8) => out.extend(row.iter().flat_map(|&g| [g; 3])),
        (PixelFormat::GrayAlpha8, PixelFormat::Rgba8) => {
            out.extend(row.chunks_exact(2).flat_map(|p| [p[0], p[0], p[0], p[1]]));
        }
        _ => out.extend_from_slice(row),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found() {
        assert_eq!(Encoding::of_path(Path::new("a/b.JPEG")), Some(Encoding::Jpeg));
        assert_eq!(Encoding::of_path(Path::new("a/b")), None);
        assert_eq!("TIFF".parse::<Encoding>().unwrap().extension(), "tif");
        assert!("heic".parse::<Encoding>().is_err());
    }

    #[test]
    fn refuses_what_the_format_cannot_hold() {
        let small = Size::new(2, 2);
        assert!(Encoding::Jpeg.refusal(small, PixelFormat::Rgba8).unwrap().contains("use .png"));
        assert!(Encoding::Pgm.refusal(small, PixelFormat::Rgb8).unwrap().contains("colour"));
        assert!(Encoding::WebP.refusal(Size::new(20_000, 1), PixelFormat::Rgb8).unwrap().contains("16383"));
        assert!(Encoding::Tiff.refusal(Size::new(40_000, 40_000), PixelFormat::Rgb8).unwrap().contains("MiB"));
        assert!(Encoding::Png.refusal(Size::new(60_000, 60_000), PixelFormat::Rgba8).is_none());
    }
}

//! The rows of a picture: who lends them, who takes them, and what travels beside them.

use super::density::{Density, scale_exif};
use crate::frame::PixelFormat;
use crate::geom::Size;
use crate::io::error::{ReadError, WriteError};

/// Lends the rows of a picture, top to bottom.
pub trait Source: Send {
    /// Width and height.
    fn size(&self) -> Size;

    /// Layout of the rows; a row is `size().width * format().channels()` bytes.
    fn format(&self) -> PixelFormat;

    /// What the file carries beside pixels.
    fn metadata(&self) -> &Metadata;

    /// The next row; `None` once all rows were lent and the end of the picture proved intact.
    fn next_row(&mut self) -> Result<Option<&[u8]>, ReadError>;

    /// The row that was lent last in the 16 bits of the file; nothing unless [`Metadata::deep`].
    fn deep_row(&self) -> &[u16] {
        &[]
    }

    /// Goes on to the next picture of an animation, whose rows follow; `false` after the last.
    fn next_frame(&mut self) -> Result<bool, ReadError> {
        Ok(false)
    }

    /// Bytes of pixels that it holds until all rows are lent: of pictures that cannot be read row by row.
    fn held_bytes(&self) -> usize {
        0
    }

    /// How long the picture of an animation is seen.
    fn delay(&self) -> Delay {
        Delay { parts: 0, of: 100 }
    }
}

/// Takes the rows of a picture, top to bottom.
///
/// A sink that is dropped before [`Sink::finish`] leaves no file behind.
pub trait Sink: Send {
    /// Takes the next row.
    fn write_row(&mut self, row: &[u8]) -> Result<(), WriteError>;

    /// Does it take 16 bits a sample, by [`Sink::write_deep_row`] alone?
    fn is_deep(&self) -> bool {
        false
    }

    /// Takes the next row in 16 bits a sample.
    fn write_deep_row(&mut self, row: &[u16]) -> Result<(), WriteError> {
        self.write_row(&eight_bits(row))
    }

    /// The rows of the next picture of an animation follow, which is seen for so long.
    fn begin_frame(&mut self, _: Delay) {}

    /// Completes the file and gives it its name.
    ///
    /// # Errors
    ///
    /// When rows are missing, or the rest cannot be written.
    fn finish(self: Box<Self>) -> Result<(), WriteError>;
}

/// How an animation is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Animation {
    /// Its pictures.
    pub frames: u32,
    /// How often it is played; `None` is for ever.
    pub plays: Option<u32>,
}

/// How long a picture is seen, in seconds, as a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    /// Parts.
    pub parts: u16,
    /// Parts of a second; not 0.
    pub of: u16,
}

/// Samples of a whole picture.
pub(super) enum Samples {
    Eight(Vec<u8>),
    Sixteen(Vec<u16>),
}

/// What travels with the pixels.
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    /// ICC profile, only if it describes the colours as the rows hold them.
    pub icc: Option<Vec<u8>>,
    /// EXIF block as TIFF bytes, its orientation already applied and reset.
    pub exif: Option<Vec<u8>>,
    /// Colour chunks of a PNG, which mean something to a PNG only.
    pub png: PngColour,
    /// Pixels to an inch of the print.
    pub density: Option<Density>,
    /// Have samples 16 bits?
    pub deep: bool,
    /// How it is played, if it is an animation.
    pub animation: Option<Animation>,
}

/// Colour chunks of a PNG without an ICC profile.
#[derive(Clone, Copy, Debug, Default)]
pub struct PngColour {
    pub(super) gamma: Option<::png::ScaledFloat>,
    pub(super) chromaticities: Option<::png::SourceChromaticities>,
    pub(super) srgb: Option<::png::SrgbRenderingIntent>,
}

/// `sample` of 0..=`max` rounded to 0..=255.
pub(super) fn to_eight_bits(sample: u32, max: u32) -> u8 {
    ((sample.min(max) * 255 + max / 2) / max) as u8
}

/// Samples of 16 bits, rounded to 8.
pub(super) fn eight_bits(row: &[u16]) -> Vec<u8> {
    row.iter().map(|sample| to_eight_bits((*sample).into(), 65_535)).collect()
}

impl Metadata {
    /// That of a picture `scale` times as wide and high.
    pub fn scaled(&self, scale: usize) -> Self {
        let mut scaled = self.clone();
        scaled.density = self.density.map(|density| density.scaled(scale));
        if let Some(exif) = &mut scaled.exif {
            scale_exif(exif, scale);
        }
        scaled
    }

    /// Drops a profile for another kind of colours than `format`, as that of a CMYK picture given as RGB.
    pub(super) fn keep_matching_profile(&mut self, format: PixelFormat) {
        let space: &[u8] = if format.channels() < 3 { b"GRAY" } else { b"RGB " };
        self.icc.take_if(|icc| icc.get(16..20) != Some(space));
    }
}

//! The rows of a picture: who lends them, who takes them, and what travels beside them.

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
}

/// Takes the rows of a picture, top to bottom.
///
/// A sink that is dropped before [`Sink::finish`] leaves no file behind.
pub trait Sink: Send {
    /// Takes the next row.
    fn write_row(&mut self, row: &[u8]) -> Result<(), WriteError>;

    /// Completes the file and gives it its name.
    ///
    /// # Errors
    ///
    /// When rows are missing, or the rest cannot be written.
    fn finish(self: Box<Self>) -> Result<(), WriteError>;
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
}

/// Colour chunks of a PNG without an ICC profile.
#[derive(Clone, Copy, Debug, Default)]
pub struct PngColour {
    pub(super) gamma: Option<::png::ScaledFloat>,
    pub(super) chromaticities: Option<::png::SourceChromaticities>,
    pub(super) srgb: Option<::png::SrgbRenderingIntent>,
}

impl Metadata {
    /// Drops a profile for another kind of colours than `format`, as that of a CMYK picture given as RGB.
    pub(super) fn keep_matching_profile(&mut self, format: PixelFormat) {
        let space: &[u8] = if format.channels() < 3 { b"GRAY" } else { b"RGB " };
        self.icc.take_if(|icc| icc.get(16..20) != Some(space));
    }
}

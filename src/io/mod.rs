//! Pictures in and out, one row at a time.
//!
//! A [`Source`] lends the rows of a picture from top to bottom, a [`Sink`] takes them. PNG, PPM and PGM stream in
//! both directions, in memory that does not grow with the height, from and to files and pipes. The other formats
//! (JPEG, WebP, BMP, TIFF, interlaced PNG, text PNM) are held whole, below a limit that is checked against the
//! header before anything is allocated.
//!
//! Samples are 8 bits; deeper ones are rounded to 8 with a warning. Grey stays grey and alpha stays alpha. The
//! orientation that a camera wrote down is applied, so rows are always in viewing order. ICC profile and EXIF
//! travel from source to sink where both formats can carry them. Of an animation the first picture is taken.

#[cfg(all(target_os = "linux", feature = "v4l2"))]
mod camera;
mod clip;
#[cfg(unix)]
mod csi;
mod destination;
mod devices;
#[cfg(all(target_os = "linux", feature = "drm"))]
mod display;
mod encoding;
mod error;
#[cfg(all(target_os = "linux", feature = "drm"))]
mod framebuffer;
mod guard;
mod input;
mod limits;
#[cfg(all(target_os = "linux", feature = "v4l2"))]
mod loopback;
mod mjpg;
mod output;
#[cfg(all(target_os = "linux", feature = "spi"))]
mod panel;
mod pattern;
mod place;
mod png;
mod pnm;
mod raw;
mod sequence;
mod survey;
#[cfg(all(target_os = "linux", any(feature = "v4l2", feature = "drm", feature = "spi")))]
mod sys;
mod unpack;
mod uri;
mod whole;
mod y4m;

pub use clip::{Arrival, Clip, FrameSink, FrameSource, Rate, Shown, Troubles};
pub use devices::{Controller, PanelSpec, Turn};
pub use encoding::Encoding;
pub use error::{CreateError, OpenError, ReadError, WriteError};
pub use guard::decoding;
pub use input::{Picture, is_picture_name, open, open_stream};
pub use limits::{MAX_SIDE, MAX_WHOLE_BYTES};
pub use mjpg::MjpgDecoder;
pub use output::Output;
#[cfg(all(target_os = "linux", feature = "spi"))]
pub use panel::{PanelSink, Wires};
pub use pattern::{TestSource, read_counter};
pub use place::{Place, same_file};
pub use raw::RawFormat;
pub use survey::{Camera, CameraFormat, CameraSize, Display, Output as VideoOutput, PanelBus, Survey, Unusable};
pub use uri::{SinkUri, SourceUri, UriError, parse_duration};
pub use y4m::Y4mSource;

use crate::frame::PixelFormat;
use crate::geom::Size;

/// Bytes of the buffer in front of a file or pipe of frames.
pub const PORT_BYTES: usize = 1 << 16;

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
    gamma: Option<::png::ScaledFloat>,
    chromaticities: Option<::png::SourceChromaticities>,
    srgb: Option<::png::SrgbRenderingIntent>,
}

impl Metadata {
    /// Drops a profile for another kind of colours than `format`, as that of a CMYK picture given as RGB.
    fn keep_matching_profile(&mut self, format: PixelFormat) {
        let space: &[u8] = if format.channels() < 3 { b"GRAY" } else { b"RGB " };
        self.icc.take_if(|icc| icc.get(16..20) != Some(space));
    }
}

//! Animations: GIF, APNG and WebP, picture by picture with their times.
//!
//! Each decoder gives whole pictures, as they are seen, one after the other in one buffer. When a file is opened all of them are
//! decoded once: that tells how many there are and whether any is transparent, which goes before the first picture of the
//! output, and finds damage before anything is written.

mod apng;
mod canvas;
mod gif;
mod sink;
mod webp;

use std::io::Cursor;
use std::sync::Arc;

use super::{Animation, Delay, Metadata, Source};
use crate::frame::PixelFormat;
use crate::geom::Size;
use crate::io::error::{Fault, OpenError, ReadError};
use crate::io::fence::fenced;
use crate::io::limits::{can_get, check_whole};
pub(super) use sink::AnimationSink;

/// A file in memory, for any number of readers.
type Bytes = Cursor<Arc<[u8]>>;

/// Pixels of all pictures together: two thousand of 1920x1080, and a small file cannot ask for hours of work.
const MOST_PIXELS: u64 = 1 << 32;

/// Decodes an animation.
trait Frames: Send {
    /// Decodes the next picture, and says how long it is seen; `None` after the last.
    fn next(&mut self) -> Result<Option<Delay>, Fault>;

    /// The pixels of that picture: red, green, blue and alpha.
    fn pixels(&self) -> &[u8];

    /// How often it is played.
    fn plays(&self) -> Option<u32>;
}

/// Formats that can be animated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Gif,
    Png,
    WebP,
}

fn begin(kind: Kind, bytes: &Arc<[u8]>) -> Result<(Size, Box<dyn Frames>), Fault> {
    let bytes = Cursor::new(Arc::clone(bytes));
    Ok(match kind {
        Kind::Gif => gif::open(bytes)?,
        Kind::Png => apng::open(bytes)?,
        Kind::WebP => webp::open(bytes)?,
    })
}

struct AnimationSource {
    frames: Box<dyn Frames>,
    name: String,
    size: Size,
    format: PixelFormat,
    metadata: Metadata,
    delay: Delay,
    next: usize,
    row: Vec<u8>,
}

/// Opens an animation, or a single picture of a format that can be animated.
pub(super) fn open(
    bytes: Vec<u8>,
    size: Size,
    kind: Kind,
    mut metadata: Metadata,
    name: &str,
) -> Result<Box<dyn Source>, OpenError> {
    // The canvas, and a part that may be as large; for a moment a part in both forms.
    check_whole(name, size, 8)?;
    can_get(12 * size.area() as u64 + bytes.len() as u64).map_err(|error| OpenError::io(name, error))?;
    let bytes: Arc<[u8]> = bytes.into();
    let (frames, plays, opaque) = fenced(|| count(kind, &bytes, size)).map_err(|fault| fault.open(name))?;
    if frames == 0 {
        return Err(OpenError::Corrupt { file: name.into(), reason: "there is no picture in it".into() });
    }
    metadata.animation = (frames > 1).then_some(Animation { frames, plays });
    let format = if opaque { PixelFormat::Rgb8 } else { PixelFormat::Rgba8 };
    metadata.keep_matching_profile(format);
    let (_, mut frames) = fenced(|| begin(kind, &bytes)).map_err(|fault| fault.open(name))?;
    let first = fenced(|| frames.next()).map_err(|fault| fault.open(name))?;
    let delay = first.unwrap_or(Delay { parts: 0, of: 100 });
    let row = vec![0; size.width * format.channels()];
    Ok(Box::new(AnimationSource { frames, name: name.into(), size, format, metadata, delay, next: 0, row }))
}

/// Pictures, plays, and whether all are opaque.
fn count(kind: Kind, bytes: &Arc<[u8]>, size: Size) -> Result<(u32, Option<u32>, bool), Fault> {
    let (found, mut frames) = begin(kind, bytes)?;
    if found != size {
        return Err(Fault::bad("its parts have other sizes than its header says"));
    }
    let (mut number, mut opaque) = (0, true);
    while frames.next()?.is_some() {
        number += 1;
        if u64::from(number) * size.area() as u64 > MOST_PIXELS {
            return Err(Fault::bad(format!("an animation of more than {number} pictures of {size} is too long")));
        }
        opaque = opaque && frames.pixels().chunks_exact(4).all(|pixel| pixel[3] == 255);
    }
    Ok((number, frames.plays(), opaque))
}

/// Size of a GIF, from its header.
pub(super) fn gif_size(bytes: &[u8]) -> Option<Size> {
    let [w1, w2, h1, h2] = *bytes.get(6..10)?.first_chunk()?;
    Some(Size::new(u16::from_le_bytes([w1, w2]).into(), u16::from_le_bytes([h1, h2]).into()))
}

/// Size of a WebP and what it carries, if it is an animation.
pub(super) fn animated_webp(bytes: &[u8]) -> Option<(Size, Metadata)> {
    fenced(|| webp::about(bytes)).ok()?
}

impl Source for AnimationSource {
    fn size(&self) -> Size {
        self.size
    }

    fn format(&self) -> PixelFormat {
        self.format
    }

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn next_row(&mut self) -> Result<Option<&[u8]>, ReadError> {
        let width = 4 * self.size.width;
        let Some(row) = self.frames.pixels().get(self.next * width..(self.next + 1) * width) else { return Ok(None) };
        self.next += 1;
        let channels = self.format.channels();
        for (to, pixel) in self.row.chunks_exact_mut(channels).zip(row.chunks_exact(4)) {
            to.copy_from_slice(&pixel[..channels]);
        }
        Ok(Some(&self.row))
    }

    fn next_frame(&mut self) -> Result<bool, ReadError> {
        let delay = fenced(|| self.frames.next()).map_err(|fault| fault.read(&self.name))?;
        (self.next, self.delay) = (0, delay.unwrap_or(self.delay));
        Ok(delay.is_some())
    }

    fn held_bytes(&self) -> usize {
        self.frames.pixels().len()
    }

    fn delay(&self) -> Delay {
        self.delay
    }
}

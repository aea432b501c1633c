//! Animated WebP in.

use std::io::Cursor;

use image::metadata::Orientation;
use image_webp::{DecodingError, LoopCount, WebPDecoder};

use super::{Bytes, Delay, Frames};
use crate::geom::Size;
use crate::io::error::Fault;
use crate::io::image::Metadata;

struct WebP {
    decoder: WebPDecoder<Bytes>,
    decoded: Vec<u8>,
    pixels: Vec<u8>,
}

/// Size and metadata, if this is an animation.
pub(super) fn about(bytes: &[u8]) -> Result<Option<(Size, Metadata)>, Fault> {
    let mut decoder = WebPDecoder::new(Cursor::new(bytes))?;
    if !decoder.is_animated() {
        return Ok(None);
    }
    let (width, height) = decoder.dimensions();
    let mut exif = decoder.exif_metadata().ok().flatten();
    if let Some(bytes) = &mut exif {
        let _ = Orientation::remove_from_exif_chunk(bytes);
    }
    let icc = decoder.icc_profile().ok().flatten();
    Ok(Some((Size::new(width as usize, height as usize), Metadata { icc, exif, ..Metadata::default() })))
}

pub(super) fn open(bytes: Bytes) -> Result<(Size, Box<dyn Frames>), Fault> {
    let decoder = WebPDecoder::new(bytes)?;
    let (width, height) = decoder.dimensions();
    let size = Size::new(width as usize, height as usize);
    let decoded = vec![0; decoder.output_buffer_size().ok_or_else(|| Fault::bad("damaged WebP: too large"))?];
    Ok((size, Box::new(WebP { decoder, decoded, pixels: vec![0; 4 * size.area()] })))
}

impl Frames for WebP {
    fn next(&mut self) -> Result<Option<Delay>, Fault> {
        let Self { decoder, decoded, pixels } = self;
        let milliseconds = match decoder.read_frame(decoded) {
            Ok(milliseconds) => milliseconds,
            Err(DecodingError::NoMoreFrames) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let channels = if decoder.has_alpha() { 4 } else { 3 };
        for (to, pixel) in pixels.chunks_exact_mut(4).zip(decoded.chunks_exact(channels)) {
            to[3] = 255;
            to[..channels].copy_from_slice(pixel);
        }
        // 24 bits of milliseconds; what 16 cannot hold is said in larger parts.
        let delay = match u16::try_from(milliseconds) {
            Ok(parts) => Delay { parts, of: 1000 },
            Err(_) => Delay { parts: milliseconds.div_ceil(1000).min(65_535) as u16, of: 1 },
        };
        Ok(Some(delay))
    }

    fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    fn plays(&self) -> Option<u32> {
        match self.decoder.loop_count() {
            LoopCount::Forever => None,
            LoopCount::Times(times) => Some(u32::from(times.get())),
        }
    }
}

impl From<DecodingError> for Fault {
    fn from(error: DecodingError) -> Self {
        match error {
            DecodingError::IoError(error) => error.into(),
            other => Self::bad(format!("damaged WebP: {other}")),
        }
    }
}

//! GIF in.

use ::gif::{ColorOutput, DecodeOptions, Decoder, DecodingError, DisposalMethod, MemoryLimit, Repeat};

use super::canvas::{Canvas, Disposal, Part};
use super::{Bytes, Delay, Frames, gif_size};
use crate::geom::Size;
use crate::io::error::Fault;

struct Gif {
    decoder: Decoder<Bytes>,
    canvas: Canvas,
}

pub(super) fn open(bytes: Bytes) -> Result<(Size, Box<dyn Frames>), Fault> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::RGBA);
    // No part is larger than the whole.
    let whole = gif_size(&bytes.get_ref()[..]).map_or(0, |size| 4 * size.area() as u64);
    options.set_memory_limit(MemoryLimit::Bytes(whole.try_into().unwrap_or(std::num::NonZeroU64::MIN)));
    let decoder = options.read_info(bytes)?;
    let size = Size::new(decoder.width().into(), decoder.height().into());
    Ok((size, Box::new(Gif { decoder, canvas: Canvas::new(size) })))
}

impl Frames for Gif {
    fn next(&mut self) -> Result<Option<Delay>, Fault> {
        let Some(frame) = self.decoder.read_next_frame()? else { return Ok(None) };
        let size = Size::new(frame.width.into(), frame.height.into());
        let part = Part { left: frame.left.into(), top: frame.top.into(), size };
        let disposal = match frame.dispose {
            DisposalMethod::Any | DisposalMethod::Keep => Disposal::Keep,
            DisposalMethod::Background => Disposal::Clear,
            DisposalMethod::Previous => Disposal::Restore,
        };
        self.canvas.draw(&frame.buffer, part, true, disposal)?;
        Ok(Some(Delay { parts: frame.delay, of: 100 }))
    }

    fn pixels(&self) -> &[u8] {
        self.canvas.pixels()
    }

    fn plays(&self) -> Option<u32> {
        match self.decoder.repeat() {
            Repeat::Infinite => None,
            // The file says how often it is repeated.
            Repeat::Finite(times) => Some(u32::from(times) + 1),
        }
    }
}

impl From<DecodingError> for Fault {
    fn from(error: DecodingError) -> Self {
        match error {
            DecodingError::Io(error) => error.into(),
            other => Self::bad(format!("damaged GIF: {other}")),
        }
    }
}

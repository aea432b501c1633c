//! Animated PNG in.

use ::png::{BlendOp, ColorType, DecodeOptions, Decoder, DisposeOp, Reader, Transformations};

use super::canvas::{Canvas, Disposal, Part};
use super::{Bytes, Delay, Frames};
use crate::geom::Size;
use crate::io::error::Fault;

struct Apng {
    reader: Reader<Bytes>,
    canvas: Canvas,
    left: u32,
    plays: Option<u32>,
    decoded: Vec<u8>,
    pixels: Vec<u8>,
}

pub(super) fn open(bytes: Bytes) -> Result<(Size, Box<dyn Frames>), Fault> {
    let mut options = DecodeOptions::default();
    // By default a damaged picture would be passed over.
    options.set_skip_ancillary_crc_failures(false);
    let mut decoder = Decoder::new_with_options(bytes, options);
    decoder.set_transformations(Transformations::EXPAND | Transformations::ALPHA | Transformations::STRIP_16);
    let mut reader = decoder.read_info()?;
    let info = reader.info();
    let size = Size::new(info.width as usize, info.height as usize);
    let control = info.animation_control.ok_or_else(|| Fault::bad("damaged PNG: this is no animation"))?;
    let mut decoded = vec![0; reader.output_buffer_size().ok_or_else(|| Fault::bad("damaged PNG: too large"))?];
    if reader.info().frame_control.is_none() {
        // A picture for programs that know no animations, which is no part of this one.
        reader.next_frame(&mut decoded)?;
    }
    let plays = (control.num_plays > 0).then_some(control.num_plays);
    let (canvas, left) = (Canvas::new(size), control.num_frames);
    Ok((size, Box::new(Apng { reader, canvas, left, plays, decoded, pixels: Vec::new() })))
}

impl Frames for Apng {
    fn next(&mut self) -> Result<Option<Delay>, Fault> {
        let Self { reader, canvas, left, decoded, pixels, .. } = self;
        if *left == 0 {
            return Ok(None);
        }
        *left -= 1;
        let output = reader.next_frame(decoded)?;
        let bytes = &decoded[..output.buffer_size()];
        pixels.clear();
        match output.color_type {
            ColorType::GrayscaleAlpha => pixels.extend(bytes.chunks_exact(2).flat_map(|p| [p[0], p[0], p[0], p[1]])),
            ColorType::Rgba => pixels.extend_from_slice(bytes),
            _ => return Err(Fault::bad("damaged PNG: the palette is missing")),
        }
        let frame =
            reader.info().frame_control.ok_or_else(|| Fault::bad("damaged PNG: a frame says nothing of itself"))?;
        let size = Size::new(frame.width as usize, frame.height as usize);
        let part = Part { left: frame.x_offset as usize, top: frame.y_offset as usize, size };
        let disposal = match frame.dispose_op {
            DisposeOp::None => Disposal::Keep,
            DisposeOp::Background => Disposal::Clear,
            DisposeOp::Previous => Disposal::Restore,
        };
        canvas.draw(pixels, part, frame.blend_op == BlendOp::Over, disposal)?;
        // The standard's 0 stands for hundredths.
        let of = if frame.delay_den == 0 { 100 } else { frame.delay_den };
        Ok(Some(Delay { parts: frame.delay_num, of }))
    }

    fn pixels(&self) -> &[u8] {
        self.canvas.pixels()
    }

    fn plays(&self) -> Option<u32> {
        self.plays
    }
}

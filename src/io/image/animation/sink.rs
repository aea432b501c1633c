//! GIF and animated PNG out. Each picture is held whole until its last row has come.

use ::gif::{EncodingError, Frame, Repeat};

use super::{Animation, Delay};
use crate::frame::PixelFormat;
use crate::geom::Size;
use crate::io::destination::{Destination, Out};
use crate::io::error::WriteError;
use crate::io::image::encoding::spread;
use crate::io::image::png::{self, failure};
use crate::io::image::{Metadata, Sink};
use crate::io::limits::can_get;

/// How much the choice of 256 colours may take: 1 is best, 30 quickest.
const SPEED: i32 = 10;

enum Encoder {
    Gif(Box<::gif::Encoder<Out>>),
    Png(Box<::png::Writer<Out>>),
}

/// Writes pictures one after the other, one is enough for GIF.
pub(in crate::io::image) struct AnimationSink {
    /// Before `destination`, so that it is dropped first.
    encoder: Encoder,
    destination: Destination,
    size: Size,
    from: PixelFormat,
    to: PixelFormat,
    pixels: Vec<u8>,
    /// Pictures that are to come, the one in hand included.
    left: u32,
    delay: Delay,
    /// Seconds until the end of the picture in hand, and hundredths that were written for those before.
    time: f64,
    hundredths: u64,
}

impl AnimationSink {
    /// A GIF.
    pub(in crate::io::image) fn gif(
        destination: Destination,
        size: Size,
        from: PixelFormat,
        metadata: &Metadata,
    ) -> Result<Self, WriteError> {
        let to = if from.has_alpha() { PixelFormat::Rgba8 } else { PixelFormat::Rgb8 };
        // `Encoding::refusal` has seen to the sides.
        let encoder = ::gif::Encoder::new(destination.out(), size.width as u16, size.height as u16, &[]);
        let mut encoder = encoder.map_err(|error| gif_failure(&destination, error))?;
        if let Some(Animation { plays, .. }) = metadata.animation {
            let repeat = match plays {
                None => Some(Repeat::Infinite),
                Some(plays) => u16::try_from(plays - 1).ok().filter(|again| *again > 0).map(Repeat::Finite),
            };
            repeat
                .map_or(Ok(()), |repeat| encoder.set_repeat(repeat))
                .map_err(|error| gif_failure(&destination, error))?;
        }
        Self::new(Encoder::Gif(Box::new(encoder)), destination, size, (from, to), metadata)
    }

    /// An animated PNG.
    pub(in crate::io::image) fn png(
        destination: Destination,
        size: Size,
        format: PixelFormat,
        metadata: &Metadata,
    ) -> Result<Self, WriteError> {
        let begun = png::encoder(destination.out(), size, format, false, metadata).and_then(|mut encoder| {
            if let Some(Animation { frames, plays }) = metadata.animation {
                encoder.set_animated(frames, plays.unwrap_or(0))?;
            }
            encoder.write_header()
        });
        let writer = begun.map_err(|error| failure(&destination, error))?;
        Self::new(Encoder::Png(Box::new(writer)), destination, size, (format, format), metadata)
    }

    fn new(
        encoder: Encoder,
        destination: Destination,
        size: Size,
        (from, to): (PixelFormat, PixelFormat),
        metadata: &Metadata,
    ) -> Result<Self, WriteError> {
        let bytes = size.area() * to.channels();
        // The picture, and what an encoder makes of it beside.
        can_get(3 * bytes as u64).map_err(|error| destination.failed(error))?;
        let (pixels, delay) = (Vec::with_capacity(bytes), Delay { parts: 0, of: 100 });
        let left = metadata.animation.map_or(1, |animation| animation.frames);
        Ok(Self { encoder, destination, size, from, to, pixels, left, delay, time: 0.0, hundredths: 0 })
    }

    /// Writes the picture in hand.
    fn write(&mut self) -> Result<(), WriteError> {
        let Self { encoder, destination, pixels, size, to, delay, time, hundredths, .. } = self;
        match encoder {
            Encoder::Png(writer) => {
                let timed = writer.set_frame_delay(delay.parts, delay.of);
                timed.and_then(|()| writer.write_image_data(pixels)).map_err(|error| failure(destination, error))?;
            }
            Encoder::Gif(encoder) => {
                let (width, height) = (size.width as u16, size.height as u16);
                let mut frame = if to.has_alpha() {
                    // It knows whole transparency only.
                    pixels.chunks_exact_mut(4).for_each(|p| {
                        let seen = p[3] >= 128;
                        p[3] = if seen { 255 } else { 0 };
                        if !seen {
                            p[..3].fill(0);
                        }
                    });
                    Frame::from_rgba_speed(width, height, pixels, SPEED)
                } else {
                    Frame::from_rgb_speed(width, height, pixels, SPEED)
                };
                // Hundredths that were rounded off are made up for, so that the whole keeps its time.
                *time += f64::from(delay.parts) / f64::from(delay.of);
                frame.delay = ((*time * 100.0).round() as u64).saturating_sub(*hundredths).min(65_535) as u16;
                *hundredths += u64::from(frame.delay);
                if to.has_alpha() {
                    frame.dispose = ::gif::DisposalMethod::Background;
                }
                encoder.write_frame(&frame).map_err(|error| gif_failure(destination, error))?;
            }
        }
        self.left -= 1;
        self.pixels.clear();
        Ok(())
    }
}

fn gif_failure(destination: &Destination, error: EncodingError) -> WriteError {
    match error {
        EncodingError::Io(error) => destination.failed(error),
        other => destination.refused(&other.to_string()),
    }
}

impl Sink for AnimationSink {
    fn begin_frame(&mut self, delay: Delay) {
        self.delay = delay;
    }

    fn write_row(&mut self, row: &[u8]) -> Result<(), WriteError> {
        if self.left == 0 {
            return Err(self.destination.refused("more pictures than the animation has"));
        }
        spread(row, self.from, self.to, &mut self.pixels);
        match self.pixels.len() == self.size.area() * self.to.channels() {
            true => self.write(),
            false => Ok(()),
        }
    }

    fn finish(self: Box<Self>) -> Result<(), WriteError> {
        let Self { encoder, destination, left, .. } = *self;
        if left > 0 {
            return Err(destination.refused("rows are missing"));
        }
        match encoder {
            Encoder::Gif(encoder) => drop(encoder.into_inner().map_err(|error| gif_failure(&destination, error))?),
            Encoder::Png(writer) => writer.finish().map_err(|error| failure(&destination, error))?,
        }
        destination.commit()
    }
}

//! Whole frames in the caller's memory.

use std::convert::Infallible;
use std::ops::Range;

use super::{Engine, FrameError, PushError, Watch};
use crate::frame::{Chroma, Plane, PlaneMut, ToRgb, YuvFormat};
use crate::geom::Size;

/// Bytes of a pixel of RGB.
const RGB: usize = 3;

impl Engine {
    /// Upscales a whole frame from and to memory of the caller's, read where it lies. `input` and `output` have the planes of
    /// the format that the engine is prepared for, in its order: one of [`Options::format`](crate::Options::format), or those of
    /// [`Options::yuv`](crate::Options::yuv); with [`Options::rgb`](crate::Options::rgb) the output is one of RGB. Sizes are those
    /// of the frame and of [`Engine::output_size`]. A frame that was pushed in part is forgotten. With
    /// [`Options::still`](crate::Options::still), what has not changed is not written.
    pub fn upscale(&mut self, input: &[Plane<'_>], output: &mut [PlaneMut<'_>]) -> Result<(), FrameError> {
        self.check(input, output)?;
        if self.pushed > 0 {
            self.reset();
        }
        self.begin_frame();
        let done = self.make_or_keep(input, output);
        self.end_frame();
        done
    }

    fn make_or_keep(&mut self, input: &[Plane<'_>], output: &mut [PlaneMut<'_>]) -> Result<(), FrameError> {
        let Some(mut watch) = self.watch.take() else { return self.make(input, output, None) };
        let any = self.look(&mut watch, input, 1);
        let done = if any { self.make(input, output, Some(&watch)) } else { Ok(()) };
        if done.is_err() {
            watch.forget();
        }
        self.watch = Some(watch);
        done
    }

    /// Makes a frame, of which what stands still is left as it is.
    fn make(
        &mut self,
        input: &[Plane<'_>],
        output: &mut [PlaneMut<'_>],
        watch: Option<&Watch>,
    ) -> Result<(), FrameError> {
        // Lent to the rows of luma, which go through the rest of the engine.
        let (mut chroma, mut rgb) = (self.chroma.take(), self.rgb.take());
        let done = self.make_with(input, output, watch, chroma.as_mut(), rgb.as_mut());
        (self.chroma, self.rgb) = (chroma, rgb);
        done.map_err(|error| FrameError::Network(error.network()))
    }

    fn make_with(
        &mut self,
        input: &[Plane<'_>],
        output: &mut [PlaneMut<'_>],
        watch: Option<&Watch>,
        mut chroma: Option<&mut Chroma>,
        mut rgb: Option<&mut ToRgb>,
    ) -> Result<(), PushError<Infallible>> {
        let (size, channels) = (self.options.size, self.options.format.channels());
        let (scale, first, packed) = (self.scale, self.first_chroma(), self.first_chroma() == 0);
        let of_chroma: heapless::Vec<Plane<'_>, 2> = match (watch, &chroma) {
            (Some(watch), Some(of)) => {
                (first..first + of.planes()).map(|plane| Plane::new(watch.held(plane), of.input_shape().0)).collect()
            }
            _ => input[first..].iter().copied().collect(),
        };
        let luma = (size.width * channels, size.width * channels * scale);
        let (row_bytes, made) = match (&chroma, &rgb) {
            (Some(chroma), None) if packed => (chroma.input_shape().0, chroma.output_shape().0),
            (_, Some(_)) => (luma.0, RGB * size.width * scale),
            _ => luma,
        };
        // Luma that takes turns with chroma is every second byte.
        let mut apart = chroma.as_mut().filter(|_| packed).map(|chroma| std::mem::take(&mut chroma.luma));
        let mut done = Ok(());
        for source in 0..size.height {
            let mut source = match watch {
                Some(watch) => &watch.held(0)[source * row_bytes..][..row_bytes],
                None => input[0].row(source, row_bytes),
            };
            if let Some(luma) = &mut apart {
                luma.iter_mut().zip(source.iter().step_by(2)).for_each(|(to, from)| *to = *from);
                source = luma;
            }
            done = self.push_row(source, |y, row| -> Result<(), Infallible> {
                let out = output[0].row(y, made);
                if let (Some(rgb), Some(chroma)) = (&mut rgb, &mut chroma) {
                    rgb.begin(y, chroma, &of_chroma);
                }
                let mut put = |columns: Range<usize>| match &rgb {
                    Some(rgb) => rgb.write(row, columns, out),
                    None if packed => {
                        take_turns(&row[columns.clone()], &mut out[2 * columns.start..], columns.end == row.len());
                    }
                    None => out[columns.clone()].copy_from_slice(&row[columns]),
                };
                match watch {
                    None => put(0..row.len()),
                    Some(watch) => watch
                        .ranges(y / scale)
                        .for_each(|columns| put(columns.start * scale * channels..columns.end * scale * channels)),
                }
                Ok(())
            });
            if done.is_err() {
                break;
            }
        }
        let Some(chroma) = chroma else { return done };
        if let Some(luma) = apart {
            chroma.luma = luma;
        }
        if let (Ok(()), None, Some(format)) = (&done, rgb, self.options.yuv) {
            let (_, down) = format.layout().subsampling();
            let made = |y| watch.is_none_or(|watch| watch.ranges(y * down / scale).next().is_some());
            chroma.upscale(&of_chroma, &mut output[first..], made);
        }
        done
    }

    /// The first plane that holds chroma, where there is chroma.
    fn first_chroma(&self) -> usize {
        usize::from(!self.options.yuv.is_some_and(YuvFormat::is_packed))
    }

    /// Bytes of a row of a plane of the input, and its rows.
    fn input_shape(&self, plane: usize) -> (usize, usize) {
        let Size { width, height } = self.options.size;
        let chroma = self.chroma.as_ref().filter(|_| plane >= self.first_chroma());
        chroma.map_or((width * self.options.format.channels(), height), Chroma::input_shape)
    }

    /// Bytes of a row of a plane of the output, and its rows.
    fn output_shape(&self, plane: usize) -> (usize, usize) {
        let Size { width, height } = self.output_size();
        if self.rgb.is_some() {
            return (RGB * width, height);
        }
        let chroma = self.chroma.as_ref().filter(|_| plane >= self.first_chroma());
        chroma.map_or((width * self.options.format.channels(), height), Chroma::output_shape)
    }

    /// Are the planes those of the format, and large enough?
    fn check(&self, input: &[Plane<'_>], output: &[PlaneMut<'_>]) -> Result<(), FrameError> {
        let needed = self.chroma.as_ref().map_or(1, |chroma| self.first_chroma() + chroma.planes());
        let made = if self.rgb.is_some() { 1 } else { needed };
        for (given, needed) in [(input.len(), needed), (output.len(), made)] {
            if given != needed {
                return Err(FrameError::Planes { given, needed });
            }
        }
        for (plane, input) in input.iter().enumerate() {
            let (row_bytes, rows) = self.input_shape(plane);
            if !input.holds(row_bytes, rows) {
                return Err(FrameError::Input { plane, rows, row_bytes });
            }
        }
        for (plane, output) in output.iter().enumerate() {
            let (row_bytes, rows) = self.output_shape(plane);
            if !output.holds(row_bytes, rows) {
                return Err(FrameError::Output { plane, rows, row_bytes });
            }
        }
        Ok(())
    }
}

/// Writes luma to every second byte; the filler at the end of an odd row is its last sample.
fn take_turns(luma: &[u8], out: &mut [u8], ends: bool) {
    out.iter_mut().step_by(2).zip(luma).for_each(|(to, from)| *to = *from);
    if let (true, Some(last), Some(filler)) = (ends, luma.last(), out.get_mut(2 * luma.len())) {
        *filler = *last;
    }
}

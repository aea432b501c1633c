//! Whole frames in the caller's memory.

use std::convert::Infallible;
use std::ops::Range;

use super::{Engine, FrameError, Watch};
use crate::frame::{Chroma, Plane, PlaneMut, YuvFormat};
use crate::geom::Size;

impl Engine {
    /// Upscales a whole frame from and to memory of the caller's, read where it lies. `input` and `output` have the planes of
    /// the format that the engine is prepared for, in its order: one of [`Options::format`], or those of [`Options::yuv`].
    /// Sizes are those of the frame and of [`Engine::output_size`]. A frame that was pushed in part is forgotten. With
    /// [`Options::still`], what has not changed is not written.
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
        let (size, channels) = (self.options.size, self.options.format.channels());
        let (scale, first) = (self.scale, self.first_chroma());
        // Luma that takes turns with chroma is every second byte.
        let mut apart = self.chroma.as_mut().filter(|_| first == 0).map(|chroma| std::mem::take(&mut chroma.luma));
        let [(row_bytes, _), (made, _)] = [self.input_shape(0), self.output_shape(0)];
        let packed = apart.is_some();
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
                let mut put = |columns: Range<usize>| match packed {
                    true => take_turns(&row[columns.clone()], &mut out[2 * columns.start..], columns.end == row.len()),
                    false => out[columns.clone()].copy_from_slice(&row[columns]),
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
        if let (Some(chroma), Some(luma)) = (&mut self.chroma, apart) {
            chroma.luma = luma;
        }
        done.map_err(|error| FrameError::Network(error.network()))?;
        let Some(chroma) = &mut self.chroma else { return Ok(()) };
        match (watch, self.options.yuv) {
            (Some(watch), Some(format)) => {
                let (from, _) = chroma.input_shape();
                let planes: heapless::Vec<Plane<'_>, 2> =
                    (first..first + chroma.planes()).map(|plane| Plane::new(watch.held(plane), from)).collect();
                let (_, down) = format.layout().subsampling();
                chroma.upscale(&planes, &mut output[first..], |y| watch.ranges(y * down / scale).next().is_some());
            }
            _ => chroma.upscale(&input[first..], &mut output[first..], |_| true),
        }
        Ok(())
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
        let chroma = self.chroma.as_ref().filter(|_| plane >= self.first_chroma());
        chroma.map_or((width * self.options.format.channels(), height), Chroma::output_shape)
    }

    /// Are the planes those of the format, and large enough?
    fn check(&self, input: &[Plane<'_>], output: &[PlaneMut<'_>]) -> Result<(), FrameError> {
        let needed = self.chroma.as_ref().map_or(1, |chroma| self.first_chroma() + chroma.planes());
        for given in [input.len(), output.len()] {
            if given != needed {
                return Err(FrameError::Planes { given, needed });
            }
        }
        for plane in 0..needed {
            let (row_bytes, rows) = self.input_shape(plane);
            if !input[plane].holds(row_bytes, rows) {
                return Err(FrameError::Input { plane, rows, row_bytes });
            }
            let (row_bytes, rows) = self.output_shape(plane);
            if !output[plane].holds(row_bytes, rows) {
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

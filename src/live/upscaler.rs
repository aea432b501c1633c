//! One whole frame: luma through the network, chroma through the bicubic filter, conversion where the sink asks.

use std::convert::Infallible;

use super::overlay::{InfoText, Numbers, Overlay, Thermometer};
use crate::engine::Engine;
use crate::frame::{
    Axis, Chroma, Conversion, FrameFormat, Layout, PixelFormat, Plane, PlaneFilter, PlaneMut, Range, luma_row,
};

/// How the engine has to be prepared for frames of `from`: it sees grey, or RGB where there is no luma.
pub fn engine_format(from: &FrameFormat) -> PixelFormat {
    if from.layout == Layout::Rgb { PixelFormat::Rgb8 } else { PixelFormat::Gray8 }
}

/// Upscales frames; allocates nothing after it is made.
pub struct Upscaler {
    engine: Engine,
    from: FrameFormat,
    to: FrameFormat,
    /// Nothing where the result has none.
    chroma: Option<Chroma>,
    /// For the left half of the picture when it is compared.
    bicubic: Option<PlaneFilter>,
    work: RowWork,
    overlay: Option<Overlay>,
}

/// What a finished row of the engine goes through.
struct RowWork {
    conversion: Option<Conversion>,
    /// Luma and chroma of the source's range in that of the result.
    range: Option<Box<[[u8; 256]; 2]>>,
    /// One enlarged row of Cb and of Cr, for RGB.
    chroma: [Vec<u8>; 2],
    /// The row with its bicubic half.
    split: Vec<u8>,
}

/// Planes of chroma, and channels of each.
const PLANES: (usize, usize) = (2, 1);

/// Factors between frames of `from` and frames of `to`.
fn scale(from: &FrameFormat, to: &FrameFormat) -> usize {
    to.size.width / from.size.width
}

impl Upscaler {
    /// Bytes that an upscaler takes beside its engine.
    pub fn bytes(from: &FrameFormat, to: &FrameFormat, compare: bool) -> usize {
        let chroma = Chroma::bytes(PLANES, from, to) + 2 * to.size.width;
        let axis = Axis::centred(scale(from, to));
        let channels = engine_format(from).channels();
        let split = PlaneFilter::bytes(channels, from.size, axis, axis) + to.size.width * channels;
        chroma + if compare { split } else { 0 } + Conversion::BYTES + 2 * 256
    }

    /// `engine` is prepared for `from.size` and [`engine_format`], `to` is what a sink takes of its output.
    pub fn new(engine: Engine, from: FrameFormat, to: FrameFormat, compare: bool) -> Self {
        let (times, level) = (scale(&from, &to), engine.level());
        let converted = from.layout.has_chroma() && to.layout == Layout::Rgb;
        let kept = from.layout.has_chroma() && from.layout == to.layout;
        let chroma = (converted || kept).then(|| Chroma::new(PLANES, &from, &to, level));
        let channels = engine_format(&from).channels();
        let axis = Axis::centred(times);
        let bicubic = compare.then(|| PlaneFilter::new(channels, from.size, to.size, axis, axis, level));
        let conversion = match (from.layout, to.layout) {
            (Layout::Rgb, Layout::Yuv444) => Some(Conversion::from_rgb(to.matrix, to.range)),
            _ if converted => Some(Conversion::to_rgb(from.matrix, from.range)),
            _ => None,
        };
        // Luma of RGB is made in full range.
        let given = if from.layout == Layout::Rgb { Range::Full } else { from.range };
        let differs = conversion.is_none() && to.layout != Layout::Rgb && given != to.range;
        let range = differs.then(|| Box::new([given.luma_in(to.range), given.chroma_in(to.range)]));
        let row = |used: bool, bytes: usize| vec![0; if used { bytes } else { 0 }];
        let pair = [row(converted, to.size.width), row(converted, to.size.width)];
        let split = row(compare, to.size.width * channels);
        let work = RowWork { conversion, range, chroma: pair, split };
        Self { engine, from, to, chroma, bicubic, work, overlay: None }
    }

    /// Draws `text` on every frame of a run.
    pub fn with_info(mut self, text: InfoText, thermometer: Thermometer) -> Self {
        self.overlay = Some(Overlay::new(text, thermometer, self.to));
        self
    }

    /// Draws what is to be drawn on an upscaled frame.
    pub(super) fn annotate(&mut self, out: &mut [u8], numbers: impl FnOnce() -> Numbers) {
        if let Some(overlay) = &mut self.overlay {
            overlay.draw(out, numbers);
        }
    }

    /// Bytes of the frames that go in and come out.
    pub fn frame_bytes(&self) -> (usize, usize) {
        (self.from.bytes(), self.to.bytes())
    }

    /// Upscales `frame` into `out`; both have the bytes of their formats.
    ///
    /// # Errors
    ///
    /// If the network runs in floats and fails.
    pub fn run(&mut self, frame: &[u8], out: &mut [u8]) -> Result<(), String> {
        let Self { engine, from, to, chroma, bicubic, work, .. } = self;
        let [first, cb, cr] = from.planes(frame);
        let chroma_planes = [cb, cr].map(|plane| Plane::new(plane, from.chroma().width));
        let planes = from.layout == to.layout;
        let mut out = to.planes_mut(out);
        if let (true, Some(filter)) = (planes, chroma.as_mut()) {
            let [_, cb_out, cr_out] = &mut out;
            let mut to = [cb_out, cr_out].map(|plane| PlaneMut::new(plane, to.chroma().width));
            filter.upscale(&chroma_planes, &mut to);
            if let Some([_, table]) = work.range.as_deref() {
                out[1..].iter_mut().for_each(|plane| through(table, plane));
            }
        }
        let channels = engine_format(from).channels();
        let mut y = 0;
        for row in first.chunks_exact(from.size.width * channels) {
            let done = engine.push_row(row, |row| -> Result<(), Infallible> {
                let split = std::mem::take(&mut work.split);
                let split = half(row, bicubic.as_mut(), first, y, channels, split, |row| {
                    if let (false, Some(filter)) = (planes, chroma.as_mut()) {
                        for (plane, row) in chroma_planes.iter().zip(&mut work.chroma) {
                            filter.row(*plane, y, row);
                        }
                    }
                    work.finish(from, to, row, y, &mut out);
                });
                work.split = split;
                y += 1;
                Ok(())
            });
            done.map_err(|error| error.network())?;
        }
        Ok(())
    }
}

/// Calls `then` with the row, its left half bicubic if there is a filter for it. Gives `buffer` back.
fn half(
    row: &[u8],
    filter: Option<&mut PlaneFilter>,
    source: &[u8],
    y: usize,
    channels: usize,
    mut buffer: Vec<u8>,
    then: impl FnOnce(&[u8]),
) -> Vec<u8> {
    match filter {
        None => then(row),
        Some(filter) => {
            filter.row(source, y, &mut buffer);
            let middle = buffer.len() / channels / 2 * channels;
            buffer[middle..].copy_from_slice(&row[middle..]);
            then(&buffer);
        }
    }
    buffer
}

impl RowWork {
    /// Writes row `y` of the engine into the planes of the result.
    fn finish(&mut self, from: &FrameFormat, to: &FrameFormat, row: &[u8], y: usize, out: &mut [&mut [u8]; 3]) {
        let width = to.size.width;
        let [first, second, third] = out;
        match (from.layout, to.layout, &self.conversion) {
            (Layout::Rgb, Layout::Yuv444, Some(conversion)) => {
                let at = y * width;
                for (x, pixel) in row.chunks_exact(3).enumerate() {
                    let [luma, cb, cr] = conversion.pixel([pixel[0], pixel[1], pixel[2]]);
                    (first[at + x], second[at + x], third[at + x]) = (luma, cb, cr);
                }
            }
            (_, Layout::Rgb, Some(conversion)) => {
                let pixels = first[3 * y * width..][..3 * width].chunks_exact_mut(3);
                let chroma = self.chroma[0].iter().zip(&self.chroma[1]);
                for ((pixel, luma), (cb, cr)) in pixels.zip(row).zip(chroma) {
                    pixel.copy_from_slice(&conversion.pixel([*luma, *cb, *cr]));
                }
            }
            (Layout::Rgb, Layout::Gray, _) => luma_row(PixelFormat::Rgb8, row, &mut first[y * width..][..width]),
            _ => first[y * row.len()..][..row.len()].copy_from_slice(row),
        }
        if let Some([table, _]) = self.range.as_deref() {
            through(table, &mut first[y * width..][..width]);
        }
    }
}

/// Each byte of `plane` as `table` has it.
fn through(table: &[u8; 256], plane: &mut [u8]) {
    plane.iter_mut().for_each(|v| *v = table[usize::from(*v)]);
}

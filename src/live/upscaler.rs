//! One whole frame: luma through the network, chroma through the bicubic filter, conversion where the sink asks.

use std::convert::Infallible;
use std::ops;

use super::deep::{DeepFrames, reduce};
use super::overlay::{InfoText, Numbers, Overlay, Thermometer};
use crate::engine::{Class, Engine, Shape, Watch, Work};
use crate::frame::{Axis, Chroma, Conversion, FrameFormat, Layout, PixelFormat, Plane, PlaneFilter, Range, luma_row};
use crate::geom::Size;

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
    /// Where windows that stand still are left as they are.
    still: Option<Still>,
    /// Are windows painted as what they got?
    map: bool,
    /// For frames of more than 8 bits: all of them, or those 8 that a sink shows.
    deep: Option<DeepFrames>,
    reduced: Vec<u8>,
    overlay: Option<Overlay>,
}

/// What is held of the frames before.
struct Still {
    watch: Watch,
    /// The upscaled frame, with nothing drawn on it.
    made: Vec<u8>,
}

/// Smallest window of a network's grid.
const LEAST_WINDOW: usize = 8;

/// The planes of a frame.
fn shapes(from: &FrameFormat) -> impl Iterator<Item = Shape> {
    let (Size { width, height }, chroma) = (from.size, from.chroma());
    let channels = engine_format(from).channels();
    let first = Shape { width, height, channels, subsampling: (1, 1) };
    let subsampling = from.layout.subsampling();
    let chroma = Shape { width: chroma.width, height: chroma.height, channels: 1, subsampling };
    std::iter::once(first).chain(std::iter::repeat_n(chroma, if from.layout.has_chroma() { 2 } else { 0 }))
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
    pub fn bytes(from: &FrameFormat, to: &FrameFormat, compare: bool, still: bool) -> usize {
        let chroma = Chroma::bytes(PLANES, from, to) + 2 * to.size.width;
        let axis = Axis::centred(scale(from, to));
        let channels = engine_format(from).channels();
        let split = PlaneFilter::bytes(channels, from.size, axis, axis) + to.size.width * channels;
        let held = || to.bytes() + Watch::bytes(from.size, &shapes(from).collect::<Vec<_>>(), LEAST_WINDOW);
        let held = if still { held() } else { 0 };
        let deep = match (from.bits > 8, to.bits > 8) {
            (false, _) => 0,
            (true, true) => DeepFrames::bytes(from, to),
            (true, false) => from.bytes() / 2,
        };
        chroma + if compare { split } else { 0 } + Conversion::BYTES + 2 * 256 + held + deep
    }

    /// `engine` is prepared for `from.size` and [`engine_format`], and to be told what stands still; `to` is what a sink takes of its output.
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
        let still = engine.still().map(|still| {
            let ((window, reach), shapes) = (engine.windows(), shapes(&from).collect::<Vec<_>>());
            Still { watch: Watch::new(still, from.size, &shapes, window, reach), made: vec![0; to.bytes()] }
        });
        let deep = (from.bits > 8 && to.bits > 8).then(|| DeepFrames::new(&from, &to));
        let reduced = vec![0; if from.bits > 8 && deep.is_none() { from.bytes() / 2 } else { 0 }];
        Self { engine, from, to, chroma, bicubic, work, still, map: false, deep, reduced, overlay: None }
    }

    /// Draws `text` on every frame of a run.
    pub fn with_info(mut self, text: InfoText, thermometer: Thermometer) -> Self {
        self.overlay = Some(Overlay::new(text, thermometer, self.to));
        self
    }

    /// Paints the border of each window in the colour of what it got.
    pub fn with_map(self) -> Self {
        Self { map: true, ..self }
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

    /// Bytes of a frame that goes in, in 8 bits.
    pub(super) fn source_bytes(&self) -> usize {
        FrameFormat { bits: 8, ..self.from }.bytes()
    }

    /// The frame that was upscaled last, in 8 bits.
    pub(super) fn source(&self, frame: &[u8], out: &mut [u8]) {
        let seen = if self.from.bits == 8 { frame } else { &self.reduced[..] };
        // Where a sink takes more bits nobody looks at 8.
        if seen.len() == out.len() {
            out.copy_from_slice(seen);
        }
    }

    /// Upscales `frame`, which comes so many `frames` after the one before, into `out`; both have the bytes of their formats.
    ///
    /// # Errors
    ///
    /// If the network runs in floats and fails.
    pub fn run(&mut self, frame: &[u8], out: &mut [u8], frames: usize) -> Result<(), String> {
        self.engine.begin_frame();
        let done = self.at_any_depth(frame, out, frames);
        self.engine.end_frame();
        if let (Ok(()), true) = (&done, self.map) {
            paint(&self.engine, scale(&self.from, &self.to), &self.to, out);
        }
        done
    }

    fn at_any_depth(&mut self, frame: &[u8], out: &mut [u8], frames: usize) -> Result<(), String> {
        if let Some(deep) = &mut self.deep {
            return deep.run(&mut self.engine, frame, out);
        }
        let eight = FrameFormat { bits: 8, ..self.from };
        if self.from.bits == 8 {
            return self.make_or_keep(eight.planes(frame), out, frames);
        }
        let mut reduced = std::mem::take(&mut self.reduced);
        reduce(frame, &mut reduced);
        let done = self.make_or_keep(eight.planes(&reduced), out, frames);
        self.reduced = reduced;
        done
    }

    /// Rows of the last frame that differ from the one before; all where windows are not watched.
    pub(super) fn changed(&self) -> ops::Range<usize> {
        let all = 0..self.to.size.height;
        let Some(still) = self.still.as_ref().filter(|_| !self.map) else { return all };
        let times = scale(&self.from, &self.to);
        let rows = still.watch.rows();
        let made = rows.start * times..(rows.end * times).min(all.end);
        match self.overlay.as_ref().map(Overlay::rows) {
            Some(drawn) if made.is_empty() => drawn,
            Some(drawn) => drawn.start.min(made.start)..drawn.end.max(made.end),
            None => made,
        }
    }

    /// What the last frame took.
    pub(super) fn work(&self) -> Work {
        self.engine.work()
    }

    /// `planes` have 8 bits a sample.
    fn make_or_keep(&mut self, planes: [&[u8]; 3], out: &mut [u8], frames: usize) -> Result<(), String> {
        let Some(mut still) = self.still.take() else { return self.make(planes, out, None) };
        let Still { watch, made } = &mut still;
        let strides = [self.from.size.width * engine_format(&self.from).channels(), self.from.chroma().width];
        let views = [(0, 0), (1, 1), (2, 1)].map(|(plane, stride)| Plane::new(planes[plane], strides[stride]));
        let mut done = Ok(());
        if self.engine.look(watch, &views, frames) {
            let held = |plane| if self.from.layout.has_chroma() { watch.held(plane) } else { &[] };
            done = self.make([watch.held(0), held(1), held(2)], made, Some(watch));
        }
        match done {
            Ok(()) => out.copy_from_slice(made),
            Err(_) => watch.forget(),
        }
        self.still = Some(still);
        done
    }

    /// Makes a frame, of which what stands still is left as it is.
    fn make(&mut self, planes: [&[u8]; 3], out: &mut [u8], watch: Option<&Watch>) -> Result<(), String> {
        let Self { engine, from, to, chroma, bicubic, work, .. } = self;
        let [first, cb, cr] = planes;
        let chroma_planes = [cb, cr].map(|plane| Plane::new(plane, from.chroma().width));
        let same = from.layout == to.layout;
        let times = scale(from, to);
        let mut out = to.planes_mut(out);
        if let (true, Some(filter)) = (same, chroma.as_mut()) {
            let Size { width, height } = to.chroma();
            let (_, down) = to.layout.subsampling();
            for (plane, out) in chroma_planes.iter().zip(&mut out[1..]) {
                let made = |y: usize| watch.is_none_or(|watch| watch.ranges(y * down / times).next().is_some());
                for y in (0..height).filter(|y| made(*y)) {
                    let row = &mut out[y * width..][..width];
                    filter.row(*plane, y, row);
                    if let Some([_, table]) = work.range.as_deref() {
                        through(table, row);
                    }
                }
            }
        }
        let channels = engine_format(from).channels();
        for row in first.chunks_exact(from.size.width * channels) {
            let done = engine.push_row(row, |y, row| -> Result<(), Infallible> {
                let split = std::mem::take(&mut work.split);
                let split = half(row, bicubic.as_mut(), first, y, channels, split, |row| {
                    if let (false, Some(filter)) = (same, chroma.as_mut()) {
                        for (plane, row) in chroma_planes.iter().zip(&mut work.chroma) {
                            filter.row(*plane, y, row);
                        }
                    }
                    match watch {
                        None => work.finish(from, to, row, y, 0..to.size.width, &mut out),
                        Some(watch) => watch.ranges(y / times).for_each(|columns| {
                            let columns = columns.start * times..columns.end * times;
                            work.finish(from, to, row, y, columns, &mut out);
                        }),
                    }
                });
                work.split = split;
                Ok(())
            });
            done.map_err(|error| error.network())?;
        }
        Ok(())
    }
}

/// Frames windows: red where both branches ran, yellow where one did, blue where none did; not at all where they stand still.
/// Without colour they are white, grey and black.
fn paint(engine: &Engine, times: usize, to: &FrameFormat, out: &mut [u8]) {
    let Some((columns, classes)) = engine.classes() else { return };
    let side = engine.windows().0 * times;
    let [first, cb, cr] = to.planes_mut(out);
    let (across, down) = to.layout.subsampling();
    let chroma = to.chroma();
    for (window, class) in classes.enumerate() {
        let (rgb, ycc) = match class {
            None => continue,
            Some(Class::Full) => ([255, 0, 0], [235, 90, 240]),
            Some(Class::Structure) => ([255, 255, 0], [160, 16, 146]),
            Some(Class::Plain) => ([0, 0, 255], [41, 240, 110]),
        };
        let (x, y) = (window % columns * side, window / columns * side);
        let right = (x + side).min(to.size.width);
        let bottom = (y + side).min(to.size.height);
        for y in y..bottom {
            for x in x..right {
                if x % side > 0 && y % side > 0 {
                    continue;
                }
                let at = y * to.size.width + x;
                if to.layout == Layout::Rgb {
                    first[3 * at..][..3].copy_from_slice(&rgb);
                    continue;
                }
                first[at] = ycc[0];
                if to.layout.has_chroma() {
                    let at = y / down * chroma.width + x / across;
                    (cb[at], cr[at]) = (ycc[1], ycc[2]);
                }
            }
        }
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
    /// Writes these columns of row `y` of the engine into the planes of the result.
    fn finish(
        &mut self,
        from: &FrameFormat,
        to: &FrameFormat,
        row: &[u8],
        y: usize,
        columns: ops::Range<usize>,
        out: &mut [&mut [u8]; 3],
    ) {
        let [first, second, third] = out;
        let at = y * to.size.width;
        let own = at + columns.start..at + columns.end;
        let of = |pixels: &ops::Range<usize>, channels: usize| pixels.start * channels..pixels.end * channels;
        match (from.layout, to.layout, &self.conversion) {
            (Layout::Rgb, Layout::Yuv444, Some(conversion)) => {
                for (at, pixel) in own.clone().zip(row[of(&columns, 3)].chunks_exact(3)) {
                    let [luma, cb, cr] = conversion.pixel([pixel[0], pixel[1], pixel[2]]);
                    (first[at], second[at], third[at]) = (luma, cb, cr);
                }
            }
            (_, Layout::Rgb, Some(conversion)) => {
                let pixels = first[of(&own, 3)].chunks_exact_mut(3);
                let chroma = self.chroma[0][columns.clone()].iter().zip(&self.chroma[1][columns.clone()]);
                for ((pixel, luma), (cb, cr)) in pixels.zip(&row[columns]).zip(chroma) {
                    pixel.copy_from_slice(&conversion.pixel([*luma, *cb, *cr]));
                }
            }
            (Layout::Rgb, Layout::Gray, _) => {
                luma_row(PixelFormat::Rgb8, &row[of(&columns, 3)], &mut first[own.clone()])
            }
            (Layout::Rgb, ..) => first[of(&own, 3)].copy_from_slice(&row[of(&columns, 3)]),
            _ => first[own.clone()].copy_from_slice(&row[columns]),
        }
        if let Some([table, _]) = self.range.as_deref() {
            through(table, &mut first[own]);
        }
    }
}

/// Each byte of `plane` as `table` has it.
fn through(table: &[u8; 256], plane: &mut [u8]) {
    plane.iter_mut().for_each(|v| *v = table[usize::from(*v)]);
}

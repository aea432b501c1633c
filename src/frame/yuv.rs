//! Frames of video: planes of luma and chroma, and exact conversion between them and RGB.

use super::plane::Axis;
use crate::geom::Size;

/// How the samples of a frame lie: planes one after the other, rows without padding. A side of a chroma plane is half the
/// luma's, rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// One plane of luma.
    Gray,
    /// Luma, Cb and Cr of half the width and height.
    Yuv420,
    /// Luma, Cb and Cr of half the width.
    Yuv422,
    /// Luma, Cb and Cr of the same size.
    Yuv444,
    /// One plane of red, green, blue.
    Rgb,
}

impl Layout {
    /// Luma samples for each chroma sample, across and down.
    pub const fn subsampling(self) -> (usize, usize) {
        match self {
            Self::Yuv420 => (2, 2),
            Self::Yuv422 => (2, 1),
            Self::Gray | Self::Yuv444 | Self::Rgb => (1, 1),
        }
    }

    /// Are there chroma planes?
    pub const fn has_chroma(self) -> bool {
        matches!(self, Self::Yuv420 | Self::Yuv422 | Self::Yuv444)
    }

    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gray => "grey",
            Self::Yuv420 => "YUV 4:2:0",
            Self::Yuv422 => "YUV 4:2:2",
            Self::Yuv444 => "YUV 4:4:4",
            Self::Rgb => "RGB",
        }
    }
}

/// How luma and chroma lie in a frame that [`Engine::upscale`](crate::Engine::upscale) takes and gives. A side of a
/// subsampled chroma plane is half the luma's, rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum YuvFormat {
    /// Three planes, Y, U and V; chroma of half the width and height. V4L2 calls it YU12.
    I420,
    /// Two planes, Y, and U and V in turn; chroma of half the width and height.
    Nv12,
    /// Three planes; chroma of half the width.
    I422,
    /// Three planes of the same size.
    I444,
    /// One plane: rows of Y, U, Y, V, chroma of half the width. The last Y of an odd row is filler. V4L2 calls it YUYV.
    Yuy2,
}

impl YuvFormat {
    /// How samples lie, apart from whether U and V have a plane each.
    pub(crate) const fn layout(self) -> Layout {
        match self {
            Self::I420 | Self::Nv12 => Layout::Yuv420,
            Self::I422 | Self::Yuy2 => Layout::Yuv422,
            Self::I444 => Layout::Yuv444,
        }
    }

    /// Frames of `size`.
    pub(crate) const fn frame(self, siting: Siting, size: Size) -> FrameFormat {
        FrameFormat { siting, ..FrameFormat::picture(size, self.layout()) }
    }

    /// Planes that hold chroma, and channels of each.
    pub(crate) const fn chroma_planes(self) -> (usize, usize) {
        match self {
            Self::Nv12 => (1, 2),
            Self::Yuy2 => PACKED,
            Self::I420 | Self::I422 | Self::I444 => (2, 1),
        }
    }

    /// Does luma lie in the plane of chroma?
    pub(crate) const fn is_packed(self) -> bool {
        matches!(self, Self::Yuy2)
    }
}

/// Planes and channels of frames whose luma takes turns with chroma.
pub(super) const PACKED: (usize, usize) = (1, 4);

/// Where a subsampled chroma sample lies among its luma samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Siting {
    /// Between them in both directions: JPEG, MPEG-1.
    Centre,
    /// On the left column, between the rows: MPEG-2, H.264.
    Left,
    /// On the upper left one. PAL DV, whose Cb and Cr take turns, is treated so too.
    TopLeft,
}

impl Siting {
    /// Luma samples from the upper left one to the chroma sample, across and down.
    const fn offsets(self) -> (f64, f64) {
        match self {
            Self::Centre => (0.5, 0.5),
            Self::Left => (0.0, 0.5),
            Self::TopLeft => (0.0, 0.0),
        }
    }
}

/// Which standard defines luma.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matrix {
    /// ITU-R BT.601: standard definition, JPEG, most cameras.
    Bt601,
    /// ITU-R BT.709: high definition.
    Bt709,
}

impl Matrix {
    /// Weights of red and blue in luma; green has the rest.
    const fn weights(self) -> (f64, f64) {
        match self {
            Self::Bt601 => (0.299, 0.114),
            Self::Bt709 => (0.2126, 0.0722),
        }
    }
}

/// Which bytes stand for black and white.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// Luma from 16 to 235, chroma 112 around 128.
    Limited,
    /// Luma from 0 to 255, chroma 127.5 around 128.
    Full,
}

impl Range {
    /// Luma of black, luma from black to white, chroma from end to end.
    const fn spans(self) -> (f64, f64, f64) {
        match self {
            Self::Limited => (16.0, 219.0, 224.0),
            Self::Full => (0.0, 255.0, 255.0),
        }
    }

    /// Each luma byte of this range in full range, rounded to the nearest.
    pub fn to_full(self) -> [u8; 256] {
        self.luma_in(Self::Full)
    }

    /// Each luma byte of this range in `other`, rounded to the nearest.
    pub fn luma_in(self, other: Self) -> [u8; 256] {
        let ((black, span, _), (other_black, other_span, _)) = (self.spans(), other.spans());
        table(|y| (y - black) * other_span / span + other_black)
    }

    /// Each chroma byte of this range in `other`, rounded to the nearest.
    pub fn chroma_in(self, other: Self) -> [u8; 256] {
        let ((.., span), (.., other_span)) = (self.spans(), other.spans());
        table(|c| (c - 128.0) * other_span / span + 128.0)
    }
}

fn table(value: impl Fn(f64) -> f64) -> [u8; 256] {
    std::array::from_fn(|byte| value(byte as f64).round().clamp(0.0, 255.0) as u8)
}

/// Everything about a frame but its samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameFormat {
    /// Pixels.
    pub size: Size,
    /// Bits of a sample: 8, or 10 in the lower bits of two bytes, the lower byte first.
    pub bits: u32,
    /// How samples lie.
    pub layout: Layout,
    /// Where chroma lies.
    pub siting: Siting,
    /// What luma means.
    pub matrix: Matrix,
    /// What black means.
    pub range: Range,
}

impl FrameFormat {
    /// Full-range frames of grey or RGB.
    pub const fn picture(size: Size, layout: Layout) -> Self {
        Self { size, bits: 8, layout, siting: Siting::Centre, matrix: Matrix::Bt601, range: Range::Full }
    }

    /// Size of a chroma plane; nothing without chroma.
    pub const fn chroma(&self) -> Size {
        let (across, down) = self.layout.subsampling();
        match self.layout.has_chroma() {
            true => Size::new(self.size.width.div_ceil(across), self.size.height.div_ceil(down)),
            false => Size::new(0, 0),
        }
    }

    /// Bytes of a sample.
    pub const fn sample_bytes(&self) -> usize {
        if self.bits > 8 { 2 } else { 1 }
    }

    /// Bytes of the first plane: luma, or all of an RGB picture.
    pub const fn first_bytes(&self) -> usize {
        self.size.area() * self.sample_bytes() * if matches!(self.layout, Layout::Rgb) { 3 } else { 1 }
    }

    /// Bytes of each of the other two.
    const fn chroma_bytes(&self) -> usize {
        self.chroma().area() * self.sample_bytes()
    }

    /// Bytes of a frame.
    pub const fn bytes(&self) -> usize {
        self.first_bytes() + 2 * self.chroma_bytes()
    }

    /// Planes of a frame; empty ones where there is no chroma.
    pub fn planes<'a>(&self, frame: &'a [u8]) -> [&'a [u8]; 3] {
        let (first, chroma) = frame.split_at(self.first_bytes());
        let (second, third) = chroma.split_at(self.chroma_bytes());
        [first, second, third]
    }

    /// Planes of a frame, to be written.
    pub fn planes_mut<'a>(&self, frame: &'a mut [u8]) -> [&'a mut [u8]; 3] {
        let (first, chroma) = frame.split_at_mut(self.first_bytes());
        let (second, third) = chroma.split_at_mut(self.chroma_bytes());
        [first, second, third]
    }

    /// How chroma is enlarged, across and down, when luma is enlarged `scale` times and the result is laid out as
    /// `to`: the same layout, or one with chroma for every pixel. Where chroma lies stays as it is.
    pub fn chroma_axes(&self, to: Layout, scale: usize) -> (Axis, Axis) {
        let ((from_x, from_y), (to_x, to_y)) = (self.layout.subsampling(), to.subsampling());
        let (x, y) = self.siting.offsets();
        (chroma_axis(scale, from_x, to_x, x), chroma_axis(scale, from_y, to_y, y))
    }
}

/// Output chroma sample `j` lies on output luma `to * j + offset`, so on source luma `(that + 0.5) / scale - 0.5`,
/// so on source chroma `(that - offset) / from`. Offsets are 0 where nothing is subsampled.
fn chroma_axis(scale: usize, from: usize, to: usize, offset: f64) -> Axis {
    let offset_of = |subsampling| if subsampling > 1 { offset } else { 0.0 };
    let luma = (offset_of(to) + 0.5) / scale as f64 - 0.5;
    let first = (luma - offset_of(from)) / from as f64;
    let factor = scale * from / to;
    Axis { factor, shift: first - (0.5 / factor as f64 - 0.5) }
}

/// Fraction bits of [`Conversion`]: its error is far below the distance of any result from a tie.
const BITS: u32 = 44;

/// Converts pixels between YCbCr and RGB: the standard's formula, rounded to the nearest, ties upwards, clipped to
/// a byte.
#[derive(Clone)]
pub struct Conversion {
    /// `tables[o][i][v]`: what byte `v` of input `i` adds to output `o`, in 1/2^44.
    tables: Box<[[[i64; 256]; 3]; 3]>,
}

impl std::fmt::Debug for Conversion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conversion").finish_non_exhaustive()
    }
}

impl Conversion {
    /// Bytes that a conversion allocates.
    pub const BYTES: usize = 9 * 256 * size_of::<i64>();

    /// Y, Cb, Cr to full-range R, G, B.
    pub fn to_rgb(matrix: Matrix, range: Range) -> Self {
        let (red, blue) = matrix.weights();
        let green = 1.0 - red - blue;
        let (black, luma, chroma) = range.spans();
        let (y, c) = (255.0 / luma, 255.0 / chroma);
        let (from_cr, from_cb) = (2.0 * (1.0 - red) * c, 2.0 * (1.0 - blue) * c);
        let rows = [[y, 0.0, from_cr], [y, -from_cb * blue / green, -from_cr * red / green], [y, from_cb, 0.0]];
        Self::new(rows, [black, 128.0, 128.0], [0.0; 3])
    }

    /// Full-range R, G, B to Y, Cb, Cr.
    pub fn from_rgb(matrix: Matrix, range: Range) -> Self {
        let (red, blue) = matrix.weights();
        let green = 1.0 - red - blue;
        let (black, luma, chroma) = range.spans();
        let difference = |own: f64, row: [f64; 3]| row.map(|w| w * chroma / 255.0 / (2.0 * (1.0 - own)));
        let rows = [
            [red, green, blue].map(|w| w * luma / 255.0),
            difference(blue, [-red, -green, 1.0 - blue]),
            difference(red, [1.0 - red, -green, -blue]),
        ];
        Self::new(rows, [0.0; 3], [black, 128.0, 128.0])
    }

    /// `out = rows * (in - before) + after`.
    fn new(rows: [[f64; 3]; 3], before: [f64; 3], after: [f64; 3]) -> Self {
        let one = (1u64 << BITS) as f64;
        let mut tables = Box::new([[[0; 256]; 3]; 3]);
        for (o, tables) in tables.iter_mut().enumerate() {
            for (i, table) in tables.iter_mut().enumerate() {
                // A half rounds to the nearest; the hair above it keeps ties, which no table holds exactly, up.
                let constant = if i == 0 { after[o] + 0.5 + 1e-11 } else { 0.0 };
                for (v, entry) in table.iter_mut().enumerate() {
                    *entry = ((rows[o][i] * (v as f64 - before[i]) + constant) * one).round() as i64;
                }
            }
        }
        Self { tables }
    }

    /// A pixel.
    pub fn pixel(&self, [a, b, c]: [u8; 3]) -> [u8; 3] {
        let [a, b, c] = [a, b, c].map(usize::from);
        self.tables.each_ref().map(|[x, y, z]| ((x[a] + y[b] + z[c]) >> BITS).clamp(0, 255) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDARDS: [(Matrix, Range); 4] = [
        (Matrix::Bt601, Range::Limited),
        (Matrix::Bt601, Range::Full),
        (Matrix::Bt709, Range::Limited),
        (Matrix::Bt709, Range::Full),
    ];

    /// Weights of red, green and blue in 1/10000, and the spans in whole numbers.
    fn standard(matrix: Matrix, range: Range) -> ([i128; 3], [i128; 3]) {
        let weights = if matrix == Matrix::Bt601 { [2990, 5870, 1140] } else { [2126, 7152, 722] };
        (weights, if range == Range::Limited { [16, 219, 224] } else { [0, 255, 255] })
    }

    /// A fraction to the nearest, ties upwards, as a byte.
    fn nearest(numerator: i128, denominator: i128) -> u8 {
        (2 * numerator + denominator).div_euclid(2 * denominator).clamp(0, 255) as u8
    }

    /// Y' = Kr R' + Kg G' + Kb B', Cb = (B' - Y') / (2 (1 - Kb)), Cr = (R' - Y') / (2 (1 - Kr)), solved for R'G'B'
    /// in exact fractions.
    fn rgb([y, cb, cr]: [u8; 3], matrix: Matrix, range: Range) -> [u8; 3] {
        let ([kr, kg, kb], [black, luma, chroma]) = standard(matrix, range);
        let (y, cb, cr) = (i128::from(y) - black, i128::from(cb) - 128, i128::from(cr) - 128);
        let one = 10_000;
        let red = nearest(255 * (y * chroma * one + 2 * (one - kr) * cr * luma), luma * chroma * one);
        let blue = nearest(255 * (y * chroma * one + 2 * (one - kb) * cb * luma), luma * chroma * one);
        let pull = 2 * luma * (kr * (one - kr) * cr + kb * (one - kb) * cb);
        let green = nearest(255 * (y * chroma * one * kg - pull), luma * chroma * one * kg);
        [red, green, blue]
    }

    fn ycc([r, g, b]: [u8; 3], matrix: Matrix, range: Range) -> [u8; 3] {
        let ([kr, kg, kb], [black, luma, chroma]) = standard(matrix, range);
        let [r, g, b] = [r, g, b].map(i128::from);
        let one = 10_000;
        let sum = kr * r + kg * g + kb * b;
        let difference = |own: i128, k: i128| {
            let denominator = 2 * (one - k) * 255;
            nearest((own * one - sum) * chroma + 128 * denominator, denominator)
        };
        [nearest(sum * luma + black * 255 * one, 255 * one), difference(b, kb), difference(r, kr)]
    }

    #[test]
    fn red_and_blue_are_exact_for_every_input() {
        for (matrix, range) in STANDARDS {
            let conversion = Conversion::to_rgb(matrix, range);
            for (y, c) in (0..=255).flat_map(|y| (0..=255).map(move |c| (y, c))) {
                let pixel = [y, c, c];
                assert_eq!(conversion.pixel(pixel), rgb(pixel, matrix, range), "{matrix:?} {range:?} {pixel:?}");
            }
        }
    }

    #[test]
    fn green_and_the_way_back_are_exact() {
        for (matrix, range) in STANDARDS {
            let (to, from) = (Conversion::to_rgb(matrix, range), Conversion::from_rgb(matrix, range));
            let few = |step: usize| (0..=255u8).step_by(step).chain([16, 235, 255]);
            for (a, b, c) in few(5).flat_map(|a| few(5).flat_map(move |b| few(7).map(move |c| (a, b, c)))) {
                let pixel = [a, b, c];
                assert_eq!(to.pixel(pixel), rgb(pixel, matrix, range), "{matrix:?} {range:?} {pixel:?}");
                assert_eq!(from.pixel(pixel), ycc(pixel, matrix, range), "{matrix:?} {range:?} {pixel:?}");
            }
        }
    }

    #[test]
    fn colours_of_the_standard() {
        let limited = Conversion::from_rgb(Matrix::Bt601, Range::Limited);
        assert_eq!(limited.pixel([255, 0, 0]), [81, 90, 240]);
        assert_eq!(limited.pixel([255, 255, 255]), [235, 128, 128]);
        let high = Conversion::from_rgb(Matrix::Bt709, Range::Limited);
        assert_eq!(high.pixel([255, 0, 0]), [63, 102, 240]);
        assert_eq!(Range::Limited.to_full()[16], 0);
        assert_eq!(Range::Limited.to_full()[235], 255);
        assert_eq!(Range::Full.to_full()[77], 77);
        let (luma, chroma) = (Range::Full.luma_in(Range::Limited), Range::Full.chroma_in(Range::Limited));
        assert_eq!((luma[0], luma[255], chroma[128], chroma[0], chroma[255]), (16, 235, 128, 16, 240));
        assert_eq!(Range::Limited.chroma_in(Range::Full)[240], 255);
    }

    #[test]
    fn chroma_keeps_its_place() {
        let size = Size::new(7, 5);
        let format = |layout, siting| FrameFormat { layout, siting, ..FrameFormat::picture(size, layout) };
        let centred = format(Layout::Yuv420, Siting::Centre);
        assert_eq!(centred.chroma(), Size::new(4, 3));
        assert_eq!(centred.bytes(), 35 + 24);
        assert_eq!(centred.chroma_axes(Layout::Yuv420, 2), (Axis::centred(2), Axis::centred(2)));
        assert_eq!(centred.chroma_axes(Layout::Rgb, 2), (Axis::centred(4), Axis::centred(4)));
        let left = format(Layout::Yuv420, Siting::Left).chroma_axes(Layout::Yuv420, 2);
        assert_eq!(left, (Axis { factor: 2, shift: 0.125 }, Axis::centred(2)));
        let left = format(Layout::Yuv422, Siting::Left).chroma_axes(Layout::Rgb, 2);
        assert_eq!(left, (Axis { factor: 4, shift: 0.25 }, Axis::centred(2)));
        let full = format(Layout::Yuv444, Siting::TopLeft).chroma_axes(Layout::Yuv444, 3);
        assert_eq!(full.0.factor, 3);
        assert!(full.0.shift.abs() < 1e-12);
    }
}

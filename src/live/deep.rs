//! Frames of 10 bits: the network sees 8 of luma, the filter enlarges all of luma and chroma.

use std::convert::Infallible;

use crate::engine::Engine;
use crate::frame::{Axis, DeepFilter, FrameFormat};

/// Upscales frames of 10 bits to frames of 10 bits; allocates nothing after it is made.
pub(super) struct DeepFrames {
    from: FrameFormat,
    to: FrameFormat,
    luma: DeepFilter,
    chroma: Option<DeepFilter>,
    /// Luma of the source in numbers, and as the network sees it; then each plane of chroma.
    samples: Vec<u16>,
    seen: Vec<u8>,
    /// An output row.
    row: Vec<u16>,
}

impl DeepFrames {
    /// Bytes that [`DeepFrames::new`] allocates.
    pub(super) fn bytes(from: &FrameFormat, to: &FrameFormat) -> usize {
        let axis = Axis::centred(to.size.width / from.size.width);
        let (across, down) = from.chroma_axes(to.layout, axis.factor);
        let filters = DeepFilter::bytes(1, from.size, axis, axis) + DeepFilter::bytes(1, from.chroma(), across, down);
        filters + 3 * from.size.area() + 2 * to.size.width
    }

    pub(super) fn new(from: &FrameFormat, to: &FrameFormat) -> Self {
        let axis = Axis::centred(to.size.width / from.size.width);
        let (across, down) = from.chroma_axes(to.layout, axis.factor);
        let chroma = from.layout.has_chroma();
        Self {
            from: *from,
            to: *to,
            luma: DeepFilter::new(1, from.size, axis, axis, from.bits),
            chroma: chroma.then(|| DeepFilter::new(1, from.chroma(), across, down, from.bits)),
            samples: vec![0; from.size.area()],
            seen: vec![0; from.size.area()],
            row: vec![0; to.size.width],
        }
    }

    /// Upscales `frame` into `out`.
    pub(super) fn run(&mut self, engine: &mut Engine, frame: &[u8], out: &mut [u8]) -> Result<(), String> {
        let Self { from, to, luma, chroma, samples, seen, row } = self;
        let (planes, mut outs) = (from.planes(frame), to.planes_mut(out));
        let width = from.size.width;
        reduce(planes[0], seen);
        numbers(planes[0], samples);
        for source in seen.chunks_exact(width) {
            let done = engine.push_row(source, |y, made| -> Result<(), Infallible> {
                let rows = |y: usize| (&samples[y * width..][..width], &seen[y * width..][..width]);
                luma.row(y, rows, Some(made), row);
                put(row, &mut outs[0][2 * y * to.size.width..][..2 * to.size.width]);
                Ok(())
            });
            done.map_err(|error| error.network())?;
        }
        if let Some(filter) = chroma {
            let (width, out_width) = (from.chroma().width, to.chroma().width);
            for (plane, out) in planes[1..].iter().zip(&mut outs[1..]) {
                numbers(plane, samples);
                for (y, out) in out.chunks_exact_mut(2 * out_width).enumerate() {
                    filter.row(y, |y| (&samples[y * width..][..width], &[]), None, &mut row[..out_width]);
                    put(&row[..out_width], out);
                }
            }
        }
        Ok(())
    }
}

/// Samples of 10 bits to the nearest of 8.
pub(super) fn reduce(plane: &[u8], seen: &mut [u8]) {
    for (pair, seen) in plane.chunks_exact(2).zip(seen) {
        *seen = (u16::from_le_bytes([pair[0], pair[1]]).saturating_add(2) >> 2).min(255) as u8;
    }
}

/// Samples as numbers; what is above 10 bits is a fault of the file.
fn numbers(plane: &[u8], samples: &mut [u16]) {
    for (pair, sample) in plane.chunks_exact(2).zip(samples) {
        *sample = u16::from_le_bytes([pair[0], pair[1]]).min(1023);
    }
}

fn put(row: &[u16], out: &mut [u8]) {
    for (sample, pair) in row.iter().zip(out.chunks_exact_mut(2)) {
        pair.copy_from_slice(&sample.to_le_bytes());
    }
}

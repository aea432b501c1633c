//! Rows whose bytes only change places.

use crate::kernels::Level;
use crate::model::View;
use crate::plan::Buffer;

/// Output row `y` of a unit from its input rows: pixels as `view` sees them, or those of several tensors side by side.
pub fn arrange_row(view: View, y: usize, rows: &[&[u8]], sources: &[&Buffer], to: &Buffer, out: &mut [u8]) {
    let c = to.stride;
    match view {
        View::Repeat(n) => {
            for (pixel, out) in rows[0].chunks_exact(c).zip(out.chunks_exact_mut(n * c)) {
                out.chunks_exact_mut(c).for_each(|out| out.copy_from_slice(pixel));
            }
        }
        View::DepthToSpace(n) => depth_row(n, c, y, rows[0], out),
        View::ChannelsToSpace(n) => {
            for (depth, out) in rows[0].chunks_exact(n * n * c).zip(out.chunks_exact_mut(n * c)) {
                for (x, out) in out.chunks_exact_mut(c).enumerate() {
                    out.iter_mut().enumerate().for_each(|(channel, out)| *out = depth[(channel * n + y) * n + x]);
                }
            }
        }
        View::SpaceToDepth(n) => {
            let each = c / n; // bytes that a pixel takes of one row
            for (row, from) in rows.iter().enumerate() {
                for (pixels, out) in from.chunks_exact(each).zip(out.chunks_exact_mut(c)) {
                    out[row * each..][..each].copy_from_slice(pixels);
                }
            }
        }
        View::Channels { first, count } => {
            for (pixel, out) in rows[0].chunks_exact(sources[0].stride).zip(out.chunks_exact_mut(c)) {
                out.copy_from_slice(&pixel[first..first + count]);
            }
        }
        View::Plain | View::RepeatColumns(_) | View::RepeatRows(_) => {
            let mut at = 0;
            for (row, source) in rows.iter().zip(sources) {
                for (pixel, out) in row.chunks_exact(source.stride).zip(out.chunks_exact_mut(c)) {
                    out[at..at + source.stride].copy_from_slice(pixel);
                }
                at += source.stride;
            }
        }
    }
}

/// Row `y` of the `n` rows of pixels of `channels` bytes that pixels of `n * n * channels` bytes become.
pub fn shuffle_row(level: Level, n: usize, channels: usize, y: usize, x: &[u8], out: &mut [u8]) {
    match channels {
        1 => level.shuffle_row(n, y, x, out),
        _ => depth_row(n, channels, y, x, out),
    }
}

fn depth_row(n: usize, channels: usize, y: usize, x: &[u8], out: &mut [u8]) {
    let bytes = n * channels;
    for (depth, out) in x.chunks_exact(n * bytes).zip(out.chunks_exact_mut(bytes)) {
        out.copy_from_slice(&depth[y * bytes..][..bytes]);
    }
}

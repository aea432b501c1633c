//! Luma of pixels.

use super::PixelFormat;
use crate::kernels::luma;

/// Luma of each pixel of `row`. Grey is its own luma.
pub fn luma_row(format: PixelFormat, row: &[u8], out: &mut [u8]) {
    let pixels = row.chunks_exact(format.channels());
    let grey = matches!(format, PixelFormat::Gray8 | PixelFormat::GrayAlpha8);
    pixels.zip(out).for_each(|(pixel, y)| *y = if grey { pixel[0] } else { luma([pixel[0], pixel[1], pixel[2]]) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greys_keep_their_value() {
        for v in 0..=255u8 {
            let mut luma = [0];
            luma_row(PixelFormat::Rgb8, &[v; 3], &mut luma);
            assert_eq!(luma[0], v);
        }
    }
}

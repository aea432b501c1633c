//! Luma of pixels: BT.601, full range, as JPEG and the network have it.

use super::PixelFormat;

/// Weights of red, green and blue in 1/65536; they sum to 65536.
const LUMA: [u32; 3] = [19595, 38470, 7471];

/// Luma of each pixel of `row`, rounded to the nearest. Grey is its own luma.
pub fn luma_row(format: PixelFormat, row: &[u8], luma: &mut [u8]) {
    let pixels = row.chunks_exact(format.channels());
    match format {
        PixelFormat::Gray8 | PixelFormat::GrayAlpha8 => {
            for (pixel, y) in pixels.zip(luma) {
                *y = pixel[0];
            }
        }
        PixelFormat::Rgb8 | PixelFormat::Rgba8 => {
            for (pixel, y) in pixels.zip(luma) {
                let sum: u32 = LUMA.iter().zip(pixel).map(|(w, &c)| w * u32::from(c)).sum();
                *y = ((sum + 32768) >> 16) as u8;
            }
        }
    }
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

//! Pixels for networks of three colours.

use crate::frame::{Colour, PixelFormat, luma_row};

/// The colours of pixels of `format`, in their order.
pub fn to_rgb(format: PixelFormat, row: &[u8], rgb: &mut [u8]) {
    for (pixel, rgb) in row.chunks_exact(format.channels()).zip(rgb.chunks_exact_mut(3)) {
        match pixel {
            [v] | [v, _] => rgb.fill(*v),
            colours => rgb.copy_from_slice(&colours[..3]),
        }
    }
}

/// Output row `y` in `format` from colours in its order, of grey from red, green and blue; alpha is filtered.
pub fn from_rgb(format: PixelFormat, rgb: &[u8], y: usize, colour: &mut Colour, out: &mut [u8]) {
    match format {
        PixelFormat::Rgb8 => out.copy_from_slice(rgb),
        PixelFormat::Gray8 => luma_row(PixelFormat::Rgb8, rgb, out),
        PixelFormat::GrayAlpha8 | PixelFormat::Rgba8 => {
            let alpha = format.channels() - 1;
            colour.alpha(y, out);
            for (rgb, out) in rgb.chunks_exact(3).zip(out.chunks_exact_mut(alpha + 1)) {
                match alpha {
                    1 => luma_row(PixelFormat::Rgb8, rgb, &mut out[..1]),
                    _ => out[..3].copy_from_slice(rgb),
                }
            }
        }
    }
}

/// Swaps red and blue of pixels of so many channels.
pub fn swap(channels: usize, row: &mut [u8]) {
    row.chunks_exact_mut(channels).for_each(|pixel| pixel.swap(0, 2));
}

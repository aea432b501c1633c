//! Motion JPEG: a JPEG file for each frame, decoded to planes without passing through RGB.

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::frame::FrameFormat;
use crate::geom::Size;
use crate::io::error::Fault;
use crate::io::fence::fenced;
use crate::io::jpeg;

/// Decodes frames of one size to full planes of luma, Cb and Cr. The decoder below allocates for each frame, about
/// as much as the frame has bytes.
#[derive(Debug)]
pub struct MjpegDecoder {
    format: FrameFormat,
    interleaved: Vec<u8>,
}

impl MjpegDecoder {
    /// For frames of `format`, which is YUV 4:4:4.
    pub fn new(format: FrameFormat) -> Self {
        Self { format, interleaved: vec![0; 3 * format.size.area()] }
    }

    /// Decodes `jpeg` into `frame`.
    ///
    /// # Errors
    ///
    /// What is wrong with it: cut short, damaged, of another size.
    pub fn decode(&mut self, jpeg: &[u8], frame: &mut [u8]) -> Result<(), String> {
        let said = |fault| match fault {
            Fault::Io(error) => error.to_string(),
            Fault::Bad(reason) => reason,
        };
        let jpeg = jpeg::whole(jpeg)?;
        let Size { width, height } = self.format.size;
        let grey = fenced(|| -> Result<bool, Fault> {
            let options = DecoderOptions::default().set_max_width(width).set_max_height(height);
            let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&jpeg[..]), options);
            decoder.decode_headers().map_err(Fault::bad)?;
            let size = decoder.info().map(|info| (usize::from(info.width), usize::from(info.height)));
            if size != Some((width, height)) {
                return Err(Fault::bad(format!("a JPEG of {size:?} among frames of {}", self.format.size)));
            }
            let grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
            let space = if grey { ColorSpace::Luma } else { ColorSpace::YCbCr };
            decoder.set_options(options.jpeg_set_out_colorspace(space));
            let bytes = if grey { width * height } else { 3 * width * height };
            decoder.decode_into(&mut self.interleaved[..bytes]).map_err(Fault::bad)?;
            Ok(grey)
        });
        let [luma, cb, cr] = self.format.planes_mut(frame);
        if grey.map_err(said)? {
            luma.copy_from_slice(&self.interleaved[..luma.len()]);
            cb.fill(128);
            cr.fill(128);
        } else {
            for (((pixel, luma), cb), cr) in self.interleaved.chunks_exact(3).zip(luma).zip(cb).zip(cr) {
                (*luma, *cb, *cr) = (pixel[0], pixel[1], pixel[2]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Conversion, Layout, Matrix, Range};

    fn jpeg(size: Size, grey: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 100);
        let value = |i: usize| (i * 5 % 200) as u8;
        let pixels: Vec<u8> = (0..size.area()).flat_map(|i| vec![value(i); if grey { 1 } else { 3 }]).collect();
        let kind = if grey { image::ExtendedColorType::L8 } else { image::ExtendedColorType::Rgb8 };
        image::ImageEncoder::write_image(encoder, &pixels, size.width as u32, size.height as u32, kind).unwrap();
        bytes
    }

    fn format(size: Size) -> FrameFormat {
        FrameFormat::picture(size, Layout::Yuv444)
    }

    #[test]
    fn frames_become_planes() {
        for size in [Size::new(16, 8), Size::new(33, 21)] {
            for grey in [false, true] {
                let mut decoder = MjpegDecoder::new(format(size));
                let mut frame = vec![0; format(size).bytes()];
                let mut file = jpeg(size, grey);
                file.extend([0; 7]);
                decoder.decode(&file, &mut frame).unwrap();
                let [luma, cb, cr] = format(size).planes(&frame);
                let to_rgb = Conversion::to_rgb(Matrix::Bt601, Range::Full);
                for (i, luma) in luma.iter().enumerate() {
                    let [red, ..] = to_rgb.pixel([*luma, cb[i], cr[i]]);
                    assert!(red.abs_diff((i * 5 % 200) as u8) < 6, "{size}, grey {grey}, pixel {i}: {red}");
                }
            }
        }
    }

    #[test]
    fn wrong_sizes_and_cuts_are_told() {
        let size = Size::new(32, 16);
        let (mut frame, file) = (vec![0; format(size).bytes()], jpeg(size, false));
        let mut decoder = MjpegDecoder::new(format(size));
        for end in 0..file.len() {
            assert!(decoder.decode(&file[..end], &mut frame).is_err(), "{end} of {}", file.len());
        }
        let other = jpeg(Size::new(16, 16), false);
        assert!(decoder.decode(&other, &mut frame).unwrap_err().contains("32x16"));
        decoder.decode(&file, &mut frame).unwrap();
    }
}

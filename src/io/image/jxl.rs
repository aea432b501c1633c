//! JPEG XL in, by `jxl-oxide`. Held whole.

use std::io::Cursor;

use jxl_oxide::{AllocTracker, AuxBoxData, FrameBufferSample, JxlImage, PixelFormat as Channels};

use image::metadata::Orientation;

use super::picture::Samples;
use super::whole::turned;
use super::{Metadata, Source};
use crate::frame::PixelFormat;
use crate::geom::Size;
use crate::io::error::{Fault, OpenError};
use crate::io::fence::fenced;
use crate::io::limits::{can_get, check_whole};

/// Bytes that the decoder works with for each sample: floats, several times over.
const WORK: usize = 16;
/// Bytes that it may hold whatever the size.
const BEFORE: usize = 16 << 20;

/// Decodes the one picture of a file.
pub(super) fn open(bytes: &[u8], name: &str) -> Result<Box<dyn Source>, OpenError> {
    // Before it is known how large the picture is, the decoder has little to hold.
    let given = AllocTracker::with_limit(BEFORE);
    let begin = || JxlImage::builder().alloc_tracker(given.clone()).read(Cursor::new(bytes)).map_err(bad);
    let image = fenced(begin).map_err(|fault| fault.open(name))?;
    let size = Size::new(image.width() as usize, image.height() as usize);
    let format = match image.pixel_format() {
        Channels::Gray => PixelFormat::Gray8,
        Channels::Graya => PixelFormat::GrayAlpha8,
        Channels::Rgb => PixelFormat::Rgb8,
        Channels::Rgba => PixelFormat::Rgba8,
        Channels::Cmyk | Channels::Cmyka => {
            return Err(Fault::bad("JPEG XL in CMYK is not read; convert it to RGB").open(name));
        }
    };
    check_whole(name, size, WORK * format.channels())?;
    let work = WORK * format.channels() * size.area();
    can_get(work as u64).map_err(|error| OpenError::io(name, error))?;
    given.expand_limit(work);
    if image.num_loaded_keyframes() > 1 {
        let frames = image.num_loaded_keyframes();
        return Err(
            Fault::bad(format!("an animation of {frames} pictures; of JPEG XL only single ones are read")).open(name)
        );
    }
    // The decoder turns the picture itself; its profile is that of the pixels that it gives.
    let mut metadata = Metadata { icc: Some(image.rendered_icc()), ..Metadata::default() };
    if let Ok(AuxBoxData::Data(exif)) = image.aux_boxes().first_exif() {
        let mut exif = exif.payload().to_vec();
        let _ = Orientation::remove_from_exif_chunk(&mut exif);
        metadata.exif = Some(exif);
    }
    metadata.deep = image.image_header().metadata.bit_depth.bits_per_sample() > 8;
    let count = size.area() * format.channels();
    let samples = fenced(|| match metadata.deep {
        true => render(&image, count).map(Samples::Sixteen),
        false => render(&image, count).map(Samples::Eight),
    });
    turned(samples.map_err(|fault| fault.open(name))?, size, format, Orientation::NoTransforms, metadata, name)
}

fn render<T: FrameBufferSample + Default + Clone>(image: &JxlImage, count: usize) -> Result<Vec<T>, Fault> {
    // A file that is cut short has no whole picture, and would be shown as far as it goes.
    if !image.is_loading_done() {
        return Err(Fault::bad("the picture is cut short"));
    }
    let frame = image.render_frame(0).map_err(bad)?;
    let mut samples = vec![T::default(); count];
    match frame.stream().write_to_buffer(&mut samples) == count {
        true => Ok(samples),
        false => Err(Fault::bad("damaged JPEG XL: pixels are missing")),
    }
}

fn bad(error: impl std::fmt::Display) -> Fault {
    Fault::bad(format!("damaged JPEG XL: {error}"))
}

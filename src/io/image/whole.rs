//! Pictures that are held whole: formats of the `image` crate, and PNG rows that must be turned.

use std::borrow::Cow;
use std::io::{BufRead, Cursor, Seek, Write};

use image::codecs::{bmp::BmpEncoder, jpeg::JpegEncoder, tiff::TiffEncoder, webp::WebPEncoder};
use image::metadata::Orientation;
use image::{
    DynamicImage, ExtendedColorType, ImageBuffer, ImageDecoder, ImageEncoder, ImageFormat, ImageReader, ImageResult,
};

use super::encoding::spread;
use super::{Encoding, Metadata, PngColour, Sink, Source};
use crate::frame::PixelFormat;
use crate::geom::Size;
use crate::io::destination::Destination;
use crate::io::error::{Fault, OpenError, ReadError, WriteError};
use crate::io::fence::fenced;
use crate::io::jpeg;
use crate::io::limits::{check_whole, whole_limit};

/// Quality of JPEG output: close to what cameras write.
const JPEG_QUALITY: u8 = 95;

/// A JPEG segment holds at most this much EXIF.
const JPEG_EXIF_BYTES: usize = 65_000;

struct WholeSource {
    size: Size,
    format: PixelFormat,
    metadata: Metadata,
    pixels: Vec<u8>,
    next: usize,
}

impl Source for WholeSource {
    fn size(&self) -> Size {
        self.size
    }

    fn format(&self) -> PixelFormat {
        self.format
    }

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn next_row(&mut self) -> Result<Option<&[u8]>, ReadError> {
        let row = self.size.width * self.format.channels();
        let start = self.next * row;
        self.next += 1;
        Ok(self.pixels.get(start..start + row))
    }
}

/// Decodes a JPEG, once its segments are in order.
pub(in crate::io) fn open_jpeg(bytes: Vec<u8>, name: &str) -> Result<Box<dyn Source>, OpenError> {
    let mended = match jpeg::whole(&bytes).map_err(|reason| Fault::bad(reason).open(name))? {
        Cow::Owned(mended) => mended,
        Cow::Borrowed(_) => bytes,
    };
    open(Cursor::new(mended), ImageFormat::Jpeg, name)
}

/// Decodes a whole picture.
pub(in crate::io) fn open<R>(reader: R, format: ImageFormat, name: &str) -> Result<Box<dyn Source>, OpenError>
where
    R: BufRead + Seek + 'static,
{
    let mut decoder = fenced(|| decoder(reader, format)).map_err(|fault| fault.open(name))?;
    let (width, height) = decoder.dimensions();
    let size = Size::new(width as usize, height as usize);
    check_whole(name, size, usize::from(decoder.color_type().bytes_per_pixel()))?;
    let (metadata, orientation) =
        fenced(|| Ok::<_, Fault>(metadata(&mut decoder))).map_err(|fault| fault.open(name))?;
    let image = fenced(|| DynamicImage::from_decoder(decoder)).map_err(|fault| fault.open(name))?;
    fenced(|| Ok::<_, Fault>(source(image, orientation, metadata, name))).map_err(|fault| fault.open(name))
}

fn decoder<R: BufRead + Seek + 'static>(reader: R, format: ImageFormat) -> ImageResult<impl ImageDecoder> {
    let mut reader = ImageReader::with_format(reader, format);
    let mut limits = image::Limits::no_limits();
    // Twice: the picture, and what its decoder needs beside.
    limits.max_alloc = Some(2 * whole_limit());
    reader.limits(limits);
    reader.into_decoder()
}

/// Damaged metadata is no reason to refuse the pixels.
fn metadata(decoder: &mut impl ImageDecoder) -> (Metadata, Orientation) {
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let icc = decoder.icc_profile().ok().flatten();
    let mut exif = decoder.exif_metadata().ok().flatten();
    if let Some(bytes) = &mut exif {
        let _ = Orientation::remove_from_exif_chunk(bytes);
    }
    (Metadata { icc, exif, png: PngColour::default() }, orientation)
}

/// A source for pixels that are decoded already and lie as the file has them.
pub(in crate::io) fn turned(
    pixels: Vec<u8>,
    size: Size,
    format: PixelFormat,
    orientation: Orientation,
    metadata: Metadata,
    name: &str,
) -> Result<Box<dyn Source>, OpenError> {
    let (width, height) = (size.width as u32, size.height as u32);
    let image = match format {
        PixelFormat::Gray8 => ImageBuffer::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8),
        PixelFormat::GrayAlpha8 => ImageBuffer::from_raw(width, height, pixels).map(DynamicImage::ImageLumaA8),
        PixelFormat::Rgb8 => ImageBuffer::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8),
        PixelFormat::Rgba8 => ImageBuffer::from_raw(width, height, pixels).map(DynamicImage::ImageRgba8),
    };
    let image = image.ok_or_else(|| Fault::bad("fewer pixels than the header says").open(name))?;
    Ok(source(image, orientation, metadata, name))
}

fn source(mut image: DynamicImage, orientation: Orientation, mut metadata: Metadata, name: &str) -> Box<dyn Source> {
    image.apply_orientation(orientation);
    let size = Size::new(image.width() as usize, image.height() as usize);
    let colour = image.color();
    if colour.bytes_per_pixel() > colour.channel_count() {
        log::warn!("{name}: samples have more than 8 bits; they are rounded to 8");
    }
    let (format, pixels) = match (colour.has_color(), colour.has_alpha()) {
        (false, false) => (PixelFormat::Gray8, image.into_luma8().into_raw()),
        (false, true) => (PixelFormat::GrayAlpha8, image.into_luma_alpha8().into_raw()),
        (true, false) => (PixelFormat::Rgb8, image.into_rgb8().into_raw()),
        (true, true) => (PixelFormat::Rgba8, image.into_rgba8().into_raw()),
    };
    metadata.keep_matching_profile(format);
    Box::new(WholeSource { size, format, metadata, pixels, next: 0 })
}

/// Collects rows, encodes at the end.
pub(in crate::io) struct WholeSink {
    destination: Destination,
    encoding: Encoding,
    size: Size,
    from: PixelFormat,
    metadata: Metadata,
    pixels: Vec<u8>,
}

impl WholeSink {
    /// Reserves the memory.
    pub(in crate::io) fn begin(
        destination: Destination,
        encoding: Encoding,
        size: Size,
        from: PixelFormat,
        metadata: &Metadata,
    ) -> Result<Self, WriteError> {
        let mut pixels = Vec::new();
        let bytes = size.width * size.height * encoding.stored(from).channels();
        pixels.try_reserve_exact(bytes).map_err(|_| destination.refused("not enough memory for the whole picture"))?;
        let mut metadata = metadata.clone();
        // Pixels that were spread to colour no longer match a grey profile.
        metadata.keep_matching_profile(encoding.stored(from));
        if encoding == Encoding::Jpeg && metadata.exif.take_if(|exif| exif.len() > JPEG_EXIF_BYTES).is_some() {
            log::warn!("the EXIF block is too long for JPEG and is left out");
        }
        Ok(Self { destination, encoding, size, from, metadata, pixels })
    }

    fn encode(&mut self) -> ImageResult<()> {
        let out = self.destination.out();
        match self.encoding {
            Encoding::Jpeg => self.run(JpegEncoder::new_with_quality(out, JPEG_QUALITY)),
            Encoding::WebP => self.run(WebPEncoder::new_lossless(out)),
            Encoding::Bmp => self.run(BmpEncoder::new(&mut self.destination.out())),
            _ => {
                // Its writer goes back to fill in offsets, which a pipe cannot.
                let mut file = Cursor::new(Vec::new());
                self.run(TiffEncoder::new(&mut file))?;
                self.destination.out().write_all(&file.into_inner()).map_err(image::ImageError::IoError)
            }
        }
    }

    fn run(&self, mut encoder: impl ImageEncoder) -> ImageResult<()> {
        if let Some(icc) = self.metadata.icc.clone() {
            let _ = encoder.set_icc_profile(icc);
        }
        if let Some(exif) = self.metadata.exif.clone() {
            let _ = encoder.set_exif_metadata(exif);
        }
        let colour = match self.encoding.stored(self.from) {
            PixelFormat::Gray8 => ExtendedColorType::L8,
            PixelFormat::GrayAlpha8 => ExtendedColorType::La8,
            PixelFormat::Rgb8 => ExtendedColorType::Rgb8,
            PixelFormat::Rgba8 => ExtendedColorType::Rgba8,
        };
        encoder.write_image(&self.pixels, self.size.width as u32, self.size.height as u32, colour)
    }
}

impl Sink for WholeSink {
    fn write_row(&mut self, row: &[u8]) -> Result<(), WriteError> {
        spread(row, self.from, self.encoding.stored(self.from), &mut self.pixels);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), WriteError> {
        if self.pixels.len() != self.size.width * self.size.height * self.encoding.stored(self.from).channels() {
            return Err(self.destination.refused("the number of rows is not that of the picture"));
        }
        match self.encode() {
            Ok(()) => self.destination.commit(),
            Err(image::ImageError::IoError(error)) => Err(self.destination.failed(error)),
            Err(other) => Err(self.destination.refused(&other.to_string())),
        }
    }
}

//! Pictures that are held whole: formats of the `image` crate, and PNG rows that must be turned.

use std::borrow::Cow;
use std::io::{BufRead, Cursor, Seek, Write};

use image::codecs::jpeg::{JpegEncoder, PixelDensity, PixelDensityUnit};
use image::codecs::{bmp::BmpEncoder, webp::WebPEncoder};
use image::metadata::Orientation;
use image::{
    DynamicImage, ExtendedColorType, ImageBuffer, ImageDecoder, ImageEncoder, ImageFormat, ImageReader, ImageResult,
};

use super::density::{Unit, is_impossible_tiff, of_tiff, profile_of_tiff};
use super::encoding::spread;
use super::picture::{Samples, eight_bits};
use super::{Density, Encoding, Metadata, Sink, Source, tiff};
use crate::frame::PixelFormat;
use crate::geom::Size;
use crate::io::destination::Destination;
use crate::io::error::{Fault, OpenError, ReadError, WriteError};
use crate::io::fence::fenced;
use crate::io::jpeg;
use crate::io::limits::{can_get, check_whole, whole_bytes, whole_limit};

/// Quality of JPEG output: close to what cameras write.
const JPEG_QUALITY: u8 = 95;

/// What decoders take, in times of the pixels that they give: coefficients of progressive JPEG, planes of WebP, and a turned
/// copy.
const DECODING: u64 = 4;
/// What they and encoders take whatever the size.
const BESIDE: u64 = 4 << 20;

/// A JPEG segment holds at most this much EXIF.
const JPEG_EXIF_BYTES: usize = 65_000;

struct WholeSource {
    size: Size,
    format: PixelFormat,
    metadata: Metadata,
    samples: Samples,
    next: usize,
    /// The row that is lent of samples with 16 bits, rounded.
    row: Vec<u8>,
}

impl WholeSource {
    /// Where the row before the next lies.
    fn last(&self) -> std::ops::Range<usize> {
        let row = self.size.width * self.format.channels();
        (self.next - 1) * row..self.next * row
    }
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
        if self.next == self.size.height {
            return Ok(None);
        }
        self.next += 1;
        let at = self.last();
        Ok(match &self.samples {
            Samples::Eight(samples) => samples.get(at),
            Samples::Sixteen(samples) => {
                self.row = eight_bits(&samples[at]);
                Some(&self.row)
            }
        })
    }

    fn held_bytes(&self) -> usize {
        match &self.samples {
            Samples::Eight(samples) => samples.len(),
            Samples::Sixteen(samples) => 2 * samples.len(),
        }
    }

    fn deep_row(&self) -> &[u16] {
        match &self.samples {
            Samples::Sixteen(samples) if self.next > 0 => &samples[self.last()],
            _ => &[],
        }
    }
}

/// Decodes a JPEG, once its segments are in order.
pub(in crate::io) fn open_jpeg(bytes: Vec<u8>, name: &str) -> Result<Box<dyn Source>, OpenError> {
    let mended = match jpeg::whole(&bytes).map_err(|reason| Fault::bad(reason).open(name))? {
        Cow::Owned(mended) => mended,
        Cow::Borrowed(_) => bytes,
    };
    let density = jpeg::density(&mended).and_then(|(across, down, unit)| {
        Density::new(
            across.into(),
            down.into(),
            [Unit::Ratio, Unit::Inch, Unit::Centimetre].get(usize::from(unit)).copied()?,
        )
    });
    decode(Cursor::new(mended), ImageFormat::Jpeg, Metadata { density, ..Metadata::default() }, name)
}

/// Decodes a whole picture.
pub(in crate::io) fn open<R>(mut reader: R, format: ImageFormat, name: &str) -> Result<Box<dyn Source>, OpenError>
where
    R: BufRead + Seek + 'static,
{
    let mut known = Metadata::default();
    if format == ImageFormat::Tiff {
        if is_impossible_tiff(&mut reader) {
            return Err(Fault::bad("a tag has more values than the file has bytes").open(name));
        }
        known.density = of_tiff(&mut reader);
        known.icc = profile_of_tiff(&mut reader);
        reader.rewind().map_err(|error| Fault::from(error).open(name))?;
    }
    decode(reader, format, known, name)
}

fn decode<R>(reader: R, format: ImageFormat, known: Metadata, name: &str) -> Result<Box<dyn Source>, OpenError>
where
    R: BufRead + Seek + 'static,
{
    let mut decoder = fenced(|| decoder(reader, format)).map_err(|fault| fault.open(name))?;
    let (width, height) = decoder.dimensions();
    let size = Size::new(width as usize, height as usize);
    let bytes_per_pixel = usize::from(decoder.color_type().bytes_per_pixel());
    check_whole(name, size, bytes_per_pixel)?;
    can_get(DECODING * whole_bytes(size, bytes_per_pixel) + BESIDE).map_err(|error| OpenError::io(name, error))?;
    let (metadata, orientation) =
        fenced(|| Ok::<_, Fault>(metadata(&mut decoder, known))).map_err(|fault| fault.open(name))?;
    let image = fenced(|| DynamicImage::from_decoder(decoder)).map_err(|fault| fault.open(name))?;
    fenced(|| Ok::<_, Fault>(source(image, orientation, metadata))).map_err(|fault| fault.open(name))
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
fn metadata(decoder: &mut impl ImageDecoder, known: Metadata) -> (Metadata, Orientation) {
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let icc = known.icc.or_else(|| decoder.icc_profile().ok().flatten());
    let mut exif = decoder.exif_metadata().ok().flatten();
    if let Some(bytes) = &mut exif {
        let _ = Orientation::remove_from_exif_chunk(bytes);
    }
    // What EXIF says counts where the file itself says nothing.
    let density = known.density.or_else(|| of_tiff(&mut Cursor::new(exif.as_deref()?)));
    (Metadata { icc, exif, density, ..Metadata::default() }, orientation)
}

/// A source for pixels that are decoded already and lie as the file has them.
pub(in crate::io) fn turned(
    pixels: Samples,
    size: Size,
    format: PixelFormat,
    orientation: Orientation,
    metadata: Metadata,
    name: &str,
) -> Result<Box<dyn Source>, OpenError> {
    let (width, height) = (size.width as u32, size.height as u32);
    let image = match (format, pixels) {
        (PixelFormat::Gray8, Samples::Eight(p)) => {
            ImageBuffer::from_raw(width, height, p).map(DynamicImage::ImageLuma8)
        }
        (PixelFormat::GrayAlpha8, Samples::Eight(p)) => {
            ImageBuffer::from_raw(width, height, p).map(DynamicImage::ImageLumaA8)
        }
        (PixelFormat::Rgb8, Samples::Eight(p)) => ImageBuffer::from_raw(width, height, p).map(DynamicImage::ImageRgb8),
        (PixelFormat::Rgba8, Samples::Eight(p)) => {
            ImageBuffer::from_raw(width, height, p).map(DynamicImage::ImageRgba8)
        }
        (PixelFormat::Gray8, Samples::Sixteen(p)) => {
            ImageBuffer::from_raw(width, height, p).map(DynamicImage::ImageLuma16)
        }
        (PixelFormat::GrayAlpha8, Samples::Sixteen(p)) => {
            ImageBuffer::from_raw(width, height, p).map(DynamicImage::ImageLumaA16)
        }
        (PixelFormat::Rgb8, Samples::Sixteen(p)) => {
            ImageBuffer::from_raw(width, height, p).map(DynamicImage::ImageRgb16)
        }
        (PixelFormat::Rgba8, Samples::Sixteen(p)) => {
            ImageBuffer::from_raw(width, height, p).map(DynamicImage::ImageRgba16)
        }
    };
    let image = image.ok_or_else(|| Fault::bad("fewer pixels than the header says").open(name))?;
    Ok(source(image, orientation, metadata))
}

fn source(mut image: DynamicImage, orientation: Orientation, mut metadata: Metadata) -> Box<dyn Source> {
    image.apply_orientation(orientation);
    let size = Size::new(image.width() as usize, image.height() as usize);
    let colour = image.color();
    metadata.deep = colour.bytes_per_pixel() > colour.channel_count();
    let (format, samples) = match (colour.has_color(), colour.has_alpha(), metadata.deep) {
        (false, false, false) => (PixelFormat::Gray8, Samples::Eight(image.into_luma8().into_raw())),
        (false, true, false) => (PixelFormat::GrayAlpha8, Samples::Eight(image.into_luma_alpha8().into_raw())),
        (true, false, false) => (PixelFormat::Rgb8, Samples::Eight(image.into_rgb8().into_raw())),
        (true, true, false) => (PixelFormat::Rgba8, Samples::Eight(image.into_rgba8().into_raw())),
        (false, false, true) => (PixelFormat::Gray8, Samples::Sixteen(image.into_luma16().into_raw())),
        (false, true, true) => (PixelFormat::GrayAlpha8, Samples::Sixteen(image.into_luma_alpha16().into_raw())),
        (true, false, true) => (PixelFormat::Rgb8, Samples::Sixteen(image.into_rgb16().into_raw())),
        (true, true, true) => (PixelFormat::Rgba8, Samples::Sixteen(image.into_rgba16().into_raw())),
    };
    metadata.keep_matching_profile(format);
    Box::new(WholeSource { size, format, metadata, samples, next: 0, row: Vec::new() })
}

/// Collects rows, encodes at the end.
pub(in crate::io) struct WholeSink {
    destination: Destination,
    encoding: Encoding,
    size: Size,
    from: PixelFormat,
    metadata: Metadata,
    samples: Samples,
}

/// What encoders take beside the pixels, in times of these: TIFF is made in memory, and WebP has copies.
const ENCODING: usize = 3;

impl WholeSink {
    /// Reserves the memory.
    pub(in crate::io) fn begin(
        destination: Destination,
        encoding: Encoding,
        size: Size,
        from: PixelFormat,
        metadata: &Metadata,
    ) -> Result<Self, WriteError> {
        let count = size.width * size.height * encoding.stored(from).channels();
        let bytes = if metadata.deep { 2 * count } else { count };
        can_get(((1 + ENCODING) * bytes) as u64 + BESIDE).map_err(|error| destination.failed(error))?;
        let samples = match metadata.deep {
            true => Samples::Sixteen(Vec::with_capacity(count)),
            false => Samples::Eight(Vec::with_capacity(count)),
        };
        let mut metadata = metadata.clone();
        // Pixels that were spread to colour no longer match a grey profile.
        metadata.keep_matching_profile(encoding.stored(from));
        if encoding == Encoding::Jpeg && metadata.exif.take_if(|exif| exif.len() > JPEG_EXIF_BYTES).is_some() {
            log::warn!("the EXIF block is too long for JPEG and is left out");
        }
        Ok(Self { destination, encoding, size, from, metadata, samples })
    }

    fn encode(&mut self) -> ImageResult<()> {
        let out = self.destination.out();
        match self.encoding {
            Encoding::Jpeg => {
                let mut encoder = JpegEncoder::new_with_quality(out, JPEG_QUALITY);
                if let Some(density) = self.metadata.density {
                    let (unit, [across, down]) = density.whole(&[Unit::Inch, Unit::Centimetre], 65_535.0);
                    let unit = match unit {
                        Unit::Inch => PixelDensityUnit::Inches,
                        Unit::Centimetre => PixelDensityUnit::Centimeters,
                        _ => PixelDensityUnit::PixelAspectRatio,
                    };
                    encoder.set_pixel_density(PixelDensity { density: (across as u16, down as u16), unit });
                }
                self.run(encoder)
            }
            Encoding::WebP => self.run(WebPEncoder::new_lossless(out)),
            Encoding::Bmp => self.run(BmpEncoder::new(&mut self.destination.out())),
            _ => {
                // Its writer goes back to fill in offsets, which a pipe cannot.
                let mut file = Cursor::new(Vec::new());
                let channels = self.encoding.stored(self.from).channels();
                tiff::write(&mut file, self.size, channels, &self.samples, &self.metadata)
                    .map_err(|error| image::ImageError::IoError(std::io::Error::other(error.to_string())))?;
                self.destination.out().write_all(&file.into_inner()).map_err(image::ImageError::IoError)
            }
        }
    }

    /// Encoders of the `image` crate get 8 bits.
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
        let pixels = match &self.samples {
            Samples::Eight(samples) => Cow::Borrowed(samples),
            Samples::Sixteen(samples) => Cow::Owned(eight_bits(samples)),
        };
        encoder.write_image(&pixels, self.size.width as u32, self.size.height as u32, colour)
    }
}

impl Sink for WholeSink {
    fn write_row(&mut self, row: &[u8]) -> Result<(), WriteError> {
        match &mut self.samples {
            Samples::Eight(samples) => spread(row, self.from, self.encoding.stored(self.from), samples),
            Samples::Sixteen(_) => return Err(self.destination.refused("8 bits a sample for a picture of 16")),
        }
        Ok(())
    }

    fn is_deep(&self) -> bool {
        self.metadata.deep
    }

    fn write_deep_row(&mut self, row: &[u16]) -> Result<(), WriteError> {
        match &mut self.samples {
            Samples::Sixteen(samples) => spread(row, self.from, self.encoding.stored(self.from), samples),
            Samples::Eight(samples) => spread(&eight_bits(row), self.from, self.encoding.stored(self.from), samples),
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), WriteError> {
        let have = match &self.samples {
            Samples::Eight(samples) => samples.len(),
            Samples::Sixteen(samples) => samples.len(),
        };
        if have != self.size.width * self.size.height * self.encoding.stored(self.from).channels() {
            return Err(self.destination.refused("the number of rows is not that of the picture"));
        }
        match self.encode() {
            Ok(()) => self.destination.commit(),
            Err(image::ImageError::IoError(error)) => Err(self.destination.failed(error)),
            Err(other) => Err(self.destination.refused(&other.to_string())),
        }
    }
}

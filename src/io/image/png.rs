//! PNG, row by row in both directions.

use std::io::{BufRead, Seek, Write};

use ::png::{
    BitDepth, ColorType, Compression, DecodeOptions, Decoder, Encoder, Info, Limits, Reader, StreamWriter,
    Transformations,
};
use image::metadata::Orientation;

use super::density::Unit;
use super::picture::{Samples, to_eight_bits};
use super::{Density, Metadata, PngColour, Sink, Source, whole};
use crate::frame::PixelFormat;
use crate::geom::Size;
use crate::io::destination::{Destination, Out};
use crate::io::error::{Fault, OpenError, ReadError, WriteError};
use crate::io::fence::fenced;
use crate::io::limits::{can_get, check_side, check_whole};

/// Most bytes for chunks beside the pixels: a compressed ICC profile grows to no more, or is left out.
const CHUNK_BYTES: usize = 4 << 20;

struct PngSource<R: BufRead + Seek> {
    reader: Reader<R>,
    name: String,
    size: Size,
    format: PixelFormat,
    metadata: Metadata,
    /// Rows as the decoder gives them: with 16 bits, twice as long as `row`.
    raw: Vec<u8>,
    deep: Vec<u16>,
    row: Vec<u8>,
    left: usize,
}

/// Is this an animation? Looks at no more than goes before the first pixels, which other errors are for [`open`] to say of.
pub(in crate::io) fn is_animated(reader: impl BufRead + Seek) -> bool {
    let mut decoder = Decoder::new(reader);
    decoder.set_limits(Limits { bytes: CHUNK_BYTES });
    let read =
        fenced(|| decoder.read_info().map(|reader| reader.info().animation_control.is_some_and(|a| a.num_frames > 1)));
    read.unwrap_or(false)
}

/// The metadata of an animation, and its size.
pub(in crate::io) fn about_animation(bytes: &[u8], name: &str) -> Result<(Size, Metadata), OpenError> {
    let mut decoder = Decoder::new(std::io::Cursor::new(bytes));
    decoder.set_limits(Limits { bytes: CHUNK_BYTES });
    let reader = fenced(|| decoder.read_info()).map_err(|fault| fault.open(name))?;
    let (metadata, _) = metadata(reader.info(), PixelFormat::Rgb8);
    Ok((size_of(reader.info()), metadata))
}

/// Reads up to the first pixels. What cannot be read in order, interlaced or turned pictures, is decoded whole.
pub(in crate::io) fn open<R>(reader: R, name: &str) -> Result<Box<dyn Source>, OpenError>
where
    R: BufRead + Seek + Send + 'static,
{
    let mut options = DecodeOptions::default();
    options.set_ignore_text_chunk(true);
    // By default a damaged transparency chunk would be passed over, and its picture come out opaque.
    options.set_skip_ancillary_crc_failures(false);
    let mut decoder = Decoder::new_with_options(reader, options);
    decoder.set_limits(Limits { bytes: CHUNK_BYTES });
    decoder.set_transformations(Transformations::EXPAND);
    let size = fenced(|| decoder.read_header_info().map(size_of)).map_err(|fault| fault.open(name))?;
    check_side(name, size)?;
    let reader = fenced(|| decoder.read_info()).map_err(|fault| fault.open(name))?;
    let (format, wide) = layout(&reader).map_err(|fault| fault.open(name))?;
    let (mut metadata, orientation) = metadata(reader.info(), format);
    metadata.deep = wide;
    let samples = size.width * format.channels();
    let raw = vec![0; if wide { 2 * samples } else { 0 }];
    let row = vec![0; samples];
    let whole = reader.info().interlaced || orientation != Orientation::NoTransforms;
    let deep = vec![0; raw.len() / 2];
    let source =
        PngSource { reader, name: name.to_string(), size, format, metadata, raw, deep, row, left: size.height };
    if whole { source.decode_whole(orientation) } else { Ok(Box::new(source)) }
}

fn size_of(info: &Info) -> Size {
    Size::new(info.width as usize, info.height as usize)
}

/// Format of the rows, and whether their samples have two bytes.
fn layout<R: BufRead + Seek>(reader: &Reader<R>) -> Result<(PixelFormat, bool), Fault> {
    let (colour, depth) = reader.output_color_type();
    let format = match colour {
        ColorType::Grayscale => PixelFormat::Gray8,
        ColorType::GrayscaleAlpha => PixelFormat::GrayAlpha8,
        ColorType::Rgb => PixelFormat::Rgb8,
        ColorType::Rgba => PixelFormat::Rgba8,
        ColorType::Indexed => return Err(Fault::bad("damaged PNG: the palette is missing")),
    };
    Ok((format, depth == BitDepth::Sixteen))
}

fn metadata(info: &Info, format: PixelFormat) -> (Metadata, Orientation) {
    let mut exif = info.exif_metadata.as_ref().map(|bytes| bytes.to_vec());
    let orientation = exif.as_mut().and_then(|bytes| Orientation::remove_from_exif_chunk(bytes));
    let png = PngColour { gamma: info.source_gamma, chromaticities: info.source_chromaticities, srgb: info.srgb };
    let density = info.pixel_dims.and_then(|dims| {
        let unit = if dims.unit == ::png::Unit::Meter { Unit::Metre } else { Unit::Ratio };
        Density::new(dims.xppu.into(), dims.yppu.into(), unit)
    });
    let icc = info.icc_profile.as_ref().map(|bytes| bytes.to_vec());
    let mut metadata = Metadata { icc, exif, png, density, ..Metadata::default() };
    metadata.keep_matching_profile(format);
    (metadata, orientation.unwrap_or(Orientation::NoTransforms))
}

impl<R: BufRead + Seek> PngSource<R> {
    fn decode_whole(mut self, orientation: Orientation) -> Result<Box<dyn Source>, OpenError> {
        let wide = !self.raw.is_empty();
        let bytes_per_pixel = self.format.channels() * if wide { 2 } else { 1 };
        check_whole(&self.name, self.size, bytes_per_pixel)?;
        let bytes = self.size.width * self.size.height * bytes_per_pixel;
        // Once more for 16 bits, and once for turning.
        can_get(3 * bytes as u64).map_err(|error| OpenError::io(&self.name, error))?;
        let mut pixels = vec![0; bytes];
        fenced(|| self.reader.next_frame(&mut pixels)).map_err(|fault| fault.open(&self.name))?;
        let pixels = match wide {
            true => Samples::Sixteen(pixels.chunks_exact(2).map(sixteen).collect()),
            false => Samples::Eight(pixels),
        };
        whole::turned(pixels, self.size, self.format, orientation, self.metadata, &self.name)
    }

    fn decode_row(&mut self) -> Result<bool, Fault> {
        let wide = !self.raw.is_empty();
        let target = if wide { &mut self.raw } else { &mut self.row };
        // One call past the last row verifies what follows the pixels.
        let some = fenced(|| self.reader.read_row(target))?.is_some();
        if some != (self.left > 0) {
            return Err(Fault::bad("damaged PNG: the number of rows is not what the header says"));
        }
        for ((deep, out), pair) in self.deep.iter_mut().zip(&mut self.row).zip(self.raw.chunks_exact(2)) {
            *deep = sixteen(pair);
            *out = to_eight_bits((*deep).into(), 65_535);
        }
        Ok(some)
    }
}

fn sixteen(pair: &[u8]) -> u16 {
    u16::from_be_bytes([pair[0], pair[1]])
}

impl<R: BufRead + Seek + Send> Source for PngSource<R> {
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
        let some = self.decode_row().map_err(|fault| fault.read(&self.name))?;
        self.left -= usize::from(some);
        Ok(some.then_some(&self.row))
    }

    fn deep_row(&self) -> &[u16] {
        &self.deep
    }
}

/// Compresses rows as they come.
pub(in crate::io) struct PngSink {
    /// Before `destination`, so that it is dropped first and nothing holds the file when its name is removed.
    stream: StreamWriter<'static, Out>,
    destination: Destination,
    deep: bool,
    raw: Vec<u8>,
}

impl PngSink {
    /// Writes everything before the pixels.
    pub(in crate::io) fn begin(
        destination: Destination,
        size: Size,
        format: PixelFormat,
        metadata: &Metadata,
    ) -> Result<Self, WriteError> {
        let deep = metadata.deep;
        let encoder = encoder(destination.out(), size, format, deep, metadata);
        let stream = encoder.and_then(|encoder| encoder.write_header()?.into_stream_writer());
        let stream = stream.map_err(|error| failure(&destination, error))?;
        Ok(Self { stream, destination, deep, raw: Vec::new() })
    }
}

/// An encoder with everything that goes before the pixels.
pub(super) fn encoder(
    out: Out,
    size: Size,
    format: PixelFormat,
    deep: bool,
    metadata: &Metadata,
) -> Result<Encoder<'static, Out>, ::png::EncodingError> {
    let mut info = Info::with_size(size.width as u32, size.height as u32);
    info.color_type = match format {
        PixelFormat::Gray8 => ColorType::Grayscale,
        PixelFormat::GrayAlpha8 => ColorType::GrayscaleAlpha,
        PixelFormat::Rgb8 => ColorType::Rgb,
        PixelFormat::Rgba8 => ColorType::Rgba,
    };
    info.bit_depth = if deep { BitDepth::Sixteen } else { BitDepth::Eight };
    info.icc_profile = metadata.icc.clone().map(Into::into);
    info.exif_metadata = metadata.exif.clone().map(Into::into);
    info.source_gamma = metadata.png.gamma;
    info.source_chromaticities = metadata.png.chromaticities;
    info.srgb = metadata.png.srgb;
    info.pixel_dims = metadata.density.map(|density| {
        let (unit, [xppu, yppu]) = density.whole(&[Unit::Metre], f64::from(i32::MAX));
        let unit = if unit == Unit::Metre { ::png::Unit::Meter } else { ::png::Unit::Unspecified };
        ::png::PixelDimensions { xppu, yppu, unit }
    });
    let mut encoder = Encoder::with_info(out, info)?;
    // A tenth larger than `Balanced`, in a fifth of the time: on a small board the default would outlast the network.
    encoder.set_compression(Compression::Fast);
    Ok(encoder)
}

pub(super) fn failure(destination: &Destination, error: ::png::EncodingError) -> WriteError {
    match error {
        ::png::EncodingError::IoError(error) => destination.failed(error),
        other => destination.refused(&other.to_string()),
    }
}

impl Sink for PngSink {
    fn write_row(&mut self, row: &[u8]) -> Result<(), WriteError> {
        self.stream.write_all(row).map_err(|e| self.destination.failed(e))
    }

    fn is_deep(&self) -> bool {
        self.deep
    }

    fn write_deep_row(&mut self, row: &[u16]) -> Result<(), WriteError> {
        self.raw.clear();
        self.raw.extend(row.iter().flat_map(|sample| sample.to_be_bytes()));
        self.stream.write_all(&self.raw).map_err(|e| self.destination.failed(e))
    }

    fn finish(self: Box<Self>) -> Result<(), WriteError> {
        let Self { stream, destination, .. } = *self;
        // The last chunk is written while the stream is dropped, errors unseen; `commit` sees them.
        stream.finish().map_err(|e| failure(&destination, e))?;
        destination.commit()
    }
}

//! Opening: the first bytes tell the format, never the name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use image::ImageFormat;

use super::matte::filled;
use super::{Encoding, Metadata, Source, animation, jxl, png, pnm, whole};
use crate::io::error::{Fault, OpenError};
use crate::io::fence::fenced;
use crate::io::limits::{PORT_BYTES, whole_limit};
use crate::io::location::Location;

/// An opened picture.
pub type Picture = Box<dyn Source>;

/// Bytes that tell every format apart.
const MAGIC_LEN: usize = 12;

#[derive(Clone, Copy)]
enum Kind {
    Png,
    Pnm,
    Gif,
    Jxl,
    Whole(ImageFormat),
}

/// Opens a file or standard input.
///
/// # Errors
///
/// When it is missing, not a picture, damaged as far as its header tells, or too large.
pub fn open(location: &Location) -> Result<Picture, OpenError> {
    match location {
        Location::Standard => open_stream(io::stdin(), "standard input"),
        Location::File(path) => open_file(path).map(filled),
    }
}

/// Opens a picture that comes as a stream of bytes; `name` is for messages.
///
/// # Errors
///
/// As [`open`].
pub fn open_stream(reader: impl Read + Send + 'static, name: &str) -> Result<Picture, OpenError> {
    decode_stream(reader, name).map(filled)
}

fn decode_stream(reader: impl Read + Send + 'static, name: &str) -> Result<Picture, OpenError> {
    let mut rest = BufReader::with_capacity(PORT_BYTES, Box::new(reader) as Box<dyn Read + Send>);
    let head = read_head(&mut rest).map_err(|e| Fault::from(e).open(name))?;
    let kind = kind_of(&head, name)?;
    let stream = Stream { head: Cursor::new(head), rest };
    match kind {
        Kind::Png => open_png_stream(stream, name),
        Kind::Pnm => pnm::open(stream, name),
        kind => held(kind, read_all(stream, name)?, name),
    }
}

fn open_file(path: &Path) -> Result<Picture, OpenError> {
    let name = path.display().to_string();
    let fail = |source| OpenError::io(&name, source);
    let file = File::open(path).map_err(fail)?;
    let about = file.metadata().map_err(fail)?;
    if about.is_dir() {
        return Err(OpenError::Corrupt { file: name, reason: "this is a folder".into() });
    }
    if !about.is_file() {
        return decode_stream(file, &name);
    }
    let mut reader = BufReader::with_capacity(PORT_BYTES, file);
    let head = read_head(&mut reader).map_err(fail)?;
    let kind = kind_of(&head, &name)?;
    reader.seek(SeekFrom::Start(0)).map_err(fail)?;
    match kind {
        Kind::Png => {
            let animated = png::is_animated(&mut reader);
            reader.seek(SeekFrom::Start(0)).map_err(fail)?;
            if animated { held(Kind::Png, read_all(reader, &name)?, &name) } else { png::open(reader, &name) }
        }
        Kind::Pnm => pnm::open(reader, &name),
        Kind::Whole(format @ (ImageFormat::Tiff | ImageFormat::Bmp | ImageFormat::Pnm)) => {
            whole::open(reader, format, &name)
        }
        // Their decoders hold the file in memory anyway, or read it twice.
        kind => held(kind, read_all(reader, &name)?, &name),
    }
}

/// Opens a picture whose file is in memory.
fn held(kind: Kind, bytes: Vec<u8>, name: &str) -> Result<Picture, OpenError> {
    match kind {
        Kind::Gif => {
            let cut = || Fault::bad("the picture is cut short").open(name);
            let size = animation::gif_size(&bytes).ok_or_else(cut)?;
            animation::open(bytes, size, animation::Kind::Gif, Metadata::default(), name)
        }
        Kind::Png => {
            let (size, metadata) = png::about_animation(&bytes, name)?;
            animation::open(bytes, size, animation::Kind::Png, metadata, name)
        }
        Kind::Whole(ImageFormat::Jpeg) => whole::open_jpeg(bytes, name),
        Kind::Whole(ImageFormat::WebP) => match animation::animated_webp(&bytes) {
            Some((size, metadata)) => animation::open(bytes, size, animation::Kind::WebP, metadata, name),
            None => whole::open(Cursor::new(bytes), ImageFormat::WebP, name),
        },
        Kind::Whole(format) => whole::open(Cursor::new(bytes), format, name),
        Kind::Jxl => jxl::open(&bytes, name),
        Kind::Pnm => pnm::open(Cursor::new(bytes), name),
    }
}

/// A PNG that comes as a stream is looked at as far as its pixels, to see whether they are those of an animation.
fn open_png_stream(mut stream: Stream, name: &str) -> Result<Picture, OpenError> {
    let mut head = stream.head.into_inner();
    let mut at = 8;
    // Length and kind of the next chunk.
    while let Some(chunk) = fill_to(&mut head, &mut stream.rest, at + 8).map_err(|e| Fault::from(e).open(name))? {
        let length = u32::from_be_bytes([chunk[at], chunk[at + 1], chunk[at + 2], chunk[at + 3]]) as usize;
        let kind = &chunk[at + 4..at + 8];
        if kind == b"acTL" {
            let rest = Stream { head: Cursor::new(head), rest: stream.rest };
            let bytes = read_all(rest, name)?;
            return match png::is_animated(Cursor::new(&bytes)) {
                true => held(Kind::Png, bytes, name),
                false => png::open(Cursor::new(bytes), name),
            };
        }
        if kind == b"IDAT" || at + length > MOST_BEFORE_PIXELS {
            break;
        }
        at += length + 12;
    }
    png::open(Stream { head: Cursor::new(head), rest: stream.rest }, name)
}

/// Bytes of a PNG's chunks before its pixels that are looked at for an animation; honest ones say so at once.
const MOST_BEFORE_PIXELS: usize = 8 << 20;

/// Reads until there are `length` bytes; `None` where the stream ends before.
fn fill_to<'a>(head: &'a mut Vec<u8>, rest: &mut impl Read, length: usize) -> io::Result<Option<&'a [u8]>> {
    if let Some(missing) = length.checked_sub(head.len()) {
        rest.take(missing as u64).read_to_end(head)?;
    }
    Ok((head.len() >= length).then_some(head))
}

/// Has the picture colour, as far as its header tells?
pub fn is_colour(path: &Path) -> bool {
    let read = || -> Result<bool, Fault> {
        let mut reader = image::ImageReader::open(path)?.with_guessed_format()?;
        reader.limits(image::Limits::default());
        Ok(image::ImageDecoder::color_type(&reader.into_decoder()?).has_color())
    };
    fenced(read).unwrap_or(false)
}

/// Does the name look like a picture that can be read? For choosing files of a folder only.
pub fn is_picture_name(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let read_only = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("jxl"));
    !hidden && (read_only || Encoding::of_path(path).is_some())
}

fn read_head(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(MAGIC_LEN);
    reader.take(MAGIC_LEN as u64).read_to_end(&mut head)?;
    Ok(head)
}

fn read_all(reader: impl Read, name: &str) -> Result<Vec<u8>, OpenError> {
    let limit = whole_limit();
    let mut bytes = Vec::new();
    reader.take(limit + 1).read_to_end(&mut bytes).map_err(|e| Fault::from(e).open(name))?;
    if bytes.len() as u64 > limit {
        return Err(OpenError::TooLong { file: name.to_string(), limit });
    }
    Ok(bytes)
}

fn kind_of(head: &[u8], name: &str) -> Result<Kind, OpenError> {
    let kind = match head {
        [] => return Err(OpenError::Empty { file: name.to_string() }),
        [0x89, b'P', b'N', b'G', ..] => Kind::Png,
        [0xff, 0xd8, 0xff, ..] => Kind::Whole(ImageFormat::Jpeg),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P'] => Kind::Whole(ImageFormat::WebP),
        [b'G', b'I', b'F', b'8', ..] => Kind::Gif,
        [0xff, 0x0a, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => Kind::Jxl,
        [b'B', b'M', ..] => Kind::Whole(ImageFormat::Bmp),
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Kind::Whole(ImageFormat::Tiff),
        [b'P', b'5' | b'6', next, ..] if next.is_ascii_whitespace() || *next == b'#' => Kind::Pnm,
        [b'P', b'1'..=b'4' | b'7', next, ..] if next.is_ascii_whitespace() || *next == b'#' => {
            Kind::Whole(ImageFormat::Pnm)
        }
        _ => return Err(OpenError::Unknown { file: name.to_string(), hint: hint(head) }),
    };
    Ok(kind)
}

/// What a file is that cannot be read.
fn hint(head: &[u8]) -> &'static str {
    match head {
        [_, _, _, _, b'f', b't', b'y', b'p', b'a', b'v', b'i', b'f' | b's'] => {
            "; this is AVIF: `avifdec in.avif out.png`, or ffmpeg, makes a PNG of it"
        }
        [_, _, _, _, b'f', b't', b'y', b'p', b'h' | b'm', ..] => {
            "; this is HEIC: `heif-convert in.heic out.png` makes a PNG of it"
        }
        _ => "",
    }
}

/// A pipe whose first bytes were looked at.
struct Stream {
    head: Cursor<Vec<u8>>,
    rest: BufReader<Box<dyn Read + Send>>,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.head.read(buffer)? {
            0 => self.rest.read(buffer),
            n => Ok(n),
        }
    }
}

impl BufRead for Stream {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.head.position() < self.head.get_ref().len() as u64 {
            self.head.fill_buf()
        } else {
            self.rest.fill_buf()
        }
    }

    fn consume(&mut self, n: usize) {
        if self.head.position() < self.head.get_ref().len() as u64 {
            self.head.consume(n);
        } else {
            self.rest.consume(n);
        }
    }
}

/// The PNG reader asks for `Seek` in its bounds but reads straight on; a pipe cannot do better than refuse.
impl Seek for Stream {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

//! Binary PPM and PGM, row by row.

use std::io::{BufRead, Write};

use super::encoding::spread;
use super::picture::to_eight_bits;
use super::{Metadata, Sink, Source};
use crate::frame::PixelFormat;
use crate::geom::Size;
use crate::io::destination::Destination;
use crate::io::error::{Fault, OpenError, ReadError, WriteError};
use crate::io::limits::check_side;

/// Longest header with its comments; no honest file comes near.
const MAX_HEADER: usize = 1 << 16;

struct PnmSource<R> {
    reader: R,
    name: String,
    size: Size,
    format: PixelFormat,
    metadata: Metadata,
    /// Greatest sample of the file; above 255 a sample takes two bytes, the greater first.
    max: u32,
    left: usize,
    raw: Vec<u8>,
    deep: Vec<u16>,
    row: Vec<u8>,
}

/// Reads the header.
pub(in crate::io) fn open<R: BufRead + Send + 'static>(
    mut reader: R,
    name: &str,
) -> Result<Box<dyn Source>, OpenError> {
    let (format, size, max) = read_header(&mut reader).map_err(|fault| fault.open(name))?;
    check_side(name, size)?;
    let samples = size.width * format.channels();
    let (raw, deep) = if max > 255 { (vec![0; 2 * samples], vec![0; samples]) } else { Default::default() };
    let name = name.to_string();
    let row = vec![0; samples];
    Ok(Box::new(PnmSource {
        reader,
        name,
        size,
        format,
        metadata: Metadata { deep: max > 255, ..Metadata::default() },
        max,
        left: size.height,
        raw,
        deep,
        row,
    }))
}

fn read_header(reader: &mut impl BufRead) -> Result<(PixelFormat, Size, u32), Fault> {
    let mut header = Header { reader, read: 0 };
    let magic = [header.byte()?, header.byte()?];
    let format = if magic == *b"P5" { PixelFormat::Gray8 } else { PixelFormat::Rgb8 };
    let (width, height, max) = (header.number()?, header.number()?, header.number()?);
    if !(1..=65_535).contains(&max) {
        return Err(Fault::bad(format!("damaged header: greatest sample is {max}")));
    }
    Ok((format, Size::new(width as usize, height as usize), max))
}

struct Header<'a, R> {
    reader: &'a mut R,
    read: usize,
}

impl<R: BufRead> Header<'_, R> {
    fn byte(&mut self) -> Result<u8, Fault> {
        let mut byte = [0];
        self.reader.read_exact(&mut byte)?;
        self.read += 1;
        if self.read > MAX_HEADER {
            return Err(Fault::bad("damaged header: it does not end"));
        }
        Ok(byte[0])
    }

    /// A number and the one whitespace after it; whitespace and comments before it are skipped.
    fn number(&mut self) -> Result<u32, Fault> {
        let mut byte = self.byte()?;
        loop {
            if byte == b'#' {
                while !matches!(self.byte()?, b'\n' | b'\r') {}
            } else if !byte.is_ascii_whitespace() {
                break;
            }
            byte = self.byte()?;
        }
        let mut value = 0u32;
        while byte.is_ascii_digit() {
            let digit = u32::from(byte - b'0');
            value = value.checked_mul(10).and_then(|v| v.checked_add(digit)).ok_or_else(bad_number)?;
            byte = self.byte()?;
        }
        if byte.is_ascii_whitespace() { Ok(value) } else { Err(bad_number()) }
    }
}

fn bad_number() -> Fault {
    Fault::bad("damaged header: a number is expected")
}

impl<R: BufRead + Send> Source for PnmSource<R> {
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
        if self.left == 0 {
            return Ok(None);
        }
        let wide = self.max > 255;
        let target = if wide { &mut self.raw } else { &mut self.row };
        self.reader.read_exact(target).map_err(|error| Fault::from(error).read(&self.name))?;
        self.left -= 1;
        let max = self.max;
        if wide {
            for ((out, deep), pair) in self.row.iter_mut().zip(&mut self.deep).zip(self.raw.chunks_exact(2)) {
                let sample = u32::from(u16::from_be_bytes([pair[0], pair[1]]));
                *out = to_eight_bits(sample, max);
                *deep = ((sample.min(max) * 65_535 + max / 2) / max) as u16;
            }
        } else if max < 255 {
            self.row.iter_mut().for_each(|sample| *sample = to_eight_bits(u32::from(*sample), max));
        }
        Ok(Some(&self.row))
    }

    fn deep_row(&self) -> &[u16] {
        &self.deep
    }
}

/// Writes P5 for grey and P6 for colour.
pub(in crate::io) struct PnmSink {
    destination: Destination,
    from: PixelFormat,
    to: PixelFormat,
    deep: bool,
    left: usize,
    row: Vec<u8>,
}

impl PnmSink {
    /// Writes the header; `to` is how the file holds the pixels.
    pub(in crate::io) fn begin(
        destination: Destination,
        size: Size,
        from: PixelFormat,
        to: PixelFormat,
        deep: bool,
    ) -> Result<Self, WriteError> {
        let magic = if to == PixelFormat::Gray8 { "P5" } else { "P6" };
        let header = format!("{magic}\n{} {}\n{}\n", size.width, size.height, if deep { 65_535 } else { 255 });
        destination.out().write_all(header.as_bytes()).map_err(|e| destination.failed(e))?;
        Ok(Self { destination, from, to, deep, left: size.height, row: Vec::new() })
    }
}

impl PnmSink {
    /// Writes what `fill` makes of the next row.
    fn write(&mut self, fill: impl FnOnce(&mut Vec<u8>)) -> Result<(), WriteError> {
        self.left =
            self.left.checked_sub(1).ok_or_else(|| self.destination.refused("more rows than the picture has"))?;
        self.row.clear();
        fill(&mut self.row);
        self.destination.out().write_all(&self.row).map_err(|e| self.destination.failed(e))
    }
}

impl Sink for PnmSink {
    fn write_row(&mut self, row: &[u8]) -> Result<(), WriteError> {
        let (from, to) = (self.from, self.to);
        self.write(|out| spread(row, from, to, out))
    }

    fn is_deep(&self) -> bool {
        self.deep
    }

    fn write_deep_row(&mut self, row: &[u16]) -> Result<(), WriteError> {
        let (from, to) = (self.from, self.to);
        let mut spread_out = Vec::new();
        spread(row, from, to, &mut spread_out);
        self.write(|out| out.extend(spread_out.iter().flat_map(|sample| sample.to_be_bytes())))
    }

    fn finish(self: Box<Self>) -> Result<(), WriteError> {
        if self.left > 0 {
            return Err(self.destination.refused("rows are missing"));
        }
        self.destination.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(bytes: &'static [u8]) -> Result<(Size, Vec<u8>), String> {
        let mut source = open(bytes, "x").map_err(|e| e.to_string())?;
        let mut pixels = Vec::new();
        while let Some(row) = source.next_row().map_err(|e| e.to_string())? {
            pixels.extend_from_slice(row);
        }
        Ok((source.size(), pixels))
    }

    #[test]
    fn reads_comments_and_depths() {
        assert_eq!(rows(b"P5 #c 9\n# 7 7\n2 1\n255\n\x01\xff").unwrap(), (Size::new(2, 1), vec![1, 255]));
        assert_eq!(rows(b"P5\n3\t1\r15 \x00\x07\x0f").unwrap().1, [0, 119, 255]);
        assert_eq!(rows(b"P5 2 1 65535\n\x80\x00\xff\xff").unwrap().1, [128, 255]);
        assert_eq!(rows(b"P6 1 2 255\nabcdef").unwrap(), (Size::new(1, 2), b"abcdef".to_vec()));
    }

    #[test]
    fn refuses_damage() {
        for (bytes, reason) in [
            (&b"P5 2 1 255\n\x01"[..], "cut short"),
            (b"P5 2", "cut short"),
            (b"P5 0 1 255\n", "no pixels"),
            (b"P5 1 1 0\n\x01", "greatest sample"),
            (b"P5 1 1 65536\n\x01", "greatest sample"),
            (b"P6 99999999999 1 255\n", "a number"),
            (b"P6 x 1 255\n", "a number"),
            (b"P6 100000 1 255\n", "100000x1 is too large"),
        ] {
            let error = rows(bytes).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}

//! Raw video: frames without any header, as cameras and `rawvideo` of ffmpeg give them. Rows have no padding.

use std::io::{BufRead, ErrorKind, Read, Write};
use std::str::FromStr;

use super::destination::Destination;
use super::error::Fault;
use super::unpack::unweave;
use super::{Arrival, Clip, FrameSink, FrameSource, ReadError, Shown, WriteError};
use crate::frame::{FrameFormat, Layout, Matrix, Range, Siting};
use crate::geom::Size;

/// How a raw frame lies in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawFormat {
    /// Luma, then Cb and Cr in turn, both of half the width and height.
    Nv12,
    /// Luma, Cb, Cr; chroma of half the width and height.
    Yuv420p,
    /// Rows of Y, Cb, Y, Cr.
    Yuyv,
    /// Luma, in full range.
    Gray,
    /// Red, green, blue.
    Rgb24,
}

impl RawFormat {
    const NAMES: [(&'static str, Self); 5] = [
        ("nv12", Self::Nv12),
        ("yuv420p", Self::Yuv420p),
        ("yuyv", Self::Yuyv),
        ("gray", Self::Gray),
        ("rgb24", Self::Rgb24),
    ];

    /// Name in a URI.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, format)| *format == self).map_or("", |(name, _)| name)
    }

    /// Layout of the same samples as planes.
    pub const fn layout(self) -> Layout {
        match self {
            Self::Nv12 | Self::Yuv420p => Layout::Yuv420,
            Self::Yuyv => Layout::Yuv422,
            Self::Gray => Layout::Gray,
            Self::Rgb24 => Layout::Rgb,
        }
    }

    /// Frames of this format. Cameras give limited BT.601 with chroma on the left.
    pub fn frame(self, size: Size, matrix: Option<Matrix>, range: Option<Range>) -> FrameFormat {
        let layout = self.layout();
        let usual = if layout.has_chroma() { Range::Limited } else { Range::Full };
        FrameFormat {
            size,
            layout,
            siting: Siting::Left,
            matrix: matrix.unwrap_or(Matrix::Bt601),
            range: range.unwrap_or(usual),
        }
    }

    /// Bytes of the row of samples that take turns; 0 where the stream has planes.
    fn woven(self, format: &FrameFormat) -> usize {
        match self {
            Self::Nv12 => 2 * format.chroma().width,
            Self::Yuyv => 4 * format.chroma().width,
            Self::Yuv420p | Self::Gray | Self::Rgb24 => 0,
        }
    }
}

impl FromStr for RawFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::NAMES.iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
        known.map(|(_, format)| *format).ok_or_else(|| {
            let names = Self::NAMES.map(|(name, _)| name).join(", ");
            format!("'{text}' is not a raw format; {names} are")
        })
    }
}

/// Reads raw frames.
pub(super) struct RawSource<R> {
    reader: R,
    name: String,
    format: RawFormat,
    clip: Clip,
    woven: Vec<u8>,
    read: u64,
}

impl<R: BufRead + Send> RawSource<R> {
    pub(super) fn new(reader: R, name: &str, format: RawFormat, clip: Clip) -> Self {
        let woven = vec![0; format.woven(&clip.format)];
        Self { reader, name: name.to_string(), format, clip, woven, read: 0 }
    }

    fn read_frame(&mut self, frame: &mut [u8]) -> std::io::Result<()> {
        let Self { reader, woven, clip, .. } = self;
        let chroma = clip.format.chroma().width;
        match self.format {
            RawFormat::Yuv420p | RawFormat::Gray | RawFormat::Rgb24 => reader.read_exact(frame),
            RawFormat::Nv12 => {
                let [luma, cb, cr] = clip.format.planes_mut(frame);
                reader.read_exact(luma)?;
                for (cb, cr) in cb.chunks_exact_mut(chroma).zip(cr.chunks_exact_mut(chroma)) {
                    reader.read_exact(woven)?;
                    for ((pair, cb), cr) in woven.chunks_exact(2).zip(cb).zip(cr) {
                        (*cb, *cr) = (pair[0], pair[1]);
                    }
                }
                Ok(())
            }
            RawFormat::Yuyv => {
                let [luma, cb, cr] = clip.format.planes_mut(frame);
                let chroma = cb.chunks_exact_mut(chroma).zip(cr.chunks_exact_mut(chroma));
                for (luma, (cb, cr)) in luma.chunks_exact_mut(clip.format.size.width).zip(chroma) {
                    reader.read_exact(woven)?;
                    unweave(woven, [0, 1, 2, 3], luma, cb, cr);
                }
                Ok(())
            }
        }
    }
}

impl<R: BufRead + Send> FrameSource for RawSource<R> {
    fn clip(&self) -> &Clip {
        &self.clip
    }

    fn read(&mut self, frame: &mut [u8]) -> Result<Arrival, ReadError> {
        match self.reader.fill_buf() {
            Ok([]) => return Ok(Arrival::End),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Fault::from(error).read(&self.name)),
        }
        self.read_frame(frame).map_err(|error| {
            let cut = error.kind() == ErrorKind::UnexpectedEof;
            let fault = if cut { Fault::bad(format!("frame {} is cut short", self.read)) } else { error.into() };
            fault.read(&self.name)
        })?;
        self.read += 1;
        Ok(Arrival::Frame(None))
    }
}

/// Writes raw frames.
pub(super) struct RawSink {
    destination: Destination,
    format: RawFormat,
    frame: FrameFormat,
    woven: Vec<u8>,
}

impl RawSink {
    pub(super) fn new(destination: Destination, format: RawFormat, frame: FrameFormat) -> Self {
        Self { destination, format, frame, woven: vec![0; format.woven(&frame)] }
    }

    fn write_frame(&mut self, frame: &[u8]) -> std::io::Result<()> {
        let mut out = self.destination.out();
        let [luma, cb, cr] = self.frame.planes(frame);
        let (width, chroma) = (self.frame.size.width, self.frame.chroma().width);
        match self.format {
            RawFormat::Yuv420p | RawFormat::Gray | RawFormat::Rgb24 => out.write_all(frame)?,
            RawFormat::Nv12 => {
                out.write_all(luma)?;
                for (cb, cr) in cb.chunks_exact(chroma).zip(cr.chunks_exact(chroma)) {
                    for ((pair, cb), cr) in self.woven.chunks_exact_mut(2).zip(cb).zip(cr) {
                        (pair[0], pair[1]) = (*cb, *cr);
                    }
                    out.write_all(&self.woven)?;
                }
            }
            RawFormat::Yuyv => {
                let chroma = cb.chunks_exact(chroma).zip(cr.chunks_exact(chroma));
                for (luma, (cb, cr)) in luma.chunks_exact(width).zip(chroma) {
                    for (((quad, luma), cb), cr) in self.woven.chunks_exact_mut(4).zip(luma.chunks(2)).zip(cb).zip(cr) {
                        quad.copy_from_slice(&[luma[0], *cb, luma[luma.len() - 1], *cr]);
                    }
                    out.write_all(&self.woven)?;
                }
            }
        }
        out.flush()
    }
}

impl FrameSink for RawSink {
    fn write(&mut self, frame: &[u8]) -> Result<Shown, WriteError> {
        self.write_frame(frame).map(|()| Shown::Now).map_err(|e| self.destination.failed(e))
    }

    fn finish(self: Box<Self>) -> Result<(), WriteError> {
        self.destination.commit()
    }
}

/// A reader for frames: they pass by its buffer, headers do not.
pub(super) fn buffered(reader: impl Read + Send + 'static) -> std::io::BufReader<Box<dyn Read + Send>> {
    std::io::BufReader::with_capacity(super::PORT_BYTES, Box::new(reader))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{Place, Rate};

    fn there_and_back(format: RawFormat, bytes: &[u8]) -> Vec<Vec<u8>> {
        let frame = format.frame(Size::new(3, 3), None, None);
        let clip = Clip { format: frame, rate: Rate::USUAL, aspect: (0, 0), live: false };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let destination = Destination::open(&Place::File(path.clone())).unwrap();
        let mut sink = Box::new(RawSink::new(destination, format, frame));
        let mut source = RawSource::new(bytes, "x", format, clip);
        let mut frames = Vec::new();
        let mut planes = vec![0; frame.bytes()];
        while source.read(&mut planes).unwrap().is_frame() {
            sink.write(&planes).unwrap();
            frames.push(planes.clone());
        }
        sink.finish().unwrap();
        assert_eq!(std::fs::read(path).unwrap(), bytes, "{format:?}");
        frames
    }

    #[test]
    fn odd_frames_go_through_planes_and_back() {
        let luma: Vec<u8> = (1..=9).collect();
        let nv12 = [&luma[..], &[50, 60, 51, 61, 52, 62, 53, 63]].concat();
        let planar = [&luma[..], &[50, 51, 52, 53, 60, 61, 62, 63]].concat();
        assert_eq!(there_and_back(RawFormat::Nv12, &nv12), std::slice::from_ref(&planar));
        assert_eq!(there_and_back(RawFormat::Yuv420p, &planar), std::slice::from_ref(&planar));
        let yuyv: Vec<u8> = (0..3).flat_map(|y| [1, 50 + y, 2, 60 + y, 3, 70 + y, 3, 80 + y]).collect();
        let planes = there_and_back(RawFormat::Yuyv, &yuyv);
        assert_eq!(planes[0], [1, 2, 3, 1, 2, 3, 1, 2, 3, 50, 70, 51, 71, 52, 72, 60, 80, 61, 81, 62, 82]);
        there_and_back(RawFormat::Gray, &[luma.clone(), luma.clone()].concat());
        there_and_back(RawFormat::Rgb24, &[&luma[..], &luma, &luma].concat());
    }

    #[test]
    fn a_frame_cut_short_is_an_error() {
        let format = RawFormat::Gray.frame(Size::new(4, 1), None, None);
        let clip = Clip { format, rate: Rate::USUAL, aspect: (0, 0), live: false };
        let mut source = RawSource::new(&b"abcdef"[..], "x", RawFormat::Gray, clip);
        let mut frame = [0; 4];
        assert!(source.read(&mut frame).unwrap().is_frame());
        assert!(source.read(&mut frame).unwrap_err().to_string().contains("frame 1 is cut short"));
    }
}

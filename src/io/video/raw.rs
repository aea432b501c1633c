//! Raw video: frames without any header, as cameras and `rawvideo` of ffmpeg give them. Rows have no padding.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};

use super::packing::{deinterleave, interleave};
use super::recording::Recording;
use super::{Arrival, Clip, FrameSink, FrameSource, Gap, Shown, Troubles, VideoFormat};
use crate::frame::FrameFormat;
use crate::io::destination::{Destination, Out};
use crate::io::error::{Fault, ReadError, WriteError};
use crate::io::limits::PORT_BYTES;

/// Bytes of the row of samples that take turns; 0 where the stream has planes.
fn interleaved(format: VideoFormat, frame: &FrameFormat) -> usize {
    match format {
        VideoFormat::Nv12 => 2 * frame.chroma().width,
        _ if format.order().is_some() => 4 * frame.chroma().width,
        _ => 0,
    }
}

/// Reads raw frames.
pub(in crate::io) struct RawSource<R> {
    reader: R,
    name: String,
    format: VideoFormat,
    clip: Clip,
    row: Vec<u8>,
    read: u64,
    /// Was the last frame cut short?
    cut: bool,
    damaged: u64,
}

impl<R: BufRead + Send> RawSource<R> {
    pub(in crate::io) fn new(reader: R, name: &str, format: VideoFormat, clip: Clip) -> Self {
        let row = vec![0; interleaved(format, &clip.format)];
        Self { reader, name: name.to_string(), format, clip, row, read: 0, cut: false, damaged: 0 }
    }

    fn read_frame(&mut self, frame: &mut [u8]) -> std::io::Result<()> {
        let Self { reader, row, clip, .. } = self;
        let chroma = clip.format.chroma().width;
        match self.format {
            VideoFormat::Nv12 => {
                let [luma, cb, cr] = clip.format.planes_mut(frame);
                reader.read_exact(luma)?;
                for (cb, cr) in cb.chunks_exact_mut(chroma).zip(cr.chunks_exact_mut(chroma)) {
                    reader.read_exact(row)?;
                    for ((pair, cb), cr) in row.chunks_exact(2).zip(cb).zip(cr) {
                        (*cb, *cr) = (pair[0], pair[1]);
                    }
                }
                Ok(())
            }
            _ => {
                let Some(order) = self.format.order() else { return reader.read_exact(frame) };
                let [luma, cb, cr] = clip.format.planes_mut(frame);
                let chroma = cb.chunks_exact_mut(chroma).zip(cr.chunks_exact_mut(chroma));
                for (luma, (cb, cr)) in luma.chunks_exact_mut(clip.format.size.width).zip(chroma) {
                    reader.read_exact(row)?;
                    deinterleave(row, order, luma, cb, cr);
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
            self.cut = error.kind() == ErrorKind::UnexpectedEof;
            let fault = if self.cut { Fault::bad(format!("frame {} is cut short", self.read)) } else { error.into() };
            fault.read(&self.name)
        })?;
        self.read += 1;
        Ok(Arrival::Frame(None))
    }

    /// A frame that is cut short is the last.
    fn pass_over(&mut self) -> Option<Gap> {
        self.damaged += u64::from(self.cut);
        self.cut.then_some(Gap::ONE)
    }

    fn troubles(&self) -> Troubles {
        Troubles { damaged: self.damaged, ..Troubles::default() }
    }
}

/// Writes raw frames.
pub(in crate::io) struct RawSink {
    recording: Recording,
    format: VideoFormat,
    frame: FrameFormat,
    row: Vec<u8>,
}

impl RawSink {
    pub(in crate::io) fn begin(
        destination: Destination,
        format: VideoFormat,
        frame: FrameFormat,
    ) -> Result<Self, WriteError> {
        let recording = Recording::begin(destination, &[])?;
        Ok(Self { recording, format, frame, row: vec![0; interleaved(format, &frame)] })
    }
}

fn write_frame(
    out: &mut Out,
    format: VideoFormat,
    shape: &FrameFormat,
    row: &mut [u8],
    frame: &[u8],
) -> std::io::Result<()> {
    let [luma, cb, cr] = shape.planes(frame);
    let (width, chroma) = (shape.size.width, shape.chroma().width);
    match (format, format.order()) {
        (VideoFormat::Nv12, _) => {
            out.write_all(luma)?;
            for (cb, cr) in cb.chunks_exact(chroma).zip(cr.chunks_exact(chroma)) {
                for ((pair, cb), cr) in row.chunks_exact_mut(2).zip(cb).zip(cr) {
                    (pair[0], pair[1]) = (*cb, *cr);
                }
                out.write_all(row)?;
            }
        }
        (_, None) => out.write_all(frame)?,
        (_, Some(order)) => {
            let chroma = cb.chunks_exact(chroma).zip(cr.chunks_exact(chroma));
            for (luma, (cb, cr)) in luma.chunks_exact(width).zip(chroma) {
                interleave(luma, cb, cr, order, row);
                out.write_all(row)?;
            }
        }
    }
    Ok(())
}

impl FrameSink for RawSink {
    fn write(&mut self, frame: &[u8]) -> Result<Shown, WriteError> {
        let Self { recording, format, frame: shape, row } = self;
        recording.frame(|out| write_frame(out, *format, shape, row, frame))
    }

    fn is_recording(&self) -> bool {
        true
    }

    fn finish(self: Box<Self>) -> Result<(), WriteError> {
        self.recording.finish()
    }
}

/// A reader for frames: they pass by its buffer, headers do not.
pub(in crate::io) fn buffered(reader: impl Read + Send + 'static) -> BufReader<Box<dyn Read + Send>> {
    BufReader::with_capacity(PORT_BYTES, Box::new(reader))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geom::Size;
    use crate::io::location::Location;
    use crate::io::video::Rate;

    fn there_and_back(format: VideoFormat, bytes: &[u8]) -> Vec<Vec<u8>> {
        let frame = format.frame(Size::new(3, 3), None, None);
        let clip = Clip { format: frame, rate: Rate::USUAL, aspect: (0, 0), live: false };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let destination = Destination::open(&Location::File(path.clone())).unwrap();
        let mut sink = Box::new(RawSink::begin(destination, format, frame).unwrap());
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
        assert_eq!(there_and_back(VideoFormat::Nv12, &nv12), std::slice::from_ref(&planar));
        assert_eq!(there_and_back(VideoFormat::Yuv420p, &planar), std::slice::from_ref(&planar));
        let yuyv: Vec<u8> = (0..3).flat_map(|y| [1, 50 + y, 2, 60 + y, 3, 70 + y, 3, 80 + y]).collect();
        let uyvy: Vec<u8> = yuyv.chunks_exact(2).flat_map(|pair| [pair[1], pair[0]]).collect();
        let planes = there_and_back(VideoFormat::Yuyv, &yuyv);
        assert_eq!(there_and_back(VideoFormat::Uyvy, &uyvy), planes);
        assert_eq!(planes[0], [1, 2, 3, 1, 2, 3, 1, 2, 3, 50, 70, 51, 71, 52, 72, 60, 80, 61, 81, 62, 82]);
        there_and_back(VideoFormat::Gray, &[luma.clone(), luma.clone()].concat());
        there_and_back(VideoFormat::Rgb24, &[&luma[..], &luma, &luma].concat());
    }

    #[test]
    fn a_frame_cut_short_is_an_error() {
        let format = VideoFormat::Gray.frame(Size::new(4, 1), None, None);
        let clip = Clip { format, rate: Rate::USUAL, aspect: (0, 0), live: false };
        let mut source = RawSource::new(&b"abcdef"[..], "x", VideoFormat::Gray, clip);
        let mut frame = [0; 4];
        assert!(source.read(&mut frame).unwrap().is_frame());
        assert!(source.read(&mut frame).unwrap_err().to_string().contains("frame 1 is cut short"));
    }
}

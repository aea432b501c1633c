//! YUV4MPEG2, the format in which programs hand raw video on: a line of text, then frames of planes.
//!
//! Read and written: `C420jpeg`, `C420mpeg2`, `C420paldv`, `C420`, `C422`, `C444`, `Cmono` with 8 bits, `C420p10`, `C422p10`,
//! `C444p10`, `Cmono10` with 10; progressive.
//! `XCOLORRANGE` gives the range; without it colour is limited and mono full, as ffmpeg has them. There is no tag
//! for the matrix: it is BT.601 unless the URI says otherwise. `C420` without a kind, and no tag at all, lie as JPEG.

use std::io::{BufRead, ErrorKind, Write};

use super::recording::Recording;
use super::{Arrival, Clip, FrameSink, FrameSource, Gap, Rate, Shown, Troubles};
use crate::frame::{FrameFormat, Layout, Matrix, Range, Siting};
use crate::geom::Size;
use crate::io::destination::Destination;
use crate::io::error::{Fault, OpenError, ReadError, WriteError};
use crate::io::limits::check_side;

/// What every stream begins with.
const MAGIC: &[u8] = b"YUV4MPEG2";
/// What every frame begins with.
const FRAME: &[u8] = b"FRAME";
/// Longest line of parameters; honest ones have a tenth of it.
const LONGEST_LINE: usize = 1024;

/// Reads frames.
#[derive(Debug)]
pub struct Y4mSource<R> {
    reader: R,
    name: String,
    clip: Clip,
    /// Frames read so far.
    read: u64,
    /// Was the last frame cut short?
    cut: bool,
    damaged: u64,
}

/// Does this begin as Y4M does, or is there nothing? What was looked at stays.
pub(in crate::io) fn begins(reader: &mut impl BufRead, name: &str) -> Result<bool, OpenError> {
    let begin = reader.fill_buf().map_err(|error| OpenError::io(name, error))?;
    Ok(begin.iter().zip(MAGIC).all(|(a, b)| a == b))
}

impl<R: BufRead + Send> Y4mSource<R> {
    /// Reads the header; `name` is for messages.
    ///
    /// # Errors
    ///
    /// When this is not Y4M, damaged, or of a kind that is not supported; the message says which kinds are.
    pub fn open(mut reader: R, name: &str) -> Result<Self, OpenError> {
        let mut line = [0; LONGEST_LINE];
        let length = match read_line(&mut reader, &mut line).map_err(|fault| fault.open(name))? {
            Some(length) => length,
            None => return Err(OpenError::Empty { file: name.to_string() }),
        };
        let clip = parse(&line[..length]).map_err(|fault| fault.open(name))?;
        check_side(name, clip.format.size)?;
        Ok(Self { reader, name: name.to_string(), clip, read: 0, cut: false, damaged: 0 })
    }

    /// Takes the rate, matrix and range that a person knows better than the file.
    pub fn correct(&mut self, rate: Option<Rate>, matrix: Option<Matrix>, range: Option<Range>) {
        self.clip.rate = rate.unwrap_or(self.clip.rate);
        let format = &mut self.clip.format;
        format.matrix = matrix.unwrap_or(format.matrix);
        format.range = range.unwrap_or(format.range);
    }

    fn read_frame(&mut self, frame: &mut [u8]) -> Result<bool, Fault> {
        let mut line = [0; LONGEST_LINE];
        let Some(length) = read_line(&mut self.reader, &mut line)? else {
            return if self.read > 0 { Ok(false) } else { Err(Fault::bad("the video has a header and no frames")) };
        };
        // Parameters of a frame say how it is interlaced, which nothing here is.
        match line[..length].strip_prefix(FRAME) {
            Some([] | [b' ', ..]) => {}
            _ => return Err(Fault::bad(format!("frame {} does not begin with FRAME", self.read))),
        }
        match self.reader.read_exact(frame) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                self.cut = true;
                Err(Fault::bad(format!("frame {} is cut short", self.read)))
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl<R: BufRead + Send> FrameSource for Y4mSource<R> {
    fn clip(&self) -> &Clip {
        &self.clip
    }

    fn read(&mut self, frame: &mut [u8]) -> Result<Arrival, ReadError> {
        let some = self.read_frame(frame).map_err(|fault| fault.read(&self.name))?;
        self.read += u64::from(some);
        Ok(if some { Arrival::Frame(None) } else { Arrival::End })
    }

    /// A frame that is cut short is the last.
    fn pass_over(&mut self) -> Option<Gap> {
        self.damaged += u64::from(self.cut);
        self.read += u64::from(self.cut);
        self.cut.then_some(Gap::ONE)
    }

    fn troubles(&self) -> Troubles {
        Troubles { damaged: self.damaged, ..Troubles::default() }
    }
}

/// A line without its end, into `line`; `None` where the stream ends before it.
fn read_line(reader: &mut impl BufRead, line: &mut [u8; LONGEST_LINE]) -> Result<Option<usize>, Fault> {
    let mut length = 0;
    loop {
        let mut byte = [0];
        match reader.read_exact(&mut byte) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof && length == 0 => return Ok(None),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(Fault::bad("the video is cut short")),
            Err(error) => return Err(error.into()),
        }
        if byte[0] == b'\n' {
            return Ok(Some(length));
        }
        *line.get_mut(length).ok_or_else(|| Fault::bad("damaged Y4M: a line of parameters does not end"))? = byte[0];
        length += 1;
    }
}

/// The tag of mjpegtools for the layout.
const LAYOUT: &str = "YSCSS=";

/// The header line.
fn parse(line: &[u8]) -> Result<Clip, Fault> {
    let not = || Fault::bad("not a Y4M video; `ffmpeg -i VIDEO -f yuv4mpegpipe -` makes one of any video");
    let line = std::str::from_utf8(line).map_err(|_| not())?;
    let mut words = line.split(' ').filter(|word| !word.is_empty());
    if words.next().map(str::as_bytes) != Some(MAGIC) {
        return Err(not());
    }
    let (mut width, mut height, mut kind, mut range) = (None, None, None, None);
    let (mut rate, mut aspect, mut old_kind) = (Rate::USUAL, (0, 0), None);
    for word in words {
        let mut letters = word.chars();
        let (tag, value) = (letters.next(), letters.as_str());
        match tag {
            Some('W') => width = value.parse().ok(),
            Some('H') => height = value.parse().ok(),
            Some('C') => kind = Some(value),
            Some('I') => check_progressive(value)?,
            Some('F') => rate = pair(value).filter(|r| r.0 > 0 && r.1 > 0).map_or(rate, of_pair),
            Some('A') => aspect = pair(value).unwrap_or(aspect),
            // Writers of old have the layout there, and nothing in its place.
            Some('X') if value.starts_with(LAYOUT) => old_kind = Some(value[LAYOUT.len()..].to_ascii_lowercase()),
            Some('X') => range = range_of(value).or(range),
            _ => {}
        }
    }
    let (Some(width), Some(height)) = (width, height) else {
        return Err(Fault::bad("damaged Y4M: width or height is missing"));
    };
    let (layout, siting, bits) = layout_of(kind.or(old_kind.as_deref()).unwrap_or("420jpeg"))?;
    let usual = if layout == Layout::Gray { Range::Full } else { Range::Limited };
    let range = range.unwrap_or(usual);
    let format = FrameFormat { size: Size::new(width, height), bits, layout, siting, matrix: Matrix::Bt601, range };
    Ok(Clip { format, rate, aspect, live: false })
}

fn pair(value: &str) -> Option<(u32, u32)> {
    let (a, b) = value.split_once(':')?;
    Some((a.parse().ok()?, b.parse().ok()?))
}

fn of_pair((frames, seconds): (u32, u32)) -> Rate {
    Rate { frames, seconds }
}

fn check_progressive(value: &str) -> Result<(), Fault> {
    match value {
        "t" | "b" | "m" => {
            Err(Fault::bad("the video is interlaced, which is not supported; deinterlace it first (ffmpeg -vf yadif)"))
        }
        _ => Ok(()),
    }
}

fn range_of(value: &str) -> Option<Range> {
    match value {
        "COLORRANGE=FULL" => Some(Range::Full),
        "COLORRANGE=LIMITED" => Some(Range::Limited),
        _ => None,
    }
}

fn layout_of(kind: &str) -> Result<(Layout, Siting, u32), Fault> {
    Ok(match kind {
        "420jpeg" | "420" => (Layout::Yuv420, Siting::Centre, 8),
        "420mpeg2" => (Layout::Yuv420, Siting::Left, 8),
        "420paldv" => (Layout::Yuv420, Siting::TopLeft, 8),
        // Wherever 4:2:2 comes from, its chroma lies on the left column.
        "422" => (Layout::Yuv422, Siting::Left, 8),
        "444" => (Layout::Yuv444, Siting::Centre, 8),
        "mono" => (Layout::Gray, Siting::Centre, 8),
        // With 10 bits there is no word for the place of chroma; what has so many has it on the left column.
        "420p10" => (Layout::Yuv420, Siting::Left, 10),
        "422p10" => (Layout::Yuv422, Siting::Left, 10),
        "444p10" => (Layout::Yuv444, Siting::Centre, 10),
        "mono10" => (Layout::Gray, Siting::Centre, 10),
        other => {
            let other: String = other.chars().filter(char::is_ascii_graphic).take(20).collect();
            return Err(Fault::bad(format!(
                "C{other} is not supported; C420jpeg, C420mpeg2, C420paldv, C420, C422, C444 and Cmono are, with 10 bits C420p10, \
                 C422p10, C444p10 and Cmono10"
            )));
        }
    })
}

/// Writes frames.
pub(in crate::io) struct Y4mSink {
    recording: Recording,
}

impl Y4mSink {
    /// Writes the header.
    ///
    /// # Panics
    ///
    /// If the frames are RGB, which this format cannot hold.
    pub(in crate::io) fn begin(destination: Destination, clip: &Clip) -> Result<Self, WriteError> {
        let header = header(clip);
        Ok(Self { recording: Recording::begin(destination, header.as_bytes())? })
    }
}

fn header(clip: &Clip) -> String {
    let Clip { format, rate, aspect, .. } = clip;
    let kind = match (format.layout, format.siting, format.bits > 8) {
        (Layout::Yuv420, Siting::Centre, false) => "420jpeg",
        (Layout::Yuv420, Siting::Left, false) => "420mpeg2",
        (Layout::Yuv420, Siting::TopLeft, false) => "420paldv",
        (Layout::Yuv422, _, false) => "422",
        (Layout::Yuv444, _, false) => "444",
        (Layout::Gray, _, false) => "mono",
        (Layout::Yuv420, _, true) => "420p10 XYSCSS=420P10",
        (Layout::Yuv422, _, true) => "422p10 XYSCSS=422P10",
        (Layout::Yuv444, _, true) => "444p10 XYSCSS=444P10",
        (Layout::Gray, _, true) => "mono10",
        (Layout::Rgb, ..) => panic!("Y4M holds no RGB"),
    };
    let range = if format.range == Range::Full { "FULL" } else { "LIMITED" };
    let Size { width, height } = format.size;
    // A source that is as fast as it can has no rate; players understand none that is zero.
    let Rate { frames, seconds } = if rate.frames > 0 { *rate } else { Rate::USUAL };
    let (across, down) = aspect;
    format!("YUV4MPEG2 W{width} H{height} F{frames}:{seconds} Ip A{across}:{down} C{kind} XCOLORRANGE={range}\n")
}

impl FrameSink for Y4mSink {
    fn write(&mut self, frame: &[u8]) -> Result<Shown, WriteError> {
        self.recording.frame(|out| out.write_all(b"FRAME\n").and_then(|()| out.write_all(frame)))
    }

    fn is_recording(&self) -> bool {
        true
    }

    fn finish(self: Box<Self>) -> Result<(), WriteError> {
        self.recording.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(header: &str) -> Result<Clip, String> {
        Y4mSource::open(header.as_bytes(), "x").map(|source| source.clip).map_err(|e| e.to_string())
    }

    #[test]
    fn headers_travel_both_ways() {
        for kind in ["420jpeg", "420mpeg2", "420paldv", "422", "444", "mono", "420p10 XYSCSS=420P10", "mono10"] {
            for range in ["FULL", "LIMITED"] {
                let line = format!("YUV4MPEG2 W7 H5 F30000:1001 Ip A4:3 C{kind} XCOLORRANGE={range}\n");
                assert_eq!(header(&clip(&line).unwrap()), line);
            }
        }
        let plain = clip("YUV4MPEG2 W4 H2\n").unwrap();
        assert_eq!((plain.format.layout, plain.format.siting), (Layout::Yuv420, Siting::Centre));
        assert_eq!((plain.rate, plain.format.range), (Rate::USUAL, Range::Limited));
        assert_eq!(clip("YUV4MPEG2 W4 H2 F0:0 I? C420 XYSCSS=420JPEG\n").unwrap().rate, Rate::USUAL);
        let old = clip("YUV4MPEG2 W4 H2 XYSCSS=422\n").unwrap();
        assert_eq!(old.format.layout, Layout::Yuv422, "where there is no C, the old tag counts");
        assert_eq!(clip("YUV4MPEG2 W4 H2 C444 XYSCSS=422\n").unwrap().format.layout, Layout::Yuv444);
        assert_eq!(clip("YUV4MPEG2 W4 H2 Cmono\n").unwrap().format.range, Range::Full);
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        for (header, reason) in [
            ("", "empty"),
            ("RIFF....AVI \n", "ffmpeg"),
            ("YUV4MPEG2 W4", "cut short"),
            ("YUV4MPEG2 W4\n", "height is missing"),
            ("YUV4MPEG2 W-4 H2\n", "width or height"),
            ("YUV4MPEG2 W0 H2\n", "no pixels"),
            ("YUV4MPEG2 W70000 H2\n", "70000x2 is too large"),
            ("YUV4MPEG2 W4 H2 It\n", "interlaced"),
            ("YUV4MPEG2 W4 H2 C420p12\n", "C420p12"),
            ("YUV4MPEG2 W4 H2 C444alpha\n", "C444alpha"),
        ] {
            let error = clip(header).unwrap_err();
            assert!(error.contains(reason) && error.starts_with("x: "), "{header}: {error}");
        }
    }

    #[test]
    fn reads_frames_with_parameters() {
        let bytes = b"YUV4MPEG2 W2 H1 Cmono\nFRAME\nabFRAME Ip Xy\ncdFRAMED\nef";
        let mut source = Y4mSource::open(&bytes[..], "x").unwrap();
        let mut frame = [0; 2];
        assert!(source.read(&mut frame).unwrap().is_frame() && frame == *b"ab");
        assert!(source.read(&mut frame).unwrap().is_frame() && frame == *b"cd");
        assert!(source.read(&mut frame).unwrap_err().to_string().contains("frame 2"));
    }
}

//! NUT, as far as raw video needs it: frames whose time stamps are exact, to and from ffmpeg through a pipe.
//!
//! Of the containers that ffmpeg reads and writes in a pipe it is the only one that holds raw pixels with any time base.
//! One video stream is read and written; whatever else there is, is passed over. After the specification of NUT
//! (ffmpeg.org/~michael/nut.txt); checksums of what comes from the pipe are not compared.

use std::io::{self, Read};

use crate::geom::Size;

/// What a file begins with, the zero byte included.
pub(super) const FILE_ID: &[u8] = b"nut/multimedia container\0";
const MAIN: u64 = 0x4e4d_7a56_1f5f_04ad;
const STREAM: u64 = 0x4e53_1140_5bf2_f9db;
const SYNCPOINT: u64 = 0x4e4b_e4ad_eeca_4569;
const INFO: u64 = 0x4e49_ab68_b596_ba78;

/// Flags of a frame.
const KEY: u64 = 1;
const CODED_PTS: u64 = 8;
const STREAM_ID: u64 = 16;
const SIZE_MSB: u64 = 32;
const CHECKSUM: u64 = 64;
const RESERVED: u64 = 128;
const HEADER_IDX: u64 = 1024;
const MATCH_TIME: u64 = 2048;
const CODED: u64 = 4096;
const INVALID: u64 = 8192;

/// Most bytes of a packet of headers; those of ffmpeg have the metadata of a file in them.
const MOST_HEADER: u64 = 1 << 24;
/// Frames above this are a fault.
const MOST_FRAME: u64 = 1 << 32;
/// Bits of a time stamp that the writer never leaves out: every one is written whole.
const PTS_SHIFT: u32 = 7;

/// Seconds of a tick as a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::io) struct TimeBase {
    pub(in crate::io) num: u64,
    pub(in crate::io) den: u64,
}

impl TimeBase {
    /// `ticks` of `other` in ticks of this; `None` where that is no whole number.
    pub(super) fn exactly(self, ticks: i64, other: Self) -> Option<i64> {
        let above = i128::from(ticks) * i128::from(other.num) * i128::from(self.den);
        let below = i128::from(other.den) * i128::from(self.num);
        (below > 0 && above % below == 0).then(|| i64::try_from(above / below).ok()).flatten()
    }

    /// Seconds of so many ticks.
    pub(in crate::io) fn seconds(self, ticks: i64) -> f64 {
        ticks as f64 * self.num as f64 / self.den as f64
    }
}

/// What the stream says of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct StreamHeader {
    pub(super) size: Size,
    pub(super) time_base: TimeBase,
}

#[derive(Clone, Copy, Default)]
struct FrameCode {
    flags: u64,
    pts_delta: i64,
    multiple: u64,
    stream: u64,
    size: u64,
    reserved: u64,
    header: u64,
}

/// Reads frames of the first stream.
pub(super) struct NutReader {
    codes: Vec<FrameCode>,
    /// What frames begin with that is left out of them; the first is nothing.
    elided: Vec<Vec<u8>>,
    time_bases: Vec<TimeBase>,
    header: StreamHeader,
    pts_shift: u32,
    last_pts: i64,
}

fn bad(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the pipe of ffmpeg: {reason}"))
}

fn byte(input: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    input.read_exact(&mut byte)?;
    Ok(byte[0])
}

fn value(input: &mut impl Read) -> io::Result<u64> {
    let mut value = 0u64;
    for _ in 0..10 {
        let next = byte(input)?;
        if value >> 57 != 0 {
            break;
        }
        value = value << 7 | u64::from(next & 127);
        if next < 128 {
            return Ok(value);
        }
    }
    Err(bad("a number is too large"))
}

fn signed(input: &mut impl Read) -> io::Result<i64> {
    let coded = value(input)?.wrapping_add(1);
    let size = (coded >> 1) as i64;
    Ok(if coded & 1 == 1 { -size } else { size })
}

fn bytes(input: &mut impl Read, most: u64) -> io::Result<Vec<u8>> {
    let length = value(input)?;
    if length > most {
        return Err(bad("a field is too long"));
    }
    let mut bytes = vec![0; length as usize];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The payload of a packet whose start code was read.
fn packet(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let length = value(input)?;
    if !(4..=MOST_HEADER).contains(&length) {
        return Err(bad("a packet of headers is too long"));
    }
    if length > 4096 {
        input.read_exact(&mut [0; 4])?;
    }
    let mut payload = vec![0; length as usize];
    input.read_exact(&mut payload)?;
    payload.truncate(length as usize - 4);
    Ok(payload)
}

fn start_code(input: &mut impl Read, first: u8) -> io::Result<u64> {
    let mut code = [first; 8];
    input.read_exact(&mut code[1..])?;
    Ok(u64::from_be_bytes(code))
}

impl NutReader {
    /// Reads as far as the header of the stream.
    pub(super) fn open(input: &mut impl Read) -> io::Result<Self> {
        let mut id = [0; FILE_ID.len()];
        input.read_exact(&mut id)?;
        if id != *FILE_ID {
            return Err(bad("it is not NUT"));
        }
        let mut reader = Self {
            codes: Vec::new(),
            elided: Vec::new(),
            time_bases: Vec::new(),
            header: StreamHeader { size: Size::new(0, 0), time_base: TimeBase { num: 1, den: 1 } },
            pts_shift: 0,
            last_pts: 0,
        };
        loop {
            let first = byte(input)?;
            match start_code(input, first)? {
                MAIN => reader.read_main(&mut &packet(input)?[..])?,
                STREAM => {
                    reader.read_stream(&mut &packet(input)?[..])?;
                    return Ok(reader);
                }
                INFO => drop(packet(input)?),
                _ => return Err(bad("a header is missing")),
            }
        }
    }

    pub(super) fn header(&self) -> StreamHeader {
        self.header
    }

    fn read_main(&mut self, input: &mut &[u8]) -> io::Result<()> {
        let (version, streams, _) = (value(input)?, value(input)?, value(input)?);
        if !(2..=3).contains(&version) || streams != 1 {
            return Err(bad("another version of NUT, or more than one stream"));
        }
        for _ in 0..value(input)?.min(64) {
            let (num, den) = (value(input)?, value(input)?);
            if num == 0 || den == 0 {
                return Err(bad("a time base of zero"));
            }
            self.time_bases.push(TimeBase { num, den });
        }
        let mut code = FrameCode { multiple: 1, ..FrameCode::default() };
        while self.codes.len() < 256 {
            code.flags = value(input)?;
            let fields = value(input)?;
            (code.size, code.reserved) = (0, 0);
            let mut count = None;
            for field in 0..fields.min(64) {
                match field {
                    0 => code.pts_delta = signed(input)?,
                    1 => code.multiple = value(input)?,
                    2 => code.stream = value(input)?,
                    3 => code.size = value(input)?,
                    4 => code.reserved = value(input)?,
                    5 => count = Some(value(input)?),
                    6 => drop(signed(input)?),
                    7 => code.header = value(input)?,
                    _ => drop(value(input)?),
                }
            }
            let count = count.unwrap_or(code.multiple.saturating_sub(code.size));
            if !(1..=256).contains(&count) {
                return Err(bad("a table of frame codes that makes no sense"));
            }
            for n in 0..count {
                // The letter that start codes begin with is no frame.
                if self.codes.len() == usize::from(b'N') {
                    self.codes.push(FrameCode { flags: INVALID, ..FrameCode::default() });
                }
                self.codes.push(FrameCode { size: code.size + n, ..code });
            }
        }
        self.elided.push(Vec::new());
        for _ in 0..value(input)?.min(127) {
            self.elided.push(bytes(input, 256)?);
        }
        Ok(())
    }

    fn read_stream(&mut self, input: &mut &[u8]) -> io::Result<()> {
        let (_, class) = (value(input)?, value(input)?);
        bytes(input, 16)?;
        let base = value(input)? as usize;
        self.pts_shift = u32::try_from(value(input)?).ok().filter(|bits| *bits < 16).ok_or_else(|| bad("a shift"))?;
        let (_, _, _) = (value(input)?, value(input)?, byte(input)?);
        bytes(input, 1 << 20)?;
        let (width, height) = (value(input)?, value(input)?);
        let time_base = *self.time_bases.get(base).ok_or_else(|| bad("no time base"))?;
        if class != 0 {
            return Err(bad("the stream is no video"));
        }
        self.header = StreamHeader { size: Size::new(width as usize, height as usize), time_base };
        Ok(())
    }

    /// Fills `frame` with the next frame, which must have as many bytes, and gives its time stamp; `None` at the end.
    pub(super) fn frame(&mut self, input: &mut impl Read, frame: &mut [u8]) -> io::Result<Option<i64>> {
        let Some(first) = self.next_frame(input)? else { return Ok(None) };
        self.read_frame(first, input, frame).map(Some)
    }

    /// The first byte of the next frame, behind packets of other kinds; `None` at the end.
    fn next_frame(&mut self, input: &mut impl Read) -> io::Result<Option<u8>> {
        loop {
            let first = match byte(input) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                first => first?,
            };
            if first != b'N' {
                return Ok(Some(first));
            }
            let code = start_code(input, first)?;
            let payload = packet(input)?;
            if code == SYNCPOINT {
                self.synchronise(&mut &payload[..])?;
            }
        }
    }

    fn synchronise(&mut self, input: &mut &[u8]) -> io::Result<()> {
        // Times at which coded frames are to be decoded may lie before 0.
        let (coded, bases) = (value(input)? as i64, self.time_bases.len() as i64);
        let (from, to) = (self.time_bases[coded.rem_euclid(bases) as usize], self.header.time_base);
        let above = i128::from(coded.div_euclid(bases)).checked_mul(i128::from(from.num));
        let above = above.and_then(|above| above.checked_mul(i128::from(to.den)));
        let ticks = above.map(|above| above.div_euclid(i128::from(from.den) * i128::from(to.num)));
        self.last_pts = ticks.and_then(|ticks| i64::try_from(ticks).ok()).ok_or_else(|| bad("a time"))?;
        Ok(())
    }

    /// Reads what comes before the bytes of a frame: its size, and what it begins with that is left out.
    fn read_head(&mut self, first: u8, input: &mut impl Read) -> io::Result<(u64, &[u8])> {
        let mut code = self.codes[usize::from(first)];
        if code.flags & INVALID != 0 {
            return Err(bad("no frame where one should be"));
        }
        if code.flags & CODED != 0 {
            code.flags ^= value(input)?;
        }
        let has = |flag: u64| code.flags & flag != 0;
        if has(STREAM_ID) {
            code.stream = value(input)?;
        }
        let pts = if has(CODED_PTS) {
            let coded = value(input)? as i64;
            let whole = 1i64 << self.pts_shift;
            if coded < whole {
                let delta = self.last_pts - (whole - 1) / 2;
                ((coded - delta) & (whole - 1)) + delta
            } else {
                coded - whole
            }
        } else {
            self.last_pts + code.pts_delta
        };
        if has(SIZE_MSB) {
            code.size = value(input)?
                .checked_mul(code.multiple)
                .and_then(|more| more.checked_add(code.size))
                .unwrap_or(u64::MAX);
        }
        if has(MATCH_TIME) {
            signed(input)?;
        }
        if has(HEADER_IDX) {
            code.header = value(input)?;
        }
        if has(RESERVED) {
            code.reserved = value(input)?;
        }
        for _ in 0..code.reserved.min(64) {
            value(input)?;
        }
        if has(CHECKSUM) {
            input.read_exact(&mut [0; 4])?;
        }
        self.last_pts = pts;
        // Long frames begin with themselves.
        let header = if code.size > 4096 { 0 } else { code.header as usize };
        let elided = self.elided.get(header).filter(|elided| elided.len() as u64 <= code.size);
        Ok((code.size, elided.ok_or_else(|| bad("a frame without its beginning"))?))
    }

    fn read_frame(&mut self, first: u8, input: &mut impl Read, frame: &mut [u8]) -> io::Result<i64> {
        let (size, elided) = self.read_head(first, input)?;
        if size > MOST_FRAME || size != frame.len() as u64 {
            return Err(bad(
                "a frame of another size; the size of the picture changes on the way, which is not supported",
            ));
        }
        let (beginning, rest) = frame.split_at_mut(elided.len());
        beginning.copy_from_slice(elided);
        input.read_exact(rest)?;
        Ok(self.last_pts)
    }
}

/// A frame of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    /// How many are stored before it.
    pub(super) number: u64,
    /// Its time stamp.
    pub(super) pts: i64,
}

/// The frames of a file that is whole to its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Contents {
    pub(super) frames: u64,
    pub(super) time_base: TimeBase,
    /// The one that is stored last, and the one that is shown last.
    pub(super) ends: Option<(Place, Place)>,
}

/// Reads a file to its end; an error where it is cut off or is not NUT.
pub(super) fn contents(input: &mut impl Read) -> io::Result<Contents> {
    let mut reader = NutReader::open(input)?;
    let mut contents = Contents { frames: 0, time_base: reader.header.time_base, ends: None };
    while let Some(first) = reader.next_frame(input)? {
        let (size, elided) = reader.read_head(first, input)?;
        let size = size - elided.len() as u64;
        if io::copy(&mut input.by_ref().take(size), &mut io::sink())? < size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let place = Place { number: contents.frames, pts: reader.last_pts };
        let latest = contents.ends.map(|(_, latest)| latest).filter(|latest| latest.pts > place.pts);
        contents.ends = Some((place, latest.unwrap_or(place)));
        contents.frames += 1;
    }
    Ok(contents)
}

/// What comes before the frames of a file.
pub(super) struct Headers {
    /// All of it.
    pub(super) bytes: Vec<u8>,
    /// The packet of the stream: equal where files can be joined.
    pub(super) stream: Vec<u8>,
}

/// Reads as far as the first frame; the first bytes that belong to it come back, too.
pub(super) fn headers(input: &mut impl Read) -> io::Result<(Headers, [u8; 8])> {
    let mut headers = Headers { bytes: vec![0; FILE_ID.len()], stream: Vec::new() };
    input.read_exact(&mut headers.bytes)?;
    if headers.bytes != FILE_ID {
        return Err(bad("it is not NUT"));
    }
    loop {
        let mut start = [0; 8];
        input.read_exact(&mut start)?;
        let code = u64::from_be_bytes(start);
        if ![MAIN, STREAM, INFO].contains(&code) {
            return Ok((headers, start));
        }
        let payload = packet(input)?;
        put_packet(&mut headers.bytes, code, &payload);
        if code == STREAM {
            headers.stream = payload;
        }
    }
}

fn put(to: &mut Vec<u8>, value: u64) {
    let groups = (64 - value.leading_zeros()).div_ceil(7).max(1);
    for group in (0..groups).rev() {
        to.push((value >> (7 * group)) as u8 & 127 | if group > 0 { 128 } else { 0 });
    }
}

fn put_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    put(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

/// The CRC of NUT: 0x04C11DB7, highest bit first, nothing before and after.
fn crc(bytes: &[u8]) -> [u8; 4] {
    let step = |crc: u32| if crc >> 31 == 1 { crc << 1 ^ 0x04c1_1db7 } else { crc << 1 };
    let all = bytes.iter().fold(0u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| step(crc)));
    all.to_be_bytes()
}

fn put_packet(to: &mut Vec<u8>, code: u64, payload: &[u8]) {
    let begin = to.len();
    to.extend(code.to_be_bytes());
    put(to, payload.len() as u64 + 4);
    if payload.len() + 4 > 4096 {
        let header = crc(&to[begin..]);
        to.extend(header);
    }
    to.extend_from_slice(payload);
    to.extend(crc(payload));
}

/// What is to be said of a stream of raw frames.
pub(super) struct RawStream {
    pub(super) size: Size,
    pub(super) time_base: TimeBase,
    /// Width over height of a pixel; zeros are unknown.
    pub(super) aspect: (u32, u32),
    pub(super) rate: (u32, u32),
    /// The name of the pixel format in NUT.
    pub(super) fourcc: [u8; 4],
}

impl RawStream {
    /// Everything before the first frame.
    pub(super) fn header(&self) -> Vec<u8> {
        let mut main = Vec::new();
        // Version, streams, most bytes between two syncpoints, time bases.
        [3, 1, 65_536, 1, self.time_base.num, self.time_base.den].iter().for_each(|v| put(&mut main, *v));
        // One frame code, and 254 that are none.
        let code = KEY | CODED_PTS | SIZE_MSB | CHECKSUM;
        for (flags, count) in [(code, 1), (INVALID, 254)] {
            // Six fields: no step in time, a multiple of 1, stream 0, size 0, nothing reserved.
            [flags, 6, 0, 1, 0, 0, 0, count].iter().for_each(|v| put(&mut main, *v));
        }
        put(&mut main, 0);
        let mut stream = Vec::new();
        [0, 0].iter().for_each(|v| put(&mut stream, *v));
        put_bytes(&mut stream, &self.fourcc);
        // Time base, bits of a short time stamp, largest step (any), no reordering, frames of any length.
        [0, u64::from(PTS_SHIFT), 1 << 30, 0].iter().for_each(|v| put(&mut stream, *v));
        stream.push(0);
        put(&mut stream, 0);
        let (across, down) = if self.aspect.0 > 0 && self.aspect.1 > 0 { self.aspect } else { (0, 0) };
        let numbers = [self.size.width as u64, self.size.height as u64, across.into(), down.into(), 0];
        numbers.iter().for_each(|v| put(&mut stream, *v));
        let mut info = Vec::new();
        // Of stream 0, of the whole of it, one line.
        [1, 0, 0, 0, 1].iter().for_each(|v| put(&mut info, *v));
        put_bytes(&mut info, b"r_frame_rate");
        put(&mut info, 2);
        put_bytes(&mut info, format!("{}/{}", self.rate.0, self.rate.1).as_bytes());

        let mut header = FILE_ID.to_vec();
        put_packet(&mut header, MAIN, &main);
        put_packet(&mut header, STREAM, &stream);
        if self.rate.0 > 0 && self.rate.1 > 0 {
            put_packet(&mut header, INFO, &info);
        }
        header
    }
}

/// What comes before a frame of `size` bytes at `pts`, which is not negative. Each has a syncpoint of its own.
pub(super) fn frame_header(pts: i64, size: usize) -> Vec<u8> {
    let pts = pts.max(0) as u64;
    let (mut header, mut point) = (Vec::with_capacity(64), Vec::new());
    put(&mut point, pts);
    put(&mut point, 0);
    put_packet(&mut header, SYNCPOINT, &point);
    let begin = header.len();
    header.push(0);
    put(&mut header, pts + (1 << PTS_SHIFT));
    put(&mut header, size as u64);
    let sum = crc(&header[begin..]);
    header.extend(sum);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> RawStream {
        let time_base = TimeBase { num: 1001, den: 30_000 };
        RawStream { size: Size::new(4, 2), time_base, aspect: (4, 3), rate: (30_000, 1001), fourcc: *b"I420" }
    }

    #[test]
    fn frames_travel_with_their_times() {
        let mut pipe = stream().header();
        let times = [0, 1, 7, 200, 1_000_000, 1_000_001, 1 << 40];
        for (n, pts) in times.into_iter().enumerate() {
            pipe.extend(frame_header(pts, 12));
            pipe.extend([n as u8; 12]);
        }
        let mut input = &pipe[..];
        let mut reader = NutReader::open(&mut input).unwrap();
        let header = StreamHeader { size: Size::new(4, 2), time_base: TimeBase { num: 1001, den: 30_000 } };
        assert_eq!(reader.header(), header);
        let mut frame = [0; 12];
        for (n, pts) in times.into_iter().enumerate() {
            assert_eq!(reader.frame(&mut input, &mut frame).unwrap(), Some(pts));
            assert_eq!(frame, [n as u8; 12]);
        }
        assert_eq!(reader.frame(&mut input, &mut frame).unwrap(), None);
    }

    #[test]
    fn frames_may_be_stored_in_another_order_than_shown_and_decoded_before_0() {
        let mut file = stream().header();
        for (dts, pts) in [(-2, 0), (-1, 3), (0, 1), (1, 2)] {
            let mut point = Vec::new();
            put(&mut point, dts as u64);
            put(&mut point, 0);
            put_packet(&mut file, SYNCPOINT, &point);
            // Behind the point, with the lowest bits of the time alone.
            let begin = file.len();
            file.push(0);
            put(&mut file, pts);
            put(&mut file, 1);
            let sum = crc(&file[begin..]);
            file.extend(sum);
            file.push(9);
        }
        let contents = contents(&mut &file[..]).unwrap();
        let (stored, shown) = (Place { number: 3, pts: 2 }, Place { number: 1, pts: 3 });
        assert_eq!((contents.frames, contents.ends), (4, Some((stored, shown))));
    }

    #[test]
    fn cuts_and_noise_are_errors_and_nothing_worse() {
        let mut pipe = stream().header();
        pipe.extend(frame_header(5, 12));
        pipe.extend([1; 12]);
        let read = |mut input: &[u8]| -> io::Result<Option<i64>> {
            NutReader::open(&mut input)?.frame(&mut input, &mut [0; 12])
        };
        assert_eq!(read(&pipe).unwrap(), Some(5));
        for end in 0..pipe.len() {
            assert!(!matches!(read(&pipe[..end]), Ok(Some(_))), "{end}");
        }
        for at in 0..pipe.len() {
            for bit in 0..8 {
                let mut other = pipe.clone();
                other[at] ^= 1 << bit;
                let _ = read(&other);
            }
        }
    }

    #[test]
    fn ticks_of_other_time_bases() {
        let (film, fine) = (TimeBase { num: 1001, den: 24_000 }, TimeBase { num: 1, den: 48_000 });
        assert_eq!(film.exactly(4004, fine), Some(2));
        assert_eq!(film.exactly(4005, fine), None);
        assert_eq!(fine.exactly(-3, film), Some(-6006));
    }

    #[test]
    fn checksums_are_those_of_ffmpeg() {
        // The end of a main header as ffmpeg 5.1 writes it cancels itself out.
        assert_eq!(crc(&[b"abc".to_vec(), crc(b"abc").to_vec()].concat()), [0; 4]);
        assert_eq!(crc(&[1]), [0x04, 0xc1, 0x1d, 0xb7]);
    }
}

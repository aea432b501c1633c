//! `v4l2://`: frames of a camera.
//!
//! Formats are chosen by what they cost and how fast they are. A damaged buffer is skipped; a stream that breaks is
//! started again; a camera that is gone is waited for.

use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::devices::CameraSpec;
use super::mjpg::MjpgDecoder;
use super::sys::v4l2::{Captured, Device, Direction, FourCc, PixFormat, Sizes, Stream};
use super::unpack::{Packing, unpack};
use super::{Arrival, Clip, FrameSource, MAX_SIDE, OpenError, Rate, ReadError, Troubles};
use crate::frame::{FrameFormat, Layout, Matrix, Range, Siting};
use crate::geom::Size;

/// Longest wait for a frame before the caller hears that there is none yet.
const WAIT: Duration = Duration::from_millis(100);
/// A camera that gives nothing for so long is opened again.
const SILENCE: Duration = Duration::from_secs(5);
/// First and longest pause before a camera that is gone is tried again; each is twice the one before.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));
/// Frames a second that decide between formats when nobody asked for a number.
const USUAL_RATE: f64 = 30.0;

/// Formats that are understood; the first cost least: less chroma to enlarge, nothing to decode, no colour lost.
const PACKINGS: [(FourCc, Packing); 6] = [
    (FourCc::new(b"NV12"), Packing::Nv12),
    (FourCc::new(b"YU12"), Packing::Yu12),
    (FourCc::new(b"YUYV"), Packing::Yuyv),
    (FourCc::new(b"UYVY"), Packing::Uyvy),
    (FourCc::new(b"MJPG"), Packing::Mjpg),
    (FourCc::new(b"GREY"), Packing::Grey),
];

impl Packing {
    /// The format that V4L2 calls `code`.
    pub(super) fn of_code(code: FourCc) -> Option<Self> {
        PACKINGS.iter().find(|(own, _)| *own == code).map(|(_, packing)| *packing)
    }

    pub(super) fn code(self) -> FourCc {
        PACKINGS.iter().find(|(_, own)| *own == self).map_or(FourCc(0), |(code, _)| *code)
    }
}

/// A camera that was opened and gives frames.
struct Running {
    stream: Stream,
    packing: Packing,
    jpeg: Option<MjpgDecoder>,
    stride: usize,
    format: FrameFormat,
    rate: Rate,
    /// How often in a row it broke down without a frame between.
    breakdowns: u32,
    last: Instant,
    sequence: Option<u32>,
}

/// What a frame came to.
enum Fate {
    Good,
    Damaged,
    /// Older than the run.
    Stale,
}

impl Running {
    /// Waits for a frame a while, and puts it into `frame` unless it was taken before `begun`.
    fn next(&mut self, begun: Instant, frame: &mut [u8]) -> io::Result<Captured<Fate>> {
        let Self { stream, packing, jpeg, stride, format, .. } = self;
        let captured = stream.next(WAIT, |bytes, at| {
            let good = match jpeg {
                _ if at.is_some_and(|at| at < begun) => return Fate::Stale,
                Some(decoder) => {
                    decoder.decode(bytes, frame).inspect_err(|e| log::debug!("damaged frame: {e}")).is_ok()
                }
                None => unpack(*packing, format, *stride, bytes, frame).is_some(),
            };
            if good { Fate::Good } else { Fate::Damaged }
        })?;
        match captured {
            Captured::Frame { .. } => (self.last, self.breakdowns) = (Instant::now(), 0),
            Captured::Damaged => self.last = Instant::now(),
            Captured::Nothing => {}
        }
        Ok(captured)
    }

    /// How many frames were missed before the one of this number.
    fn missed(&mut self, sequence: u32) -> u64 {
        let missed = self.sequence.map_or(0, |last| sequence.wrapping_sub(last).saturating_sub(1));
        self.sequence = Some(sequence);
        // A driver that counts otherwise than by one a frame says nothing about frames missed.
        if missed < 1 << 16 { u64::from(missed) } else { 0 }
    }

    /// Starts the stream again after an error, which mends what broke in it; not so when the device has left.
    fn restart(&mut self) -> bool {
        self.breakdowns += 1;
        self.sequence = None;
        self.breakdowns <= 3 && self.stream.restart().is_ok()
    }
}

enum State {
    Running(Box<Running>),
    Gone { since: Instant, next: Instant, pause: Duration, told: bool },
}

/// Frames of a camera.
pub(super) struct CameraSource {
    spec: CameraSpec,
    clip: Clip,
    state: State,
    /// When the first frame was asked for. Those taken before waited in the driver while the network was prepared.
    begun: Option<Instant>,
    troubles: Troubles,
}

impl CameraSource {
    pub(super) fn open(spec: CameraSpec) -> Result<Self, OpenError> {
        let running = start(&spec).map_err(|reason| OpenError::Corrupt { file: name(&spec), reason })?;
        let clip = Clip { format: running.format, rate: running.rate, aspect: (1, 1), live: true };
        let state = State::Running(Box::new(running));
        Ok(Self { spec, clip, state, begun: None, troubles: Troubles::default() })
    }

    /// The camera has failed; from now on it is waited for.
    fn lose(&mut self, why: &str) {
        log::warn!("{}: {why}; waiting for it to return", name(&self.spec));
        let now = Instant::now();
        self.state = State::Gone { since: now, next: now + PAUSES.0, pause: PAUSES.0, told: false };
    }

    /// Tries to take the camera up again when it is time to.
    fn seek(&mut self) -> Result<Arrival, ReadError> {
        let State::Gone { since, next, pause, told } = &mut self.state else { return Ok(Arrival::Pending) };
        let now = Instant::now();
        if self.spec.patience.is_some_and(|limit| now - *since >= limit) {
            let reason = format!("the camera is gone, and did not return within {:?}", now - *since);
            return Err(ReadError::Io { file: name(&self.spec), source: io::Error::other(reason) });
        }
        if now < *next {
            sleep((*next - now).min(WAIT));
            return Ok(Arrival::Pending);
        }
        let failed = match start(&self.spec) {
            Ok(running) if running.format == self.clip.format => {
                log::info!("{}: taken up again", name(&self.spec));
                self.troubles.reconnects += 1;
                self.state = State::Running(Box::new(running));
                return Ok(Arrival::Pending);
            }
            Ok(other) => format!("it came back with {} {}", other.format.size, other.format.layout.name()),
            Err(reason) => reason,
        };
        if !std::mem::replace(told, true) {
            log::info!("{}: {failed}; trying on", name(&self.spec));
        }
        *pause = (*pause * 2).min(PAUSES.1);
        *next = now + *pause;
        Ok(Arrival::Pending)
    }
}

impl FrameSource for CameraSource {
    fn clip(&self) -> &Clip {
        &self.clip
    }

    fn read(&mut self, frame: &mut [u8]) -> Result<Arrival, ReadError> {
        let State::Running(running) = &mut self.state else { return self.seek() };
        let begun = *self.begun.get_or_insert_with(Instant::now);
        match running.next(begun, frame) {
            Ok(Captured::Frame { value: Fate::Stale, .. }) => {}
            Ok(Captured::Frame { value, at, sequence }) => {
                self.troubles.missed += running.missed(sequence);
                if matches!(value, Fate::Good) {
                    return Ok(Arrival::Frame(at));
                }
                self.troubles.damaged += 1;
            }
            Ok(Captured::Damaged) => {
                self.troubles.damaged += 1;
                // Its number is not told apart from those missed.
                running.sequence = running.sequence.map(|last| last.wrapping_add(1));
            }
            Ok(Captured::Nothing) if running.last.elapsed() > SILENCE => self.lose("no frame for 5 s"),
            Ok(Captured::Nothing) => {}
            Err(error) if running.restart() => {
                log::info!("{}: the stream broke down ({error}) and was started again", name(&self.spec));
                self.troubles.restarts += 1;
            }
            Err(error) => self.lose(&error.to_string()),
        }
        Ok(Arrival::Pending)
    }

    fn troubles(&self) -> Troubles {
        self.troubles
    }
}

fn name(spec: &CameraSpec) -> String {
    format!("v4l2://{}", spec.path.display())
}

/// Opens, negotiates and starts; the reason why not is one that says what to do.
fn start(spec: &CameraSpec) -> Result<Running, String> {
    let device = Device::open(&spec.path).map_err(|error| why_not_open(&spec.path, &error))?;
    if !device.captures() {
        return Err(match device.captures_planes() {
            true => "this device gives each plane in a buffer of its own, which is not supported".into(),
            false => "this device is no camera; try another /dev/video*".into(),
        });
    }
    device.set_input(spec.input).map_err(|error| match error.kind() {
        io::ErrorKind::ResourceBusy => busy(),
        _ => format!("input {}: {error}", spec.input.unwrap_or(0)),
    })?;
    let (pix, rate, why) = negotiate(&device, spec)?;
    let packing = Packing::of_code(pix.code).ok_or("the driver changed to a format that is not supported")?;
    let size = Size::new(pix.width as usize, pix.height as usize);
    if !(1..=MAX_SIDE).contains(&size.width) || !(1..=MAX_SIDE).contains(&size.height) {
        return Err(format!("frames of {size} are not supported"));
    }
    if !pix.is_whole() {
        return Err("the camera sends half pictures (fields) one after the other, which is not supported".into());
    }
    let format = colour(spec, packing, size, &pix)?;
    let stride = (pix.stride as usize).max(packing.least_stride(size.width));
    let rate = rate.map_or(Rate::USUAL, |(frames, seconds)| Rate { frames, seconds });
    log::info!(
        "{}: {}, {} {size} at {:.4} frames a second, {:?} {:?}, rows of {stride} bytes; {why}",
        name(spec),
        device.name(),
        pix.code,
        f64::from(rate.frames) / f64::from(rate.seconds),
        format.matrix,
        format.range,
    );
    let asked = Size::new(spec.width.unwrap_or(size.width), spec.height.unwrap_or(size.height));
    if asked != size {
        log::warn!("{}: gives {size} instead of {asked}", name(spec));
    }
    if pix.is_interlaced() {
        log::warn!("{}: odd and even rows are of different moments; edges that move will be ragged", name(spec));
    }
    let stream = Stream::start(device).map_err(|error| match error.kind() {
        io::ErrorKind::ResourceBusy => busy(),
        _ => format!("cannot start: {error}"),
    })?;
    let jpeg = (packing == Packing::Mjpg).then(|| MjpgDecoder::new(format));
    let last = Instant::now();
    Ok(Running { stream, packing, jpeg, stride, format, rate, breakdowns: 0, last, sequence: None })
}

fn busy() -> String {
    "another program uses this camera; end it first ('fuser' tells which)".into()
}

/// Why a device file does not open, and what to do.
pub(super) fn why_not_open(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "there is no such device; is the camera plugged in? 'ls /dev/video*' shows what is there".into()
        }
        io::ErrorKind::PermissionDenied => {
            "no permission; add yourself to its group with 'sudo usermod -aG video $USER', then log in again".into()
        }
        io::ErrorKind::ResourceBusy => busy(),
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOTTY.raw_os_error()) => {
            format!("{} is no video device", path.display())
        }
        _ => error.to_string(),
    }
}

/// A format on offer, at the size that is asked for.
struct Offer {
    packing: Packing,
    /// Most frames a second, where the driver says.
    fastest: Option<f64>,
}

/// Format, rate as frames in seconds, and the reason for the choice.
type Negotiated = (PixFormat, Option<(u32, u32)>, String);

/// Sets format and rate. Returns them and the reason for the choice.
fn negotiate(device: &Device, spec: &CameraSpec) -> Result<Negotiated, String> {
    let mut pix = device.format(Direction::Capture).map_err(|error| format!("tells no format: {error}"))?;
    // What one side leaves open the other side's driver decides, but neither is half of the old picture.
    pix.width = spec.width.map_or(pix.width, |w| w as u32);
    pix.height = spec.height.map_or(pix.height, |h| h as u32);
    let formats = device.formats(Direction::Capture);
    let known = PACKINGS.iter().filter(|(code, _)| formats.iter().any(|(offered, _)| offered == code));
    let offers: Vec<Offer> = known
        .filter(|(code, _)| spec.packing.is_some() || has_size(&device.sizes(*code), pix.width, pix.height))
        .map(|(code, packing)| Offer { packing: *packing, fastest: device.fastest(*code, pix.width, pix.height) })
        .collect();
    let (packing, why) = match spec.packing {
        Some(packing) if offers.iter().any(|offer| offer.packing == packing) => (packing, "as asked for".to_string()),
        Some(packing) => {
            let list: Vec<String> = formats.iter().map(|(code, _)| code.to_string()).collect();
            return Err(format!("does not offer {}; it offers {}", packing.code(), list.join(", ")));
        }
        None => choose(&offers, spec.rate).ok_or_else(|| nothing_fits(device, &formats, &pix))?,
    };
    pix.code = packing.code();
    // Strides, sizes and colours are the driver's to say.
    (pix.stride, pix.bytes, pix.colorspace, pix.encoding, pix.quantization) = (0, 0, 0, 0, 0);
    let set = device.set_format(Direction::Capture, &pix).map_err(|error| match error.kind() {
        io::ErrorKind::ResourceBusy => busy(),
        _ => format!("refuses {}: {error}", pix.code),
    })?;
    // Some drivers begin with a rate far below what they can do.
    let rate = device.set_rate(spec.rate.map_or((USUAL_RATE as u32, 1), |rate| (rate.frames, rate.seconds)));
    Ok((set, rate, why))
}

fn nothing_fits(device: &Device, formats: &[(FourCc, String)], pix: &PixFormat) -> String {
    let known = formats.iter().filter(|(code, _)| Packing::of_code(*code).is_some());
    let sizes: Vec<String> = known
        .flat_map(|(code, _)| device.sizes(*code).into_iter().map(move |size| (code, size)))
        .map(|(code, size)| match size {
            Sizes::One { width, height } => format!("{code} {width}x{height}"),
            Sizes::Between { width, height } => {
                format!("{code} {}x{} to {}x{}", width.0, height.0, width.1, height.1)
            }
        })
        .take(24)
        .collect();
    if sizes.is_empty() {
        let list: Vec<String> = formats.iter().map(|(code, _)| code.to_string()).take(24).collect();
        return format!(
            "offers no format that is supported (NV12, YU12, YUYV, UYVY, MJPG, GREY), but {}",
            list.join(", ")
        );
    }
    format!("does not offer {}x{}; it offers {}", pix.width, pix.height, sizes.join(", "))
}

fn has_size(sizes: &[Sizes], width: u32, height: u32) -> bool {
    sizes.is_empty()
        || sizes.iter().any(|size| match *size {
            Sizes::One { width: w, height: h } => (w, h) == (width, height),
            Sizes::Between { width: w, height: h } => (w.0..=w.1).contains(&width) && (h.0..=h.1).contains(&height),
        })
}

/// The first of the offers that is fast enough, else the fastest.
fn choose(offers: &[Offer], rate: Option<Rate>) -> Option<(Packing, String)> {
    let wanted = rate.map_or(USUAL_RATE, |rate| f64::from(rate.frames) / f64::from(rate.seconds));
    // Drivers write 29.97 for 30.
    let enough = |offer: &&Offer| offer.fastest.is_none_or(|rate| rate >= wanted * 0.99);
    let others = |chosen: &Offer| -> String {
        let rest = offers.iter().filter(|o| o.packing != chosen.packing);
        let names: Vec<String> = rest
            .map(|o| o.packing.code().to_string() + &o.fastest.map_or(String::new(), |f| format!(" up to {f:.4}")))
            .collect();
        if names.is_empty() { "nothing else is offered".into() } else { format!("also offered: {}", names.join(", ")) }
    };
    if let Some(offer) = offers.iter().find(enough) {
        let reason = format!("costs least among those that reach {wanted:.4} frames a second; {}", others(offer));
        return Some((offer.packing, reason));
    }
    let offer = offers.iter().max_by(|a, b| a.fastest.partial_cmp(&b.fastest).unwrap_or(std::cmp::Ordering::Equal))?;
    Some((offer.packing, format!("none reaches {wanted:.4} frames a second, this is the fastest; {}", others(offer))))
}

/// `V4L2_COLORSPACE_*`, `V4L2_YCBCR_ENC_*` and `V4L2_QUANTIZATION_*` that matter here.
const COLORSPACE_REC709: u32 = 3;
const COLORSPACE_JPEG: u32 = 7;
const COLORSPACE_BT2020: u32 = 10;
const ENCODING_601: [u32; 2] = [1, 3];
const ENCODING_709: [u32; 2] = [2, 4];
const FULL_RANGE: u32 = 1;
const LIMITED_RANGE: u32 = 2;

/// What the driver's flags mean, with the interface's own rules where it leaves them open.
fn colour(spec: &CameraSpec, packing: Packing, size: Size, pix: &PixFormat) -> Result<FrameFormat, String> {
    let layout = packing.layout();
    let matrix = match (spec.matrix, pix.encoding, pix.colorspace) {
        (Some(matrix), ..) => matrix,
        (_, e, _) if ENCODING_709.contains(&e) => Matrix::Bt709,
        (_, e, _) if ENCODING_601.contains(&e) => Matrix::Bt601,
        (_, 0, COLORSPACE_REC709) => Matrix::Bt709,
        (_, 0, c) if c != COLORSPACE_BT2020 => Matrix::Bt601,
        // Grey has no use for a matrix.
        _ if layout == Layout::Gray => Matrix::Bt601,
        (_, e, c) => {
            let ask = "give ?matrix=bt601 or ?matrix=bt709";
            return Err(format!("its colours (colorspace {c}, encoding {e}) are not supported; {ask} to take them so"));
        }
    };
    let full = pix.quantization == FULL_RANGE || pix.colorspace == COLORSPACE_JPEG || layout == Layout::Gray;
    let range = match (spec.range, pix.quantization) {
        (Some(range), _) => range,
        // What is in a JPEG is in full range, whatever the driver says.
        _ if packing == Packing::Mjpg => Range::Full,
        (_, LIMITED_RANGE) => Range::Limited,
        _ if full => Range::Full,
        _ => Range::Limited,
    };
    let siting = if packing == Packing::Mjpg { Siting::Centre } else { Siting::Left };
    let matrix = if packing == Packing::Mjpg { spec.matrix.unwrap_or(Matrix::Bt601) } else { matrix };
    Ok(FrameFormat { size, layout, siting, matrix, range })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(packing: Packing, fastest: impl Into<Option<f64>>) -> Offer {
        Offer { packing, fastest: fastest.into() }
    }

    #[test]
    fn the_cheapest_format_that_is_fast_enough_wins() {
        let chosen = |offers: &[Offer], rate: Option<u32>| {
            choose(offers, rate.map(|frames| Rate { frames, seconds: 1 })).map(|(packing, _)| packing)
        };
        let webcam = [offer(Packing::Yuyv, 10.0), offer(Packing::Mjpg, 29.97)];
        assert_eq!(chosen(&webcam, None), Some(Packing::Mjpg));
        assert_eq!(chosen(&webcam, Some(10)), Some(Packing::Yuyv));
        assert_eq!(chosen(&webcam, Some(60)), Some(Packing::Mjpg), "the fastest there is");
        assert_eq!(chosen(&[offer(Packing::Nv12, None), offer(Packing::Yuyv, 60.0)], None), Some(Packing::Nv12));
        assert_eq!(chosen(&[], None), None);
        let (_, why) = choose(&webcam, None).unwrap();
        assert!(why.contains("30") && why.contains("YUYV up to 10"), "{why}");
    }

    #[test]
    fn colours_follow_the_drivers_flags() {
        let spec = |matrix, range| CameraSpec {
            path: "x".into(),
            width: None,
            height: None,
            rate: None,
            packing: None,
            input: None,
            matrix,
            range,
            patience: None,
        };
        let of = |packing, colorspace, encoding, quantization| {
            let size = Size::new(4, 2);
            let pix = PixFormat {
                width: 4,
                height: 2,
                code: FourCc(0),
                field: 1,
                stride: 0,
                bytes: 0,
                colorspace,
                encoding,
                quantization,
            };
            colour(&spec(None, None), packing, size, &pix).map(|f| (f.matrix, f.range))
        };
        let (low, high) = (Matrix::Bt601, Matrix::Bt709);
        assert_eq!(of(Packing::Yuyv, 1, 0, 0), Ok((low, Range::Limited)), "SMPTE 170M");
        assert_eq!(of(Packing::Yuyv, 3, 0, 0), Ok((high, Range::Limited)), "Rec. 709");
        assert_eq!(of(Packing::Yuyv, 8, 0, 0), Ok((low, Range::Limited)), "sRGB, as most webcams");
        assert_eq!(of(Packing::Nv12, 7, 0, 0), Ok((low, Range::Full)), "JPEG");
        assert_eq!(of(Packing::Nv12, 3, 1, 1), Ok((low, Range::Full)), "explicit flags rule");
        assert_eq!(of(Packing::Nv12, 8, 2, 2), Ok((high, Range::Limited)));
        assert_eq!(of(Packing::Grey, 8, 0, 0), Ok((low, Range::Full)));
        assert_eq!(of(Packing::Grey, 8, 0, 2), Ok((low, Range::Limited)));
        assert_eq!(of(Packing::Mjpg, 3, 2, 2), Ok((low, Range::Full)), "a JPEG is a JPEG");
        assert!(of(Packing::Yuyv, 10, 0, 0).unwrap_err().contains("?matrix="));
        assert!(of(Packing::Yuyv, 10, 6, 0).is_err());
    }

    #[test]
    fn sizes_on_offer() {
        let one = [Sizes::One { width: 640, height: 480 }];
        assert!(has_size(&one, 640, 480) && !has_size(&one, 640, 360));
        let between = [Sizes::Between { width: (16, 640), height: (16, 480) }];
        assert!(has_size(&between, 100, 100) && !has_size(&between, 641, 100));
        assert!(has_size(&[], 1, 1), "a driver that does not say is asked");
    }
}

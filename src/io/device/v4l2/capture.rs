//! `v4l2://`: frames of a camera.
//!
//! Formats are chosen by what they cost and how fast they are. A damaged buffer is skipped; a stream that breaks is
//! started again; a camera that is gone is waited for.

use std::io;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::fourcc::{CAMERA, refused};
use super::negotiate::{Agreed, agree, agree_with, name};
use super::spec::CameraSpec;
use crate::io::error::{DeviceError, ReadError};
use crate::io::reconnect::{Pauses, Reconnect, Step};
use crate::io::sys::v4l2::{Captured, Device, Stream};
use crate::io::video::{Arrival, Clip, FrameSource, MjpegDecoder, Troubles, VideoFormat, unpack};

/// Longest wait for a frame before the caller hears that there is none yet.
const WAIT: Duration = Duration::from_millis(100);
/// A camera that gives nothing for so long is opened again.
const SILENCE: Duration = Duration::from_secs(5);

/// A camera that was opened and gives frames.
struct Running {
    stream: Stream,
    agreed: Agreed,
    jpeg: Option<MjpegDecoder>,
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
    /// Opens the device, agrees with it on a format, and starts it.
    fn start(spec: &CameraSpec) -> Result<Self, DeviceError> {
        let (device, agreed) = agree(spec)?;
        let stream = Stream::start(device).map_err(|e| refused(e, CAMERA, |e| format!("cannot start: {e}")))?;
        let jpeg = (agreed.format == VideoFormat::Mjpeg).then(|| MjpegDecoder::new(agreed.frames));
        Ok(Self { stream, agreed, jpeg, breakdowns: 0, last: Instant::now(), sequence: None })
    }

    /// Waits for a frame a while, and puts it into `frame` unless it was taken before `begun`.
    fn next(&mut self, begun: Instant, frame: &mut [u8]) -> io::Result<Captured<Fate>> {
        let Self { stream, agreed, jpeg, .. } = self;
        let captured = stream.next(WAIT, |bytes, at| {
            if at.is_some_and(|at| at < begun) {
                return Fate::Stale;
            }
            if unpacked(agreed, jpeg, bytes, frame) { Fate::Good } else { Fate::Damaged }
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

/// Puts what a camera gave into `frame`; not so if it is damaged.
fn unpacked(agreed: &Agreed, jpeg: &mut Option<MjpegDecoder>, bytes: &[u8], frame: &mut [u8]) -> bool {
    let Agreed { format, frames, stride, .. } = agreed;
    match jpeg {
        Some(decoder) => decoder.decode(bytes, frame).inspect_err(|e| log::debug!("damaged frame: {e}")).is_ok(),
        None => unpack(*format, frames, *stride, bytes, frame).is_some(),
    }
}

/// Agrees with a driver that answers with `replies`, and reads a frame of at most `most` bytes out of what they leave; nothing for
/// a damaged or larger one. For tests.
#[doc(hidden)]
pub fn frame_of_replies(replies: &[u8], most: usize) -> Result<Option<Vec<u8>>, String> {
    let device = Device::of_replies(replies).map_err(|error| error.to_string())?;
    let spec = CameraSpec::of(PathBuf::from("/dev/video0"));
    let (device, agreed) = agree_with(device, &spec).map_err(|error| error.to_string())?;
    if agreed.frames.bytes() > most {
        return Ok(None);
    }
    let mut frame = vec![0; agreed.frames.bytes()];
    let mut jpeg = (agreed.format == VideoFormat::Mjpeg).then(|| MjpegDecoder::new(agreed.frames));
    Ok(unpacked(&agreed, &mut jpeg, &device.rest(), &mut frame).then_some(frame))
}

/// Frames of a camera.
pub(in crate::io) struct CameraSource {
    spec: CameraSpec,
    clip: Clip,
    camera: Reconnect<Running>,
    /// When the first frame was asked for. Those taken before waited in the driver while the network was prepared.
    begun: Option<Instant>,
    troubles: Troubles,
}

impl CameraSource {
    pub(in crate::io) fn open(spec: CameraSpec) -> Result<Self, DeviceError> {
        let running = Running::start(&spec)?;
        let (format, rate) = (running.agreed.frames, running.agreed.rate);
        let clip = Clip { format, rate, aspect: (1, 1), live: true };
        let camera = Reconnect::new(&name(&spec), running, Pauses::GROWING, spec.patience);
        Ok(Self { spec, clip, camera, begun: None, troubles: Troubles::default() })
    }

    /// Tries to take the camera up again when it is time to.
    fn seek(&mut self) -> Result<Arrival, ReadError> {
        let now = Instant::now();
        match self.camera.step(now) {
            Step::Wait(time) => sleep(time.min(WAIT)),
            Step::Try => {
                let started = Running::start(&self.spec).and_then(|running| {
                    let other = running.agreed.frames;
                    match other == self.clip.format {
                        true => Ok(running),
                        false => Err(format!("it came back with {} {}", other.size, other.layout.name()).into()),
                    }
                });
                self.camera.tried(Instant::now(), started);
            }
            Step::GiveUp(away) => return Err(self.camera.given_up(away)),
        }
        Ok(Arrival::Pending)
    }
}

impl FrameSource for CameraSource {
    fn clip(&self) -> &Clip {
        &self.clip
    }

    fn read(&mut self, frame: &mut [u8]) -> Result<Arrival, ReadError> {
        let Some(running) = self.camera.device() else { return self.seek() };
        let begun = *self.begun.get_or_insert_with(Instant::now);
        match running.next(begun, frame) {
            Ok(Captured::Frame { value: Fate::Stale, .. }) => {}
            Ok(Captured::Frame { value, at, sequence }) => {
                self.troubles.missed += running.missed(sequence);
                self.camera.works(Instant::now());
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
            Ok(Captured::Nothing) if running.last.elapsed() > SILENCE => {
                self.camera.lose(Instant::now(), "no frame for 5 s");
            }
            Ok(Captured::Nothing) => {}
            Err(error) if running.restart() => {
                log::info!("{}: the stream broke down ({error}) and was started again", name(&self.spec));
                self.troubles.restarts += 1;
            }
            Err(error) => self.camera.lose(Instant::now(), error),
        }
        Ok(Arrival::Pending)
    }

    fn troubles(&self) -> Troubles {
        Troubles { reconnects: self.camera.reconnects(), ..self.troubles }
    }
}

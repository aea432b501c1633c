//! Kernel mode setting: a card, one of its outputs, two buffers that take turns.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use drm::buffer::{Buffer, DrmFourcc};
use drm::control::connector::{self, Interface, State};
use drm::control::dumbbuffer::DumbBuffer;
use drm::control::{Device as ControlDevice, Event, Mode, ModeTypeFlags, PageFlipFlags, crtc, framebuffer};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::spec::{Depth, DisplaySpec, ModeSpec};
use crate::geom::Size;
use crate::io::error::{Cause, DeviceError};
use crate::io::sys::clock;

/// Longest wait for a page flip. Displays flip at least twenty times a second.
const FLIP_LIMIT: Duration = Duration::from_secs(1);
/// Where cards are.
const FOLDER: &str = "/dev/dri";

/// An open card.
pub(in crate::io) struct Card {
    file: File,
    name: String,
}

impl AsFd for Card {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl drm::Device for Card {}
impl ControlDevice for Card {}

/// The name of the format, its bits of colour, its bits in memory.
const fn bits(depth: Depth) -> (DrmFourcc, u32, u32) {
    match depth {
        Depth::True => (DrmFourcc::Xrgb8888, 24, 32),
        Depth::High => (DrmFourcc::Rgb565, 16, 16),
    }
}

/// An output of a card.
pub(in crate::io) struct Output {
    pub(in crate::io) name: String,
    pub(in crate::io) connected: bool,
    pub(in crate::io) modes: Vec<(ModeSpec, bool)>,
    info: connector::Info,
}

/// Names of the cards, in order.
pub(in crate::io) fn cards() -> Vec<String> {
    let entries = std::fs::read_dir(FOLDER).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("card")).collect();
    names.sort_by_key(|name| (name.len(), name.clone()));
    names
}

impl Card {
    /// Opens a card that can show something.
    pub(in crate::io) fn open(name: &str) -> io::Result<Self> {
        let path = Path::new(FOLDER).join(name);
        let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
        let card = Self { file, name: name.to_string() };
        card.resource_handles()?;
        Ok(card)
    }

    /// Its outputs. Asking the displays takes some time.
    pub(in crate::io) fn outputs(&self) -> io::Result<Vec<Output>> {
        let mut outputs = Vec::new();
        for handle in self.resource_handles()?.connectors() {
            let info = self.get_connector(*handle, true)?;
            if info.interface() == Interface::Writeback {
                continue;
            }
            let preferred = |mode: &Mode| mode.mode_type().contains(ModeTypeFlags::PREFERRED);
            let modes = info.modes().iter().map(|mode| (mode_spec(mode), preferred(mode))).collect();
            let connected = info.state() == State::Connected;
            outputs.push(Output { name: info.to_string(), connected, modes, info });
        }
        Ok(outputs)
    }

    /// A pipe of the card that can feed `output` and that no other output uses.
    fn pipe(&self, output: &connector::Info) -> io::Result<Option<crtc::Handle>> {
        let resources = self.resource_handles()?;
        let mut taken = Vec::new();
        for handle in resources.connectors().iter().filter(|handle| **handle != output.handle()) {
            let other = self.get_connector(*handle, false)?;
            if let Some(encoder) = other.current_encoder() {
                taken.extend(self.get_encoder(encoder)?.crtc());
            }
        }
        let current = match output.current_encoder() {
            Some(encoder) => self.get_encoder(encoder)?.crtc(),
            None => None,
        };
        let mut possible = Vec::from_iter(current);
        for encoder in output.encoders() {
            possible.extend(resources.filter_crtcs(self.get_encoder(*encoder)?.possible_crtcs()));
        }
        Ok(possible.into_iter().find(|crtc| !taken.contains(crtc)))
    }
}

fn mode_spec(mode: &Mode) -> ModeSpec {
    let (width, height) = mode.size();
    ModeSpec { size: Size::new(width.into(), height.into()), refresh: Some(mode.vrefresh()) }
}

/// The mode that is asked for, else the preferred, else the first.
fn pick(modes: &[Mode], wanted: Option<ModeSpec>) -> Option<Mode> {
    let Some(wanted) = wanted else {
        let preferred = modes.iter().find(|mode| mode.mode_type().contains(ModeTypeFlags::PREFERRED));
        return preferred.or(modes.first()).copied();
    };
    let fits = modes.iter().filter(|mode| {
        let spec = mode_spec(mode);
        spec.size == wanted.size && wanted.refresh.is_none_or(|refresh| spec.refresh == Some(refresh))
    });
    fits.max_by_key(|mode| mode.vrefresh()).copied()
}

/// An output with its mode set, and two buffers that take turns on it. Shows what was there before once it goes.
pub(in crate::io) struct Screen {
    card: Card,
    output: String,
    connector: connector::Handle,
    crtc: crtc::Handle,
    mode: Mode,
    before: crtc::Info,
    depth: Depth,
    pages: Vec<(DumbBuffer, framebuffer::Handle)>,
    /// The page that is not on the screen.
    back: usize,
    status: Option<File>,
}

impl Screen {
    /// Opens the display that `spec` describes.
    ///
    /// # Errors
    ///
    /// The reason, and what to do about it.
    pub(in crate::io) fn open(spec: &DisplaySpec) -> Result<Self, DeviceError> {
        let names = match &spec.card {
            Some(name) => vec![name.clone()],
            None => cards(),
        };
        if names.is_empty() {
            let reason = "there is no display card (/dev/dri is empty); is its driver loaded?";
            return Err(DeviceError::new(Cause::Absent, reason));
        }
        let mut reasons = Vec::new();
        for name in &names {
            let found = Card::open(name).map_err(|error| why_not_open(name, error)).and_then(|card| {
                let outputs = card.outputs().map_err(|error| why_not_open(name, error))?;
                Ok((choose(name, outputs, spec.connector.as_deref())?, card))
            });
            match found {
                Ok((output, card)) => return Self::begin(card, output, spec),
                Err(reason) => reasons.push(reason),
            }
        }
        Err(DeviceError::joined(reasons))
    }

    fn begin(card: Card, output: Output, spec: &DisplaySpec) -> Result<Self, DeviceError> {
        let name = format!("{}/{}", card.name, output.name);
        let said = |what: &str| {
            let what = what.to_string();
            let name = name.clone();
            move |error: io::Error| {
                let reason = format!("{name}: {what}: {error}");
                DeviceError::of(error, reason)
            }
        };
        let Some(mode) = pick(output.info.modes(), spec.mode) else {
            let modes: Vec<String> = output.modes.iter().map(|(mode, _)| mode.to_string()).collect();
            let wanted = spec.mode.map_or(String::new(), |mode| format!(" {mode}"));
            return Err(format!("{name}: does not offer{wanted}; it offers {}", modes.join(", ")).into());
        };
        let crtc = card.pipe(&output.info).map_err(said("cannot ask"))?;
        let reason = || format!("{name}: all pipes of the card feed other displays");
        let crtc = crtc.ok_or_else(|| DeviceError::new(Cause::Busy, reason()))?;
        let before = card.get_crtc(crtc).map_err(said("cannot ask"))?;
        let status = format!("/sys/class/drm/{}-{}/status", card.name, output.name);
        let connector = output.info.handle();
        let depth = spec.depth.unwrap_or(Depth::True);
        let mut screen = Self {
            card,
            output: output.name,
            connector,
            crtc,
            mode,
            before,
            depth,
            pages: Vec::with_capacity(2),
            back: 0,
            status: File::open(status).ok(),
        };
        let made = screen.add_pages().or_else(|error| match spec.depth {
            Some(_) => Err(error),
            None => {
                screen.remove_pages();
                screen.depth = Depth::High;
                screen.add_pages()
            }
        });
        made.map_err(said("no memory for pictures of this kind"))?;
        screen.set_mode()?;
        Ok(screen)
    }

    fn set_mode(&self) -> Result<(), DeviceError> {
        let first = self.pages[1].1;
        let set = self.card.set_crtc(self.crtc, Some(first), (0, 0), &[self.connector], Some(self.mode));
        set.map_err(|error| match error.kind() {
            // Only the first that opened the card may set a mode.
            ErrorKind::PermissionDenied => DeviceError::new(
                Cause::Busy,
                format!(
                    "{}: another program has the display; end the desktop ('sudo systemctl isolate multi-user.target') \
                     and try again on a console",
                    self.name()
                ),
            ),
            _ => {
                let reason = format!("{}: cannot set the mode: {error}", self.name());
                DeviceError::of(error, reason)
            }
        })
    }

    fn add_pages(&mut self) -> io::Result<()> {
        let (code, depth, bits) = bits(self.depth);
        let (width, height) = self.mode.size();
        for _ in 0..2 {
            let buffer = self.card.create_dumb_buffer((width.into(), height.into()), code, bits)?;
            match self.card.add_framebuffer(&buffer, depth, bits) {
                Ok(handle) => self.pages.push((buffer, handle)),
                Err(error) => {
                    let _ = self.card.destroy_dumb_buffer(buffer);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn remove_pages(&mut self) {
        for (buffer, handle) in self.pages.drain(..) {
            let _ = self.card.destroy_framebuffer(handle);
            let _ = self.card.destroy_dumb_buffer(buffer);
        }
    }

    /// As `card0/HDMI-A-1`.
    pub(in crate::io) fn name(&self) -> String {
        format!("{}/{}", self.card.name, self.output)
    }

    pub(in crate::io) fn mode(&self) -> ModeSpec {
        mode_spec(&self.mode)
    }

    pub(in crate::io) fn depth(&self) -> Depth {
        self.depth
    }

    /// Does the kernel know of a display at the output?
    pub(in crate::io) fn is_connected(&mut self) -> bool {
        let Some(status) = &mut self.status else { return true };
        let mut text = [0; 16];
        let read = status.seek(SeekFrom::Start(0)).and_then(|_| status.read(&mut text));
        // A file that is gone went with its card.
        matches!(read, Ok(n) if !text[..n].starts_with(b"disconnected"))
    }

    /// Lets `draw` fill the page behind, whose rows are as many bytes apart as its second argument says, and shows
    /// it. Returns when it is on the screen: the moment of the flip.
    pub(in crate::io) fn show(&mut self, draw: impl FnOnce(&mut [u8], usize)) -> io::Result<Instant> {
        let (buffer, handle) = &mut self.pages[self.back];
        let stride = buffer.pitch() as usize;
        draw(&mut self.card.map_dumb_buffer(buffer)?, stride);
        self.card.page_flip(self.crtc, *handle, PageFlipFlags::EVENT, None)?;
        self.back = 1 - self.back;
        self.wait_flip()
    }

    fn wait_flip(&self) -> io::Result<Instant> {
        let limit = Instant::now() + FLIP_LIMIT;
        loop {
            let left = limit.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::new(ErrorKind::TimedOut, "the display does not flip pages"));
            }
            match poll(&mut [PollFd::new(&self.card, PollFlags::IN)], Some(&clock::timespec(left))) {
                Ok(0) | Err(Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            for event in self.card.receive_events()? {
                if let Event::PageFlip(flip) = event {
                    log::trace!("page flip: vblank {} at {} us", flip.frame, flip.duration.as_micros());
                    return Ok(clock::instant(flip.duration).unwrap_or_else(Instant::now));
                }
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let Self { crtc, connector, before, .. } = self;
        let restored = match (before.mode(), before.framebuffer()) {
            (Some(mode), Some(picture)) => {
                self.card.set_crtc(*crtc, Some(picture), before.position(), &[*connector], Some(mode))
            }
            _ => self.card.set_crtc(*crtc, None, (0, 0), &[], None),
        };
        if let Err(error) = restored {
            log::debug!("the picture from before is not restored: {error}");
        }
        self.remove_pages();
    }
}

/// The output of that name, or the first that is connected.
fn choose(card: &str, outputs: Vec<Output>, name: Option<&str>) -> Result<Output, DeviceError> {
    let list = || -> String {
        let say = |o: &Output| format!("{} {}", o.name, if o.connected { "connected" } else { "not connected" });
        outputs.iter().map(say).collect::<Vec<_>>().join(", ")
    };
    let missing = match name {
        _ if outputs.is_empty() => format!("{card} has no outputs"),
        None => format!("{card}: no display is connected ({})", list()),
        Some(name) if outputs.iter().any(|o| o.name == name) => {
            format!("{card}/{name}: no display is connected ({})", list())
        }
        Some(name) => format!("{card} has no output '{name}', but {}", list()),
    };
    let fits = |o: &Output| o.connected && name.is_none_or(|name| o.name == name);
    let there = name.is_none_or(|name| outputs.iter().any(|o| o.name == name));
    let cause = if there { Cause::Unplugged } else { Cause::Absent };
    outputs.into_iter().find(fits).ok_or_else(|| DeviceError::new(cause, missing))
}

/// Why a card does not open, and what to do.
pub(in crate::io) fn why_not_open(name: &str, error: io::Error) -> DeviceError {
    let reason = match error.kind() {
        ErrorKind::NotFound => {
            let there = cards();
            let others = if there.is_empty() { "no card".into() } else { there.join(", ") };
            format!("/dev/dri/{name} does not exist; there is {others}")
        }
        ErrorKind::PermissionDenied => {
            format!(
                "{name}: no permission; add yourself to the group 'video' ('sudo usermod -aG video $USER'), then log in again"
            )
        }
        _ if error.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()) => {
            return format!("{name}: has no displays, it only computes").into();
        }
        _ => format!("{name}: {error}"),
    };
    DeviceError::of(error, reason)
}

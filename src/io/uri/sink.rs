//! Sinks.

use std::io::{IsTerminal, stdout};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::super::destination::Destination;
use super::super::devices::{self, Controller, Depth, DisplaySpec, PanelPlace, PanelSpec, Turn};
use super::super::raw::{RawFormat, RawSink};
use super::super::sequence::{Pattern, SequenceSink};
use super::super::y4m::Y4mSink;
use super::super::{Clip, CreateError, FrameSink, Place, Shown, WriteError, same_file};
use super::{Parts, SourceUri, UriError, is_device, parse_duration};
use crate::frame::{Fit, FrameFormat, Layout, Range};
use crate::geom::Size;

/// Clock of a panel's bus. Above what data sheets promise, and what everybody uses.
const HERTZ: u32 = 32_000_000;

/// Where frames go to.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkUri {
    uri: String,
    to: To,
}

#[derive(Clone, Debug, PartialEq)]
enum To {
    Y4m(Place),
    Raw(Place, RawFormat),
    Pictures { pattern: Pattern, start: Option<u64> },
    Null { delay: Duration },
    Display(DisplaySpec, Fit),
    Framebuffer(PathBuf, Fit),
    Loopback(PathBuf),
    Panel(PanelPlace, PanelSpec, Fit),
}

impl FromStr for SinkUri {
    type Err = UriError;

    fn from_str(uri: &str) -> Result<Self, UriError> {
        let mut parts = Parts::of(uri);
        let to = match parts.scheme {
            "null" => {
                let delay = parts.take::<String>("delay")?.map(|text| parse_duration(&text));
                To::Null { delay: delay.transpose().map_err(|e| parts.wrong(e))?.unwrap_or_default() }
            }
            "file" => file(&mut parts)?,
            "drm" => display(&mut parts)?,
            "fb" => {
                let fit = parts.take("fit")?.unwrap_or_default();
                To::Framebuffer(parts.device("/dev/fb0")?, fit)
            }
            "v4l2" => To::Loopback(parts.device("/dev/video10")?),
            "spi" => panel(&mut parts)?,
            scheme => {
                let known = "drm://, fb://, spi://, v4l2://, file://, - and null:// are";
                return Err(parts.wrong(format!("sinks of kind '{scheme}' are not supported; {known}")));
            }
        };
        parts.end()?;
        Ok(Self { uri: uri.to_string(), to })
    }
}

fn file(parts: &mut Parts) -> Result<To, UriError> {
    if let Some(pattern) = Pattern::of(parts.path) {
        return Ok(To::Pictures { pattern, start: parts.take("start")? });
    }
    let place = parts.place()?;
    if let Some(raw) = parts.take("format")? {
        return Ok(To::Raw(place, raw));
    }
    match &place {
        Place::File(path) if path.is_dir() => Err(parts.wrong("this is a folder; give a pattern such as %05d.png")),
        Place::File(path) if path.extension().is_none_or(|e| e != "y4m") && !is_device(path) => {
            Err(parts.wrong("use a name that ends in .y4m, a pattern such as %05d.png, or ?format= for raw video"))
        }
        _ => Ok(To::Y4m(place)),
    }
}

fn display(parts: &mut Parts) -> Result<To, UriError> {
    let fit = parts.take("fit")?.unwrap_or_default();
    let mode = parts.take("mode")?;
    let depth = parts.choice("format", &[("xr24", Depth::True), ("rg16", Depth::High)])?;
    let path = parts.path.trim_matches('/');
    let (card, connector) = path.split_once('/').map_or((path, None), |(card, output)| (card, Some(output)));
    let card = (!card.is_empty()).then(|| card.to_string());
    if card.as_ref().is_some_and(|card| !card.starts_with("card")) || connector.is_some_and(|c| c.contains('/')) {
        return Err(parts.wrong("write drm://, drm://card0 or drm://card0/HDMI-A-1"));
    }
    let connector = connector.map(str::to_string);
    Ok(To::Display(DisplaySpec { card, connector, mode, depth }, fit))
}

fn panel(parts: &mut Parts) -> Result<To, UriError> {
    let example = "write spi://0.0?panel=ili9341&dc=24&reset=25, with the numbers of bus and chip select";
    let numbers = parts.path.split_once('.').and_then(|(bus, select)| Some((bus.parse().ok()?, select.parse().ok()?)));
    let device = numbers.ok_or_else(|| parts.wrong(example))?;
    let known = [("ili9341", Controller::Ili9341), ("st7735", Controller::St7735), ("st7789", Controller::St7789)];
    let controller = parts.choice("panel", &known)?;
    let controller = controller.ok_or_else(|| parts.wrong("panel= is missing: ili9341, st7735 or st7789"))?;
    let mut spec = PanelSpec::new(controller);
    let (width, height) = parts.size()?;
    spec.size = Size::new(width.unwrap_or(spec.size.width), height.unwrap_or(spec.size.height));
    if let Some(offset) = parts.take::<String>("offset")? {
        let pair = offset.split_once(',').and_then(|(x, y)| Some((x.parse().ok()?, y.parse().ok()?)));
        spec.offset = pair.ok_or_else(|| parts.wrong(format!("offset={offset}: write columns and rows, as 0,80")))?;
    }
    let turns = [("0", Turn::None), ("90", Turn::Right), ("180", Turn::Over), ("270", Turn::Left)];
    spec.turn = parts.choice("rotate", &turns)?.unwrap_or(spec.turn);
    let switch = [("on", true), ("off", false)];
    spec.mirror = parts.choice("mirror", &switch)?.unwrap_or(spec.mirror);
    spec.invert = parts.choice("invert", &switch)?.unwrap_or(spec.invert);
    spec.bgr = parts.choice("order", &[("rgb", false), ("bgr", true)])?.unwrap_or(spec.bgr);
    spec.check().map_err(|reason| parts.wrong(reason))?;
    let dc = parts.take("dc")?.ok_or_else(|| parts.wrong("dc= is missing: the GPIO line of the panel's D/C pin"))?;
    let (reset, backlight) = (parts.take("reset")?, parts.take("backlight")?);
    let chip = parts.take::<String>("chip")?;
    if chip.as_ref().is_some_and(|chip| !chip.starts_with("gpiochip") || chip.contains('/')) {
        return Err(parts.wrong("chip is one of /dev, as gpiochip0"));
    }
    let hertz = parts.take("speed")?.unwrap_or(HERTZ);
    if !(100_000..=200_000_000).contains(&hertz) {
        return Err(parts.wrong("speed is in Hz, from 100000 to 200000000"));
    }
    let fit = parts.take("fit")?.unwrap_or_default();
    Ok(To::Panel(PanelPlace { device, dc, reset, backlight, chip, hertz }, spec, fit))
}

impl SinkUri {
    /// The frames that this sink takes when `frames` could be given: video keeps its planes, pictures are full-range
    /// RGB or grey, RGB becomes 4:4:4 in limited BT.601 for Y4M.
    ///
    /// # Errors
    ///
    /// When a raw format cannot be made of them.
    pub fn takes(&self, frames: &FrameFormat) -> Result<FrameFormat, UriError> {
        let (size, from) = (frames.size, frames.layout);
        let wanted = match &self.to {
            To::Null { .. } | To::Loopback(_) => return Ok(*frames),
            To::Y4m(_) if from == Layout::Rgb => {
                let range = Range::Limited;
                return Ok(FrameFormat { range, ..FrameFormat::picture(size, Layout::Yuv444) });
            }
            To::Y4m(_) => return Ok(*frames),
            To::Pictures { .. } | To::Display(..) | To::Framebuffer(..) | To::Panel(..) => match from {
                Layout::Gray => Layout::Gray,
                _ => Layout::Rgb,
            },
            To::Raw(_, raw) => raw.layout(),
        };
        match (from, wanted) {
            (_, Layout::Gray) | (_, Layout::Rgb) if from != Layout::Gray || wanted == Layout::Gray => {
                Ok(FrameFormat::picture(size, wanted))
            }
            _ if from == wanted => Ok(*frames),
            _ => {
                let reason = format!("the source is {}, which cannot be written as {}", from.name(), wanted.name());
                Err(UriError { uri: self.uri.clone(), reason })
            }
        }
    }

    /// Do frames go to standard output?
    pub fn is_pipe(&self) -> bool {
        matches!(&self.to, To::Y4m(Place::Pipe) | To::Raw(Place::Pipe, _))
    }

    /// Refuses to overwrite the source.
    pub fn check(&self, source: &SourceUri) -> Result<(), CreateError> {
        let from = source.path();
        let to = match &self.to {
            To::Y4m(Place::File(path)) | To::Raw(Place::File(path), _) => Some(path.clone()),
            To::Pictures { pattern, .. } => Some(pattern.folder()),
            To::Loopback(path) | To::Framebuffer(path, _) => Some(path.clone()),
            To::Y4m(Place::Pipe) | To::Raw(Place::Pipe, _) | To::Null { .. } | To::Display(..) | To::Panel(..) => None,
        };
        match (from, to) {
            (Some(from), Some(to)) if same_file(&from, &to) && !is_device(&to) => {
                Err(CreateError::SameFile { file: self.uri.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Begins the output; `clip.format` is what [`SinkUri::takes`] said.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn create(&self, clip: &Clip) -> Result<Box<dyn FrameSink>, CreateError> {
        match &self.to {
            To::Null { delay } => Ok(Box::new(Null { delay: *delay })),
            To::Loopback(path) => devices::loopback(&self.uri, path, clip.format),
            To::Display(spec, fit) => devices::display(&self.uri, spec.clone(), clip.format, *fit),
            To::Framebuffer(path, fit) => devices::framebuffer(&self.uri, path, clip.format, *fit),
            To::Panel(place, spec, fit) => devices::panel(&self.uri, place, spec, clip.format, *fit),
            To::Pictures { pattern, start } => {
                Ok(Box::new(SequenceSink::create(pattern.clone(), *start, &clip.format)?))
            }
            To::Raw(place, raw) => Ok(Box::new(RawSink::new(self.destination(place)?, *raw, clip.format))),
            To::Y4m(place) => Y4mSink::begin(self.destination(place)?, clip)
                .map(|sink| Box::new(sink) as Box<dyn FrameSink>)
                .map_err(|error| match error {
                    WriteError::Io { file, source } => CreateError::Io { file, source },
                    WriteError::Encode { file, reason } => CreateError::Unsupported { file, reason },
                }),
        }
    }

    fn destination(&self, place: &Place) -> Result<Destination, CreateError> {
        if *place == Place::Pipe && stdout().is_terminal() {
            let reason = "video is not written to a terminal; redirect it or name a file".into();
            return Err(CreateError::Unsupported { file: "standard output".into(), reason });
        }
        Destination::open(place).map_err(|source| CreateError::Io { file: place.to_string(), source })
    }
}

/// Takes frames and forgets them, as slowly as it is told to.
struct Null {
    delay: Duration,
}

impl FrameSink for Null {
    fn write(&mut self, _: &[u8]) -> Result<Shown, WriteError> {
        if !self.delay.is_zero() {
            std::thread::sleep(self.delay);
        }
        Ok(Shown::Now)
    }

    fn finish(self: Box<Self>) -> Result<(), WriteError> {
        Ok(())
    }
}

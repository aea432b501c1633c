//! Sinks.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::duration::parse_duration;
use super::parts::{Parts, UriError};
use crate::frame::{Fit, Matrix, Range};
use crate::geom::Size;
use crate::io::device::drm::spec::{Depth, DisplaySpec};
use crate::io::device::spi::spec::{Controller, PanelSpec, PanelWiring, Turn};
use crate::io::location::Location;
use crate::io::video::{Pattern, VideoFormat};

/// Clock of a panel's bus. Above what data sheets promise, and what everybody uses.
const HERTZ: u32 = 32_000_000;

/// Where frames go to.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkUri {
    pub(in crate::io) uri: String,
    pub(in crate::io) spec: SinkSpec,
    pub(in crate::io) matrix: Option<Matrix>,
    pub(in crate::io) range: Option<Range>,
}

/// What a sink is, by its kind.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::io) enum SinkSpec {
    Y4m(Location),
    Raw(Location, VideoFormat),
    Pictures { pattern: Pattern, start: Option<u64> },
    Null { delay: Duration },
    Display(DisplaySpec, Fit),
    Framebuffer(PathBuf, Fit),
    VideoOutput(PathBuf),
    Panel(PanelWiring, PanelSpec, Fit),
}

impl FromStr for SinkUri {
    type Err = UriError;

    fn from_str(uri: &str) -> Result<Self, UriError> {
        let mut parts = Parts::of(uri);
        let (matrix, range) = parts.colour()?;
        let spec = match parts.scheme {
            "null" => {
                let delay = parts.take::<String>("delay")?.unwrap_or_else(|| "0".into());
                SinkSpec::Null { delay: parse_duration(&delay).map_err(|e| parts.wrong(e))? }
            }
            "file" => file(&mut parts)?,
            "drm" => display(&mut parts)?,
            "fb" => {
                let fit = parts.take("fit")?.unwrap_or_default();
                SinkSpec::Framebuffer(parts.device("/dev/fb0")?, fit)
            }
            "v4l2" => SinkSpec::VideoOutput(parts.device("/dev/video10")?),
            "spi" => panel(&mut parts)?,
            scheme => {
                let known = "drm://, fb://, spi://, v4l2://, file://, - and null:// are";
                return Err(parts.wrong(format!("sinks of kind '{scheme}' are not supported; {known}")));
            }
        };
        parts.end()?;
        Ok(Self { uri: uri.to_string(), spec, matrix, range })
    }
}

fn file(parts: &mut Parts) -> Result<SinkSpec, UriError> {
    if let Some(pattern) = Pattern::of(parts.path) {
        return Ok(SinkSpec::Pictures { pattern, start: parts.take("start")? });
    }
    let location = parts.location()?;
    Ok(match parts.format(VideoFormat::is_raw)? {
        Some(format) => SinkSpec::Raw(location, format),
        None => SinkSpec::Y4m(location),
    })
}

fn display(parts: &mut Parts) -> Result<SinkSpec, UriError> {
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
    Ok(SinkSpec::Display(DisplaySpec { card, connector, mode, depth }, fit))
}

fn panel(parts: &mut Parts) -> Result<SinkSpec, UriError> {
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
    Ok(SinkSpec::Panel(PanelWiring { device, dc, reset, backlight, chip, hertz }, spec, fit))
}

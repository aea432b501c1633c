//! Sinks.

use std::net::SocketAddr;
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
use crate::io::net::spec::{PageSpec, Token};
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
    Page(PageSpec),
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
            "http" if matrix.is_some() || range.is_some() => {
                return Err(parts.wrong("'matrix' and 'range' are no options here"));
            }
            "http" => SinkSpec::Page(page(&mut parts)?),
            scheme => {
                let known = "drm://, fb://, spi://, v4l2://, http://, file://, - and null:// are";
                return Err(parts.wrong(format!("sinks of kind '{scheme}' are not supported; {known}")));
            }
        };
        parts.end()?;
        Ok(Self { uri: parts.uri.to_string(), spec, matrix, range })
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

/// Most viewers that there are room for, where nobody says.
const VIEWERS: usize = 4;
/// Of JPEG: what is lost is hard to see.
const QUALITY: u8 = 85;

fn page(parts: &mut Parts) -> Result<PageSpec, UriError> {
    let authority = parts.path.strip_suffix('/').unwrap_or(parts.path);
    let local = authority.strip_prefix("localhost").map(|port| format!("127.0.0.1{port}"));
    let address = local.as_deref().unwrap_or(authority).parse();
    let address: SocketAddr =
        address.map_err(|_| parts.wrong("write http://127.0.0.1:8080/, with an address of this machine and a port"))?;
    let viewers = parts.take("viewers")?.unwrap_or(VIEWERS);
    if !(1..=PageSpec::MOST_VIEWERS).contains(&viewers) {
        return Err(parts.wrong(format!("viewers is from 1 to {}", PageSpec::MOST_VIEWERS)));
    }
    let quality = parts.take("quality")?.unwrap_or(QUALITY);
    if !(1..=100).contains(&quality) {
        return Err(parts.wrong("quality is from 1 to 100"));
    }
    let token = parts.take::<String>("token")?.map(Token::new).transpose().map_err(|reason| parts.wrong(reason))?;
    if token.is_none() && !address.ip().is_loopback() {
        let reason = "others can come to this address: a token= of 16 or more letters and digits is needed, as \
                      token=$(openssl rand -hex 16); or serve at 127.0.0.1";
        return Err(parts.wrong(reason));
    }
    Ok(PageSpec { address, viewers, quality, token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        let page = |uri: &str| match uri.parse::<SinkUri>() {
            Ok(SinkUri { spec: SinkSpec::Page(spec), .. }) => {
                Ok((spec.address.to_string(), spec.viewers, spec.quality))
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        };
        assert_eq!(page("http://127.0.0.1:8080/"), Ok(("127.0.0.1:8080".into(), 4, 85)));
        assert_eq!(page("http://localhost:1?viewers=1&quality=100"), Ok(("127.0.0.1:1".into(), 1, 100)));
        assert_eq!(page("http://[::1]:80/?quality=1&viewers=16"), Ok(("[::1]:80".into(), 16, 1)));
        let secret = "5Ecret-of-our-own";
        assert!(page(&format!("http://0.0.0.0:80/?token={secret}")).is_ok());
        let wrong = "http://127.0.0.1/ http://127.0.0.1:0x50/ http://board:80/ http://127.0.0.1:80/x http:// http://0.0.0.0:80/ \
                     http://[::]:80/ http://10.0.0.1:80/?viewers=2 http://[::ffff:127.0.0.1]:80/";
        let options =
            ["viewers=0", "viewers=17", "quality=0", "quality=101", "matrix=bt709", "range=full", "fit=cover", "x"];
        let own = options.iter().map(|option| format!("http://127.0.0.1:80/?token={secret}&{option}"));
        let short = [
            "http://0.0.0.0:80/?token=5Ecret-of-our",
            "http://0.0.0.0:80/?token=5Ecret-of-our-own&token=5Ecret-of-our-own",
        ];
        let https = ["https://0.0.0.0:80/?token=5Ecret-of-our-own"].into_iter();
        for uri in wrong.split(' ').chain(short).chain(https).map(str::to_string).chain(own) {
            let said = page(&uri).unwrap_err();
            assert!(!said.contains("5Ecret"), "{said}");
        }
        let uri = format!("http://0.0.0.0:80/?token={secret}").parse::<SinkUri>().unwrap();
        assert!(!format!("{uri:?}").contains(secret));
    }
}

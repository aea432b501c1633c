//! What can be asked of devices, and whether this program was built for them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::unpack::Packing;
use super::{CreateError, FrameSink, FrameSource, OpenError, Rate};
use crate::frame::{Fit, FrameFormat, Matrix, Range};
use crate::geom::Size;

/// What is asked of a camera.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CameraSpec {
    pub(super) path: PathBuf,
    pub(super) width: Option<usize>,
    pub(super) height: Option<usize>,
    pub(super) rate: Option<Rate>,
    /// `None` chooses.
    pub(super) packing: Option<Packing>,
    pub(super) input: Option<u32>,
    pub(super) matrix: Option<Matrix>,
    pub(super) range: Option<Range>,
    /// How long a camera that is gone is waited for; `None` for ever.
    pub(super) patience: Option<Duration>,
}

/// What is asked of a camera on the board's own connector.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CsiSpec {
    /// Its number.
    pub(super) camera: u32,
    pub(super) size: Size,
    pub(super) rate: Rate,
    /// Instead of the board's program: writes planes of YUV 4:2:0 on standard output.
    pub(super) command: Option<String>,
    /// Bytes from row to row, where the program pads them.
    pub(super) stride: Option<usize>,
    pub(super) matrix: Option<Matrix>,
    pub(super) range: Option<Range>,
    /// How long a camera that is gone is waited for; `None` for ever.
    pub(super) patience: Option<Duration>,
}

impl Default for CsiSpec {
    fn default() -> Self {
        let (size, rate) = (Size::new(640, 360), Rate { frames: 30, seconds: 1 });
        Self { camera: 0, size, rate, command: None, stride: None, matrix: None, range: None, patience: None }
    }
}

/// A size and refresh rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ModeSpec {
    pub(super) size: Size,
    pub(super) refresh: Option<u32>,
}

impl std::str::FromStr for ModeSpec {
    type Err = String;

    /// `1280x720` or `1280x720@60`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (size, refresh) = text.split_once('@').map_or((text, None), |(size, rate)| (size, Some(rate)));
        let wrong = || "write 1280x720 or 1280x720@60".to_string();
        let (width, height) = size.split_once('x').ok_or_else(wrong)?;
        let side = |text: &str| text.parse::<u16>().ok().filter(|side| *side > 0).map(usize::from).ok_or_else(wrong);
        let refresh = refresh.map(|rate| rate.parse::<u32>().map_err(|_| wrong())).transpose()?;
        Ok(Self { size: Size::new(side(width)?, side(height)?), refresh })
    }
}

impl std::fmt::Display for ModeSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.size)?;
        self.refresh.map_or(Ok(()), |refresh| write!(f, "@{refresh}"))
    }
}

/// How pixels are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// 32 bits, XR24.
    True,
    /// 16 bits, RG16.
    High,
}

/// What is asked of a display.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct DisplaySpec {
    /// As `card0`; `None` takes the first with a display.
    pub(super) card: Option<String>,
    /// As `HDMI-A-1`; `None` takes the first that is connected.
    pub(super) connector: Option<String>,
    /// `None` takes what the display prefers.
    pub(super) mode: Option<ModeSpec>,
    /// `None` takes 32 bits, or 16 where the card has no other.
    pub(super) depth: Option<Depth>,
}

/// Controller of a panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// Ilitek ILI9341, mostly 240x320.
    Ili9341,
    /// Sitronix ST7735, mostly 128x160.
    St7735,
    /// Sitronix ST7789, mostly 240x320 or 240x240.
    St7789,
}

/// How far the picture is turned on a panel, clockwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// As the panel's own rows are.
    None,
    /// By 90 degrees.
    Right,
    /// By 180 degrees.
    Over,
    /// By 270 degrees.
    Left,
}

/// A panel, as its maker has built it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PanelSpec {
    /// Its controller.
    pub controller: Controller,
    /// Its pixels, before it is turned.
    pub size: Size,
    /// First column and row of the controller's memory that are seen.
    pub offset: (usize, usize),
    /// How the picture is turned.
    pub turn: Turn,
    /// Does the glass show the controller's columns from right to left?
    pub mirror: bool,
    /// Does it show colours as their opposites unless told otherwise?
    pub invert: bool,
    /// Is blue where the controller has red?
    pub bgr: bool,
}

impl PanelSpec {
    /// What is usual with a controller.
    pub const fn new(controller: Controller) -> Self {
        let (size, mirror, invert, bgr) = match controller {
            Controller::Ili9341 => (Size::new(240, 320), true, false, true),
            Controller::St7735 => (Size::new(128, 160), false, false, false),
            Controller::St7789 => (Size::new(240, 320), false, true, false),
        };
        Self { controller, size, offset: (0, 0), turn: Turn::None, mirror, invert, bgr }
    }

    /// Width and height as they are seen.
    pub const fn visible(&self) -> Size {
        match self.turn {
            Turn::None | Turn::Over => self.size,
            Turn::Right | Turn::Left => Size::new(self.size.height, self.size.width),
        }
    }

    /// Columns and rows of the controller's memory.
    const fn memory(&self) -> Size {
        match self.controller {
            Controller::Ili9341 | Controller::St7789 => Size::new(240, 320),
            Controller::St7735 => Size::new(132, 162),
        }
    }

    /// Does the panel lie in the controller's memory?
    pub(super) fn check(&self) -> Result<(), String> {
        let (size, memory, (x, y)) = (self.size, self.memory(), self.offset);
        let inside =
            |at: usize, side: usize, most: usize| side > 0 && at.checked_add(side).is_some_and(|end| end <= most);
        match inside(x, size.width, memory.width) && inside(y, size.height, memory.height) {
            true => Ok(()),
            false => {
                Err(format!("{size} at offset {x},{y} does not lie in the controller's {memory}, before rotation"))
            }
        }
    }
}

/// A line of a GPIO chip.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Line {
    /// By its number on the chip.
    Number(u32),
    /// By the name that the device tree has for it.
    Name(String),
}

impl std::str::FromStr for Line {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(number) => Ok(Self::Number(number)),
            Err(_) if text.is_empty() => Err("this is the number or name of a GPIO line".into()),
            Err(_) => Ok(Self::Name(text.into())),
        }
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// Where a panel is connected.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PanelPlace {
    /// Bus and chip select, as in `/dev/spidev0.0`.
    pub(super) device: (u32, u32),
    pub(super) dc: Line,
    pub(super) reset: Option<Line>,
    pub(super) backlight: Option<Line>,
    /// As `gpiochip0`; `None` takes the one whose lines the board's header shows.
    pub(super) chip: Option<String>,
    pub(super) hertz: u32,
}

/// Starts a panel.
#[cfg(all(target_os = "linux", feature = "spi"))]
pub(super) fn panel(
    uri: &str,
    place: &PanelPlace,
    spec: &PanelSpec,
    format: FrameFormat,
    fit: Fit,
) -> Result<Box<dyn FrameSink>, CreateError> {
    Ok(Box::new(super::panel::open(uri, place, spec, format, fit)?))
}

#[cfg(not(all(target_os = "linux", feature = "spi")))]
pub(super) fn panel(
    uri: &str,
    _: &PanelPlace,
    _: &PanelSpec,
    _: FrameFormat,
    _: Fit,
) -> Result<Box<dyn FrameSink>, CreateError> {
    Err(CreateError::Unsupported { file: uri.into(), reason: without("panels", "spi") })
}

/// Opens a camera.
#[cfg(all(target_os = "linux", feature = "v4l2"))]
pub(super) fn camera(_: &str, spec: CameraSpec) -> Result<Box<dyn FrameSource>, OpenError> {
    Ok(Box::new(super::camera::CameraSource::open(spec)?))
}

#[cfg(not(all(target_os = "linux", feature = "v4l2")))]
pub(super) fn camera(uri: &str, _: CameraSpec) -> Result<Box<dyn FrameSource>, OpenError> {
    Err(OpenError::Corrupt { file: uri.into(), reason: without("cameras", "v4l2") })
}

/// Starts the program of a camera.
#[cfg(unix)]
pub(super) fn csi(uri: &str, spec: CsiSpec) -> Result<Box<dyn FrameSource>, OpenError> {
    Ok(Box::new(super::csi::CsiSource::open(uri, spec)?))
}

#[cfg(not(unix))]
pub(super) fn csi(uri: &str, _: CsiSpec) -> Result<Box<dyn FrameSource>, OpenError> {
    Err(OpenError::Corrupt { file: uri.into(), reason: "cameras of boards need Linux".into() })
}

/// Opens a device that takes frames as a display or as another program's camera.
#[cfg(all(target_os = "linux", feature = "v4l2"))]
pub(super) fn loopback(uri: &str, path: &Path, format: FrameFormat) -> Result<Box<dyn FrameSink>, CreateError> {
    Ok(Box::new(super::loopback::LoopbackSink::open(uri, path, format)?))
}

#[cfg(not(all(target_os = "linux", feature = "v4l2")))]
pub(super) fn loopback(uri: &str, _: &Path, _: FrameFormat) -> Result<Box<dyn FrameSink>, CreateError> {
    Err(CreateError::Unsupported { file: uri.into(), reason: without("video outputs", "v4l2") })
}

/// Opens a display.
#[cfg(all(target_os = "linux", feature = "drm"))]
pub(super) fn display(
    uri: &str,
    spec: DisplaySpec,
    format: FrameFormat,
    fit: Fit,
) -> Result<Box<dyn FrameSink>, CreateError> {
    Ok(Box::new(super::display::DisplaySink::open(uri, spec, format, fit)?))
}

#[cfg(not(all(target_os = "linux", feature = "drm")))]
pub(super) fn display(uri: &str, _: DisplaySpec, _: FrameFormat, _: Fit) -> Result<Box<dyn FrameSink>, CreateError> {
    Err(CreateError::Unsupported { file: uri.into(), reason: without("displays", "drm") })
}

/// Opens a framebuffer.
#[cfg(all(target_os = "linux", feature = "drm"))]
pub(super) fn framebuffer(
    uri: &str,
    path: &Path,
    format: FrameFormat,
    fit: Fit,
) -> Result<Box<dyn FrameSink>, CreateError> {
    Ok(Box::new(super::framebuffer::FramebufferSink::open(uri, path, format, fit)?))
}

#[cfg(not(all(target_os = "linux", feature = "drm")))]
pub(super) fn framebuffer(uri: &str, _: &Path, _: FrameFormat, _: Fit) -> Result<Box<dyn FrameSink>, CreateError> {
    Err(CreateError::Unsupported { file: uri.into(), reason: without("displays", "drm") })
}

#[allow(dead_code)] // of use where a feature is off
pub(super) fn without(what: &str, feature: &str) -> String {
    format!("this program was built without {what}; they need Linux and the feature '{feature}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_in_words() {
        let spec = |refresh| ModeSpec { size: Size::new(1280, 720), refresh };
        assert_eq!("1280x720".parse(), Ok(spec(None)));
        assert_eq!("1280x720@60".parse(), Ok(spec(Some(60))));
        assert_eq!(spec(Some(60)).to_string(), "1280x720@60");
        for wrong in ["", "1280", "0x720", "1280x", "1280x720@", "1280x720@x", "-1x2", "70000x2"] {
            assert!(wrong.parse::<ModeSpec>().is_err(), "{wrong}");
        }
    }
}

//! What is asked of a panel, and how it is connected.

use crate::geom::Size;

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
    pub(in crate::io) fn check(&self) -> Result<(), String> {
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
pub(in crate::io) enum Line {
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
pub(in crate::io) struct PanelWiring {
    /// Bus and chip select, as in `/dev/spidev0.0`.
    pub(in crate::io) device: (u32, u32),
    pub(in crate::io) dc: Line,
    pub(in crate::io) reset: Option<Line>,
    pub(in crate::io) backlight: Option<Line>,
    /// As `gpiochip0`; `None` takes the one whose lines the board's header shows.
    pub(in crate::io) chip: Option<String>,
    pub(in crate::io) hertz: u32,
}

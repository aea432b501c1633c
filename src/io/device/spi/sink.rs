//! `spi://`: frames on small panels whose controller speaks the commands of the MIPI Alliance (DCS) over SPI.
//!
//! SPI is slow: a 320x240 picture takes 40 ms at 32 MHz. So what the panel shows is remembered, and of each strip of
//! rows only the columns that differ are sent.
//!
//! Everything but `linux` runs on whatever has the traits of embedded-hal 1.0.

use std::io;
use std::ops::Range;

use embedded_hal::delay::DelayNs;
use embedded_hal::digital::OutputPin;
use embedded_hal::spi::SpiDevice;
use mipidsi::models::{ILI9341Rgb565, Model, ST7735s, ST7789};
use mipidsi::options::{ColorInversion, ColorOrder, Orientation, Rotation};
use mipidsi::{Builder, Display};

use super::spec::{Controller, PanelSpec, Turn};
use super::wire::{Colour, Wire, colour};
use crate::frame::{Fit, Fitter, FrameFormat, Packer, PixelBits};
use crate::geom::{Rect, Size, Span};
use crate::io::error::{CreateError, WriteError};
use crate::io::video::{FrameSink, Shown};

/// Rows of a strip: each is at most one rectangle, so a frame is at most `height / STRIP` of them, rounded up.
const STRIP: usize = 16;

/// What a panel is connected to.
#[derive(Debug)]
pub struct Wires<SPI, PIN, DELAY> {
    /// The bus, with the panel selected for each transfer.
    pub spi: SPI,
    /// Low for commands, high for data.
    pub dc: PIN,
    /// Low resets the panel; without it, a command does.
    pub reset: Option<PIN>,
    /// High lights the panel.
    pub backlight: Option<PIN>,
    /// Waits while the panel starts.
    pub delay: DELAY,
    /// Most bytes of one transfer; at least a few pixels of two bytes.
    pub transfer: usize,
}

/// Shows frames on a panel; lights it with the first of them, and switches it off in the end.
pub struct PanelSink {
    name: String,
    glass: Box<dyn Glass>,
    light: Option<Box<dyn FnMut(bool) + Send>>,
    fitter: Fitter,
    packer: Packer,
    /// A row of the picture as it fits, and as the panel stores it.
    row: Vec<u8>,
    packed: Vec<u8>,
    /// What the panel shows, row after row.
    shown: Vec<u16>,
    size: Size,
    /// The panel shows what nobody knows.
    stale: bool,
    /// Rows of the frame that is written next that may differ from the one before; all if it is none.
    news: Option<Range<usize>>,
}

impl PanelSink {
    /// Starts a panel for frames of `format`, which are grey or RGB.
    ///
    /// # Errors
    ///
    /// When the bus or a pin fails.
    pub fn start<SPI, PIN, DELAY>(
        name: &str,
        spec: &PanelSpec,
        wires: Wires<SPI, PIN, DELAY>,
        format: FrameFormat,
        fit: Fit,
    ) -> Result<Self, CreateError>
    where
        SPI: SpiDevice + Send + 'static,
        PIN: OutputPin + Send + 'static,
        DELAY: DelayNs + Send + 'static,
    {
        let unsupported = |reason| CreateError::Unsupported { file: name.to_string(), reason };
        spec.check().map_err(unsupported)?;
        let Wires { spi, dc, reset, backlight, delay, transfer } = wires;
        let mut light = backlight.map(|mut pin| -> Box<dyn FnMut(bool) + Send> {
            Box::new(move |on| {
                // A light that cannot be switched is no reason to show nothing.
                let _ = if on { pin.set_high() } else { pin.set_low() };
            })
        });
        light.iter_mut().for_each(|light| light(false));
        let wire = Wire::new(spi, dc, transfer);
        let glass = match spec.controller {
            Controller::Ili9341 => begin(ILI9341Rgb565, spec, wire, reset, delay),
            Controller::St7735 => begin(ST7735s, spec, wire, reset, delay),
            Controller::St7789 => begin(ST7789, spec, wire, reset, delay),
        };
        let glass = glass.map_err(|reason| unsupported(format!("the panel does not start: {reason}")))?;
        let size = spec.visible();
        let fitter = Fitter::new(format, size, fit);
        log::info!("{name}: {:?}, {size}; frames of {} shown as {}", spec.controller, format.size, fitter.shown());
        Ok(Self {
            name: name.to_string(),
            glass,
            light,
            fitter,
            packer: Packer::new(PixelBits::RG16),
            row: vec![0; 3 * size.width],
            packed: vec![0; 2 * size.width],
            shown: vec![0; size.area()],
            size,
            stale: true,
            news: None,
        })
    }

    /// Draws a strip of rows into `shown`, and returns the rectangle that differs from what was there.
    fn strip(&mut self, frame: &[u8], rows: Span) -> Option<Rect> {
        let Self { fitter, packer, row, packed, shown, size, stale, news, .. } = self;
        let mut changed: Option<Rect> = None;
        let new = |fitter: &Fitter, y: &usize| *stale || news.as_ref().is_none_or(|news| fitter.shows(*y, news));
        for y in rows.start..rows.end {
            if !new(fitter, &y) {
                continue;
            }
            fitter.row(frame, y, row);
            packer.row(row, packed);
            let old = &mut shown[y * size.width..][..size.width];
            let new = || packed.chunks_exact(2).map(|word| u16::from_le_bytes([word[0], word[1]]));
            let first = new().zip(&*old).position(|(new, old)| new != *old);
            let last = new().zip(&*old).rposition(|(new, old)| new != *old);
            let (Some(first), Some(last)) = (first, last) else { continue };
            let before = changed.map_or((first, last + 1, y), |rect| (rect.x.start, rect.x.end, rect.y.start));
            let (start, end) = (before.0.min(first), before.1.max(last + 1));
            changed = Some(Rect { x: Span::new(start, end), y: Span::new(before.2, y + 1) });
            old.iter_mut().zip(new()).for_each(|(old, new)| *old = new);
        }
        if *stale { Some(Rect { x: Span::new(0, size.width), y: rows }) } else { changed }
    }
}

impl FrameSink for PanelSink {
    fn write(&mut self, frame: &[u8]) -> Result<Shown, WriteError> {
        for start in (0..self.size.height).step_by(STRIP) {
            let rows = Span::new(start, (start + STRIP).min(self.size.height));
            let Some(area) = self.strip(frame, rows) else { continue };
            if let Err(reason) = self.glass.draw(area, &self.shown, self.size.width) {
                self.stale = true;
                return Err(WriteError::Io { file: self.name.clone(), source: io::Error::other(reason) });
            }
        }
        self.news = None;
        if std::mem::replace(&mut self.stale, false) {
            self.light.iter_mut().for_each(|light| light(true));
        }
        Ok(Shown::Now)
    }

    fn set_changed(&mut self, rows: Range<usize>) {
        self.news = Some(rows);
    }

    fn is_watched(&self) -> bool {
        true
    }

    fn finish(self: Box<Self>) -> Result<(), WriteError> {
        Ok(())
    }
}

impl Drop for PanelSink {
    /// A picture that no longer moves must not look like one that does.
    fn drop(&mut self) {
        self.light.iter_mut().for_each(|light| light(false));
        self.glass.rest();
    }
}

/// A panel of any controller.
trait Glass: Send {
    /// Shows a rectangle of `picture`, whose rows are `width` pixels.
    fn draw(&mut self, area: Rect, picture: &[u16], width: usize) -> Result<(), String>;

    /// Switches the panel off, if it still listens.
    fn rest(&mut self);
}

/// A controller's driver, and the clock that it needs to be switched off.
struct Driver<SPI, PIN, MODEL, RESET, DELAY>
where
    SPI: SpiDevice,
    PIN: OutputPin,
    MODEL: Model<ColorFormat = Colour>,
    RESET: OutputPin,
{
    display: Display<Wire<SPI, PIN>, MODEL, RESET>,
    delay: DELAY,
}

impl<SPI, PIN, MODEL, RESET, DELAY> Glass for Driver<SPI, PIN, MODEL, RESET, DELAY>
where
    SPI: SpiDevice + Send,
    PIN: OutputPin + Send,
    MODEL: Model<ColorFormat = Colour> + Send,
    RESET: OutputPin + Send,
    DELAY: DelayNs + Send,
{
    fn draw(&mut self, area: Rect, picture: &[u16], width: usize) -> Result<(), String> {
        let rows = picture.chunks_exact(width).skip(area.y.start).take(area.y.len());
        let pixels = rows.flat_map(|row| &row[area.x.start..area.x.end]).map(|word| colour(*word));
        // Sides of panels are checked to be far below 65536.
        let [x, last_x, y, last_y] = [area.x.start, area.x.end - 1, area.y.start, area.y.end - 1].map(|at| at as u16);
        self.display.set_pixels(x, y, last_x, last_y, pixels)
    }

    fn rest(&mut self) {
        if let Err(reason) = self.display.sleep(&mut self.delay) {
            log::debug!("the panel does not sleep: {reason}");
        }
    }
}

fn begin<SPI, PIN, MODEL, DELAY>(
    model: MODEL,
    spec: &PanelSpec,
    wire: Wire<SPI, PIN>,
    reset: Option<PIN>,
    delay: DELAY,
) -> Result<Box<dyn Glass>, String>
where
    SPI: SpiDevice + Send + 'static,
    PIN: OutputPin + Send + 'static,
    MODEL: Model<ColorFormat = Colour> + Send + 'static,
    DELAY: DelayNs + Send + 'static,
{
    let rotation = match spec.turn {
        Turn::None => Rotation::Deg0,
        Turn::Right => Rotation::Deg90,
        Turn::Over => Rotation::Deg180,
        Turn::Left => Rotation::Deg270,
    };
    // The picture is turned on the glass; what mirrors it lies between the controller's memory and the glass.
    let orientation = Orientation::new().rotate(rotation);
    let orientation = match (spec.mirror, spec.turn) {
        (false, _) => orientation,
        (true, Turn::None | Turn::Over) => orientation.flip_horizontal(),
        (true, Turn::Right | Turn::Left) => orientation.flip_vertical(),
    };
    let side = |side: usize| side as u16;
    let builder = Builder::new(model, wire)
        .display_size(side(spec.size.width), side(spec.size.height))
        .display_offset(side(spec.offset.0), side(spec.offset.1))
        .orientation(orientation)
        .color_order(if spec.bgr { ColorOrder::Bgr } else { ColorOrder::Rgb })
        .invert_colors(if spec.invert { ColorInversion::Inverted } else { ColorInversion::Normal });
    match reset {
        Some(pin) => finish(builder.reset_pin(pin), delay),
        None => finish(builder, delay),
    }
}

fn finish<SPI, PIN, MODEL, RESET, DELAY>(
    builder: Builder<Wire<SPI, PIN>, MODEL, RESET>,
    mut delay: DELAY,
) -> Result<Box<dyn Glass>, String>
where
    SPI: SpiDevice + Send + 'static,
    PIN: OutputPin + Send + 'static,
    MODEL: Model<ColorFormat = Colour> + Send + 'static,
    RESET: OutputPin + Send + 'static,
    DELAY: DelayNs + Send + 'static,
{
    use mipidsi::InitError;
    let display = builder.init(&mut delay).map_err(|error| match error {
        InitError::Interface(reason) => reason,
        InitError::ResetPin(error) => format!("reset pin: {error:?}"),
        InitError::InvalidConfiguration(error) => format!("{error:?}"),
    })?;
    Ok(Box::new(Driver { display, delay }))
}

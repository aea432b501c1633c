//! `drm://`: frames on a display without a desktop. A display that is unplugged is waited for.

use std::time::{Duration, Instant};

use super::devices::{Depth, DisplaySpec};
use super::sys::drm::Screen;
use super::{CreateError, FrameSink, Shown, Troubles, WriteError};
use crate::frame::{Fit, Fitter, FrameFormat, Packer, PixelBits};
use crate::geom::Size;

/// How often a display is asked whether it is there.
const LOOK: Duration = Duration::from_millis(500);

/// A screen and what draws on it.
struct Canvas {
    screen: Screen,
    fitter: Fitter,
    packer: Packer,
    row: Vec<u8>,
}

/// Shows frames.
pub(super) struct DisplaySink {
    name: String,
    spec: DisplaySpec,
    fit: Fit,
    format: FrameFormat,
    canvas: Option<Canvas>,
    next_look: Instant,
    told: bool,
    troubles: Troubles,
}

impl Canvas {
    fn open(name: &str, spec: &DisplaySpec, format: FrameFormat, fit: Fit) -> Result<Self, String> {
        let screen = Screen::open(spec)?;
        let mode = screen.mode();
        let bits = if screen.depth() == Depth::True { PixelBits::XR24 } else { PixelBits::RG16 };
        let fitter = Fitter::new(format, mode.size, fit);
        let place = screen.name();
        log::info!("{name}: {place} at {mode}, {:?}; {}", screen.depth(), describe(&format, mode.size, &fitter));
        Ok(Self { screen, fitter, packer: Packer::new(bits), row: vec![0; 3 * mode.size.width] })
    }

    fn show(&mut self, frame: &[u8]) -> std::io::Result<Instant> {
        let Self { screen, fitter, packer, row } = self;
        let height = screen.mode().size.height;
        screen.show(|page, stride| {
            for (y, line) in page.chunks_mut(stride).take(height).enumerate() {
                fitter.row(frame, y, row);
                packer.row(row, line);
            }
        })
    }
}

/// What becomes of frames on a screen, in words.
pub(super) fn describe(frames: &FrameFormat, screen: Size, fitter: &Fitter) -> String {
    let shown = fitter.shown();
    if shown == frames.size {
        format!("frames of {} shown pixel on pixel", frames.size)
    } else if shown == screen && frames.size.width >= screen.width && frames.size.height >= screen.height {
        format!("the middle of frames of {}", frames.size)
    } else {
        format!("frames of {} shown as {shown}", frames.size)
    }
}

impl DisplaySink {
    /// For frames of `format`, which are grey or RGB.
    pub(super) fn open(name: &str, spec: DisplaySpec, format: FrameFormat, fit: Fit) -> Result<Self, CreateError> {
        let canvas = Canvas::open(name, &spec, format, fit)
            .map_err(|reason| CreateError::Unsupported { file: name.to_string(), reason })?;
        // What returns must be the same display, not the first that is connected then.
        let spec = match canvas.screen.name().split_once('/') {
            Some((card, output)) => DisplaySpec { card: Some(card.into()), connector: Some(output.into()), ..spec },
            None => spec,
        };
        let next_look = Instant::now() + LOOK;
        let troubles = Troubles::default();
        Ok(Self { name: name.to_string(), spec, fit, format, canvas: Some(canvas), next_look, told: false, troubles })
    }

    fn lose(&mut self, why: &str) {
        if !std::mem::replace(&mut self.told, true) {
            log::warn!("{}: {why}; waiting for it to return", self.name);
        }
        self.canvas = None;
        self.next_look = Instant::now() + LOOK;
    }

    fn look(&mut self) {
        let now = Instant::now();
        if now < self.next_look {
            return;
        }
        self.next_look = now + LOOK;
        match &mut self.canvas {
            Some(canvas) => {
                if !canvas.screen.is_connected() {
                    self.lose("the display is unplugged");
                }
            }
            None => match Canvas::open(&self.name, &self.spec, self.format, self.fit) {
                Ok(canvas) => {
                    log::info!("{}: taken up again", self.name);
                    self.troubles.reconnects += 1;
                    (self.canvas, self.told) = (Some(canvas), false);
                }
                Err(reason) => log::debug!("{reason}"),
            },
        }
    }
}

impl FrameSink for DisplaySink {
    fn write(&mut self, frame: &[u8]) -> Result<Shown, WriteError> {
        self.look();
        let Some(canvas) = &mut self.canvas else { return Ok(Shown::Nowhere) };
        match canvas.show(frame) {
            Ok(at) => Ok(Shown::At(at)),
            Err(error) => {
                self.lose(&error.to_string());
                Ok(Shown::Nowhere)
            }
        }
    }

    fn finish(self: Box<Self>) -> Result<(), WriteError> {
        Ok(())
    }

    fn troubles(&self) -> Troubles {
        self.troubles
    }
}

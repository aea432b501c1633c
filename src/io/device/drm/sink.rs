//! `drm://`: frames on a display without a desktop. A display that is unplugged is waited for.

use std::time::{Duration, Instant};

use super::screen::Screen;
use super::spec::{Depth, DisplaySpec};
use crate::frame::{Fit, Fitter, FrameFormat, Packer, PixelBits};
use crate::io::device::screen::describe;
use crate::io::error::{DeviceError, WriteError};
use crate::io::reconnect::{Pauses, Reconnect, Step};
use crate::io::video::{FrameSink, Shown, Troubles};

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
pub(in crate::io) struct DisplaySink {
    name: String,
    spec: DisplaySpec,
    fit: Fit,
    format: FrameFormat,
    canvas: Reconnect<Canvas>,
    next_look: Instant,
}

impl Canvas {
    fn open(name: &str, spec: &DisplaySpec, format: FrameFormat, fit: Fit) -> Result<Self, DeviceError> {
        let screen = Screen::open(spec)?;
        let mode = screen.mode();
        let bits = if screen.depth() == Depth::True { PixelBits::XR24 } else { PixelBits::RG16 };
        let fitter = Fitter::new(format, mode.size, fit);
        let output = screen.name();
        log::info!("{name}: {output} at {mode}, {:?}; {}", screen.depth(), describe(&format, mode.size, &fitter));
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

impl DisplaySink {
    /// For frames of `format`, which are grey or RGB.
    pub(in crate::io) fn open(
        name: &str,
        spec: DisplaySpec,
        format: FrameFormat,
        fit: Fit,
    ) -> Result<Self, DeviceError> {
        let canvas = Canvas::open(name, &spec, format, fit)?;
        // What returns must be the same display, not the first that is connected then.
        let spec = match canvas.screen.name().split_once('/') {
            Some((card, output)) => DisplaySpec { card: Some(card.into()), connector: Some(output.into()), ..spec },
            None => spec,
        };
        let canvas = Reconnect::new(name, canvas, Pauses { first: LOOK, longest: LOOK }, None);
        Ok(Self { name: name.to_string(), spec, fit, format, canvas, next_look: Instant::now() + LOOK })
    }

    /// Asks whether the display is still there, or has returned; not for every frame.
    fn look(&mut self, now: Instant) {
        match self.canvas.device() {
            Some(canvas) if now >= self.next_look => {
                self.next_look = now + LOOK;
                if !canvas.screen.is_connected() {
                    self.canvas.lose(now, "the display is unplugged");
                }
            }
            Some(_) => {}
            None => {
                if self.canvas.step(now) == Step::Try {
                    self.canvas.tried(now, Canvas::open(&self.name, &self.spec, self.format, self.fit));
                }
            }
        }
    }
}

impl FrameSink for DisplaySink {
    fn write(&mut self, frame: &[u8]) -> Result<Shown, WriteError> {
        let now = Instant::now();
        self.look(now);
        let Some(canvas) = self.canvas.device() else { return Ok(Shown::Nowhere) };
        match canvas.show(frame) {
            Ok(at) => {
                self.canvas.works(now);
                Ok(Shown::At(at))
            }
            Err(error) => {
                self.canvas.lose(now, error);
                Ok(Shown::Nowhere)
            }
        }
    }

    fn is_watched(&self) -> bool {
        true
    }

    fn finish(self: Box<Self>) -> Result<(), WriteError> {
        Ok(())
    }

    fn troubles(&self) -> Troubles {
        Troubles { reconnects: self.canvas.reconnects(), ..Troubles::default() }
    }
}

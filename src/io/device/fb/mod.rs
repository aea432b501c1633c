//! `fb://`: frames on a framebuffer of the kernel, for displays that have no KMS driver.
//!
//! The console's text is on the same framebuffer. It is taken off while frames are shown, where that is permitted.

use std::fs;
use std::path::{Path, PathBuf};

use super::screen::describe;
use crate::frame::{Fit, Fitter, FrameFormat, Packer};
use crate::io::error::{DeviceError, WriteError};
use crate::io::sys::fb::Framebuffer;
use crate::io::video::{FrameSink, Shown};

/// The kernel's consoles that draw on framebuffers.
const CONSOLES: &str = "/sys/class/vtconsole";

/// Shows frames.
pub(in crate::io) struct FramebufferSink {
    name: String,
    screen: Framebuffer,
    fitter: Fitter,
    packer: Packer,
    row: Vec<u8>,
    page: Vec<u8>,
    _console: Vec<Console>,
}

impl FramebufferSink {
    /// For frames of `format`, which are grey or RGB.
    pub(in crate::io) fn open(name: &str, path: &Path, format: FrameFormat, fit: Fit) -> Result<Self, DeviceError> {
        let screen = Framebuffer::open(path)?;
        let fitter = Fitter::new(format, screen.size, fit);
        log::info!(
            "{name}: {}, {} bytes a pixel; {}",
            screen.size,
            screen.bits.bytes,
            describe(&format, screen.size, &fitter)
        );
        let (row, page) = (vec![0; 3 * screen.size.width], vec![0; screen.stride * screen.size.height]);
        let packer = Packer::new(screen.bits);
        Ok(Self {
            name: name.to_string(),
            fitter,
            packer,
            row,
            page,
            _console: Console::take_off(Path::new(CONSOLES)),
            screen,
        })
    }
}

impl FrameSink for FramebufferSink {
    fn write(&mut self, frame: &[u8]) -> Result<Shown, WriteError> {
        for (y, line) in self.page.chunks_mut(self.screen.stride).enumerate() {
            self.fitter.row(frame, y, &mut self.row);
            self.packer.row(&self.row, line);
        }
        self.screen.write(&self.page).map_err(|source| WriteError::Io { file: self.name.clone(), source })?;
        Ok(Shown::Now)
    }

    fn is_watched(&self) -> bool {
        true
    }

    fn finish(self: Box<Self>) -> Result<(), WriteError> {
        Ok(())
    }
}

/// A console that was taken off its framebuffer; it returns when this is dropped.
struct Console(PathBuf);

impl Console {
    /// Takes off all that may be. Needs root; without it, text and cursor may show through, which is said once.
    fn take_off(folder: &Path) -> Vec<Self> {
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        let mut taken = Vec::new();
        for entry in entries.flatten() {
            let bind = entry.path().join("bind");
            let read = |file: &Path| fs::read_to_string(file).unwrap_or_default();
            if !read(&entry.path().join("name")).contains("frame buffer") || read(&bind).trim() != "1" {
                continue;
            }
            match fs::write(&bind, "0") {
                Ok(()) => taken.push(Self(bind)),
                Err(error) => log::warn!("the console stays on the framebuffer: {}: {error}", bind.display()),
            }
        }
        taken
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        if let Err(error) = fs::write(&self.0, "1") {
            log::warn!("the console does not return: {}: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_console_leaves_and_returns() {
        let folder = tempfile::tempdir().unwrap();
        let console = |name: &str, title: &str, bound: &str| {
            let path = folder.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("name"), title).unwrap();
            fs::write(path.join("bind"), bound).unwrap();
            path.join("bind")
        };
        let dummy = console("vtcon0", "(S) dummy device\n", "1\n");
        let screen = console("vtcon1", "(M) frame buffer device\n", "1\n");
        let other = console("vtcon2", "(M) frame buffer device\n", "0\n");
        let taken = Console::take_off(folder.path());
        assert_eq!([&dummy, &screen, &other].map(|f| fs::read_to_string(f).unwrap()), ["1\n", "0", "0\n"]);
        drop(taken);
        assert_eq!([&dummy, &screen, &other].map(|f| fs::read_to_string(f).unwrap()), ["1\n", "1", "0\n"]);
        assert!(Console::take_off(Path::new("/nonexistent")).is_empty());
    }
}

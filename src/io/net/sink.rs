//! The sink behind the page.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::jpeg::{MOST_SIDE, half};
use super::pictures::Pictures;
use super::request::Access;
use super::server::{STACK, Server, bytes, thread};
use super::spec::PageSpec;
use crate::frame::FrameFormat;
use crate::io::error::{Cause, DeviceError, WriteError};
use crate::io::video::{Audience, Clip, FrameSink, Shown};

/// Shows frames to whoever opens the page.
pub(in crate::io) struct PageSink {
    // Goes first: then nobody waits for a picture.
    server: Option<Server>,
    encoder: Option<JoinHandle<()>>,
    pictures: Arc<Pictures>,
    before: Vec<u8>,
    has_before: bool,
}

impl PageSink {
    /// Bytes that a page takes, and the run for it.
    pub(in crate::io) fn bytes(spec: &PageSpec, from: &FrameFormat, to: &FrameFormat) -> usize {
        Pictures::bytes(from, to, spec.viewers) + bytes(spec.viewers) + STACK
    }

    /// For frames of `clip`, which have 8 bits, that are made of frames of `from`.
    pub(in crate::io) fn open(
        name: &str,
        spec: &PageSpec,
        clip: &Clip,
        from: FrameFormat,
    ) -> Result<Self, DeviceError> {
        let from = FrameFormat { bits: 8, ..from };
        let size = clip.format.size;
        if size.width.max(half(size.height) + size.height) > MOST_SIDE {
            return Err(format!("a picture of two frames of {size} is larger than a JPEG can be").into());
        }
        let listener = TcpListener::bind(spec.address).map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                // It may be free the next time: the command line is not wrong.
                DeviceError::new(Cause::Failed, "another program serves at this address; give another port")
            }
            std::io::ErrorKind::AddrNotAvailable => {
                DeviceError::new(Cause::Absent, "this machine has no such address; 0.0.0.0 stands for all it has")
            }
            _ => {
                let reason = format!("cannot serve here: {error}");
                DeviceError::of(error, reason)
            }
        })?;
        let resources = |error: std::io::Error| {
            let reason = format!("cannot serve here: {error}");
            DeviceError::of(error, reason)
        };
        let address = listener.local_addr().map_err(resources)?;
        // Without a token the address is of this machine alone.
        let access = Access { loopback: spec.token.is_none(), port: address.port(), token: spec.token.clone() };
        let pictures = Arc::new(Pictures::new(from, clip.format, spec.viewers, spec.quality));
        let own = Arc::clone(&pictures);
        let server = Server::start(name, listener, access, spec.viewers, Arc::clone(&pictures)).map_err(resources)?;
        let encoder = thread("bifocal-jpeg", move || {
            give_way();
            own.encode();
        })
        .map_err(resources)?;
        log::info!("{name}: the page is at http://{address}/");
        let (server, encoder, before) = (Some(server), Some(encoder), vec![0; from.bytes()]);
        Ok(Self { server, encoder, pictures, before, has_before: false })
    }
}

/// Whoever looks takes less from the run: this thread comes after the others where processors are few.
fn give_way() {
    // On Linux alone this is about a thread.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(5);
}

impl FrameSink for PageSink {
    fn write(&mut self, frame: &[u8]) -> Result<Shown, WriteError> {
        let has_before = std::mem::take(&mut self.has_before);
        if self.pictures.audience().watches() {
            self.pictures.put(frame, has_before.then_some(&mut self.before));
        }
        Ok(Shown::Now)
    }

    fn audience(&self) -> Option<Arc<Audience>> {
        Some(Arc::clone(self.pictures.audience()))
    }

    fn set_source(&mut self, frame: &[u8]) {
        self.before.copy_from_slice(frame);
        self.has_before = true;
    }

    fn is_watched(&self) -> bool {
        true
    }

    fn finish(self: Box<Self>) -> Result<(), WriteError> {
        Ok(())
    }
}

impl Drop for PageSink {
    fn drop(&mut self) {
        drop(self.server.take());
        if let Some(encoder) = self.encoder.take() {
            let _ = encoder.join();
        }
    }
}

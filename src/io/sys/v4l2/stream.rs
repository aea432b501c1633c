//! Capturing into buffers that the kernel lends.

use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::super::clock;
use super::abi;
use super::buffers::Buffers;
use super::{Device, Direction};

/// Buffers that are asked for: one is read, one is filled, two wait.
const BUFFERS: u32 = 4;

/// What came of waiting for a frame.
pub(in crate::io) enum Captured<T> {
    /// A frame, and what the caller made of it.
    Frame {
        /// What the caller made of it.
        value: T,
        /// When the driver took it.
        at: Option<Instant>,
        /// Its number, counting those that nobody took.
        sequence: u32,
    },
    /// The driver says that this frame is damaged.
    Damaged,
    /// None in time.
    Nothing,
}

/// A running capture.
pub(in crate::io) struct Stream {
    device: Device,
    buffers: Buffers,
}

impl Stream {
    /// Takes buffers and starts; the format is set.
    pub(in crate::io) fn start(device: Device) -> io::Result<Self> {
        let buffers = Buffers::request(&device, Direction::Capture, BUFFERS)?;
        let stream = Self { device, buffers };
        stream.queue_all()?;
        Ok(stream)
    }

    fn queue_all(&self) -> io::Result<()> {
        for index in 0..self.buffers.count() {
            self.buffers.queue(&self.device, index, 0)?;
        }
        self.buffers.start(&self.device)
    }

    /// Stops and starts again, which is what the interface asks for after an error of the stream.
    pub(in crate::io) fn restart(&self) -> io::Result<()> {
        self.buffers.stop(&self.device)?;
        self.queue_all()
    }

    /// Waits for a frame, at most `time`, and lends its bytes and the moment that the driver took it to `take`.
    ///
    /// # Errors
    ///
    /// When the stream has broken down; [`Stream::restart`] may mend it, unless the device is gone.
    pub(in crate::io) fn next<T>(
        &mut self,
        time: Duration,
        take: impl FnOnce(&[u8], Option<Instant>) -> T,
    ) -> io::Result<Captured<T>> {
        let Self { device, buffers } = self;
        let mut ready = [PollFd::new(device.file(), PollFlags::IN)];
        match poll(&mut ready, Some(&clock::timespec(time))) {
            Ok(0) | Err(Errno::INTR) => return Ok(Captured::Nothing),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let Some(buffer) = buffers.dequeue(device)? else { return Ok(Captured::Nothing) };
        let damaged = buffer.flags & abi::BUFFER_ERROR != 0;
        let monotonic = buffer.flags & abi::BUFFER_CLOCK == abi::BUFFER_CLOCK_MONOTONIC;
        let stamp = Duration::from_secs(buffer.seconds.max(0) as u64)
            + Duration::from_micros(buffer.microseconds.clamp(0, 999_999) as u64);
        let at = if monotonic { clock::instant(stamp) } else { None };
        let bytes = buffers.bytes(buffer.index);
        let used = bytes.len().min(buffer.bytesused as usize);
        let value = (!damaged).then(|| take(&bytes[..used], at));
        buffers.queue(device, buffer.index, 0)?;
        Ok(value.map_or(Captured::Damaged, |value| Captured::Frame { value, at, sequence: buffer.sequence }))
    }
}

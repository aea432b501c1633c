//! Capturing into buffers that the kernel lends.

use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};

use super::super::clock;
use super::Device;
use super::abi::{self, Plain, call};

/// Buffers that are asked for: one is read, one is filled, two wait.
const BUFFERS: u32 = 4;
/// Most that a driver may give instead.
const MOST_BUFFERS: u32 = 32;

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

/// Memory of one buffer.
struct Mapping {
    address: *mut std::ffi::c_void,
    length: usize,
}

// SAFETY: a mapping of this process, not of a thread; nothing but its owner refers to it.
#[allow(unsafe_code)]
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(device: &Device, length: usize, offset: u64) -> io::Result<Self> {
        let (protection, flags) = (ProtFlags::READ, MapFlags::SHARED);
        // SAFETY: address and length are chosen by the kernel (a null hint), so no memory of ours is touched.
        #[allow(unsafe_code)]
        let address =
            unsafe { rustix::mm::mmap(std::ptr::null_mut(), length, protection, flags, device.file(), offset) }?;
        Ok(Self { address, length })
    }

    /// The first `used` bytes.
    fn bytes(&self, used: usize) -> &[u8] {
        // SAFETY: mapped readable for `length` bytes until this value goes, and initialised by the kernel. The
        // caller has dequeued the buffer, so the driver does not write to it while the slice lives.
        #[allow(unsafe_code)]
        unsafe {
            std::slice::from_raw_parts(self.address.cast(), used.min(self.length))
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length; no slice of it can outlive `self`.
        #[allow(unsafe_code)]
        let _ = unsafe { rustix::mm::munmap(self.address, self.length) };
    }
}

/// A running capture.
pub(in crate::io) struct Stream {
    device: Device,
    buffers: Vec<Mapping>,
}

impl Stream {
    /// Takes buffers and starts; the format is set.
    pub(in crate::io) fn start(device: Device) -> io::Result<Self> {
        let mut request =
            abi::RequestBuffers { count: BUFFERS, kind: abi::CAPTURE, memory: abi::MEMORY_MMAP, ..Plain::zeroed() };
        device.call::<{ call::REQBUFS }, _>(&mut request)?;
        let mut buffers = Vec::new();
        for index in 0..request.count.min(MOST_BUFFERS) {
            let mut buffer = blank(index);
            device.call::<{ call::QUERYBUF }, _>(&mut buffer)?;
            buffers.push(Mapping::new(&device, buffer.length as usize, buffer.offset.into())?);
        }
        if buffers.is_empty() {
            return Err(Errno::NOMEM.into());
        }
        let stream = Self { device, buffers };
        stream.queue_all()?;
        Ok(stream)
    }

    fn queue_all(&self) -> io::Result<()> {
        for index in 0..self.buffers.len() {
            self.queue(index as u32)?;
        }
        self.device.call::<{ call::STREAMON }, _>(&mut (abi::CAPTURE as i32))?;
        Ok(())
    }

    fn queue(&self, index: u32) -> rustix::io::Result<()> {
        self.device.call::<{ call::QBUF }, _>(&mut blank(index))
    }

    /// Stops and starts again, which is what the interface asks for after an error of the stream.
    pub(in crate::io) fn restart(&self) -> io::Result<()> {
        self.device.call::<{ call::STREAMOFF }, _>(&mut (abi::CAPTURE as i32))?;
        self.queue_all()
    }

    /// Waits for a frame, at most `time`, and lends its bytes and the moment that the driver took it to `take`.
    ///
    /// # Errors
    ///
    /// When the stream has broken down; [`Stream::restart`] may mend it, unless the device is gone.
    pub(in crate::io) fn next<T>(
        &self,
        time: Duration,
        take: impl FnOnce(&[u8], Option<Instant>) -> T,
    ) -> io::Result<Captured<T>> {
        let mut ready = [PollFd::new(self.device.file(), PollFlags::IN)];
        match poll(&mut ready, Some(&clock::timespec(time))) {
            Ok(0) | Err(Errno::INTR) => return Ok(Captured::Nothing),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut buffer = blank(0);
        match self.device.call::<{ call::DQBUF }, _>(&mut buffer) {
            Ok(()) => {}
            Err(Errno::AGAIN) => return Ok(Captured::Nothing),
            Err(error) => return Err(error.into()),
        }
        let mapping = self.buffers.get(buffer.index as usize).ok_or(Errno::INVAL)?;
        let damaged = buffer.flags & abi::BUFFER_ERROR != 0;
        let monotonic = buffer.flags & abi::BUFFER_CLOCK == abi::BUFFER_CLOCK_MONOTONIC;
        let stamp = Duration::from_secs(buffer.seconds.max(0) as u64)
            + Duration::from_micros(buffer.microseconds.clamp(0, 999_999) as u64);
        let at = if monotonic { clock::instant(stamp) } else { None };
        let value = (!damaged).then(|| take(mapping.bytes(buffer.bytesused as usize), at));
        self.queue(buffer.index)?;
        Ok(value.map_or(Captured::Damaged, |value| Captured::Frame { value, at, sequence: buffer.sequence }))
    }
}

fn blank(index: u32) -> abi::Buffer {
    abi::Buffer { index, kind: abi::CAPTURE, memory: abi::MEMORY_MMAP, ..Plain::zeroed() }
}

//! Frames for a device that takes them: in buffers that the kernel lends, or else through `write`.

use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::super::clock::timespec;
use super::buffers::Buffers;
use super::{Device, Direction};

/// Buffers that are asked for: one is shown, one waits. Drivers that need more give more.
const BUFFERS: u32 = 2;

/// A device and the memory in which it takes frames.
pub(in crate::io) struct Feed {
    device: Device,
    way: Way,
}

enum Way {
    /// Buffers below `fresh` were given to the driver once; the others are ours.
    Lent {
        buffers: Buffers,
        fresh: u32,
    },
    Own(Vec<u8>),
}

impl Feed {
    /// For frames of `bytes`; the format is set.
    ///
    /// Where a device offers both ways, buffers are the better one: nothing is copied, and some kernels (6.1 is one)
    /// tell the driver of what is written that it is empty, which drivers refuse that look.
    pub(in crate::io) fn start(device: Device, bytes: usize) -> io::Result<Self> {
        let way = if device.lends_buffers(Direction::Output) {
            let mut buffers = Buffers::request(&device, Direction::Output, BUFFERS)?;
            if buffers.bytes(0).len() < bytes {
                return Err(io::Error::other(format!("its buffers are too small for frames of {bytes} bytes")));
            }
            Way::Lent { buffers, fresh: 0 }
        } else {
            Way::Own(vec![0; bytes])
        };
        Ok(Self { device, way })
    }

    /// Hands over a frame of `bytes`, which `fill` writes into the memory that it is given, once the device takes one;
    /// `false` if it does not within `limit`.
    pub(in crate::io) fn give(
        &mut self,
        bytes: usize,
        limit: Duration,
        fill: impl FnOnce(&mut [u8]),
    ) -> io::Result<bool> {
        let Self { device, way } = self;
        let end = Instant::now() + limit;
        match way {
            Way::Lent { buffers, fresh } => {
                let first = *fresh == 0;
                let index = if *fresh < buffers.count() {
                    *fresh += 1;
                    Some(*fresh - 1)
                } else {
                    patiently(device, end, || Ok(buffers.dequeue(device)?.map(|buffer| buffer.index)))?
                };
                let Some(index) = index else { return Ok(false) };
                fill(&mut buffers.bytes(index)[..bytes]);
                buffers.queue(device, index, bytes as u32)?;
                if first {
                    buffers.start(device)?;
                }
                Ok(true)
            }
            Way::Own(memory) => {
                fill(memory);
                let written = patiently(device, end, || match rustix::io::write(device.file(), memory) {
                    Ok(written) if written == memory.len() => Ok(Some(())),
                    Ok(_) => Err(io::Error::new(io::ErrorKind::WriteZero, "the device takes half a frame")),
                    Err(Errno::AGAIN | Errno::INTR) => Ok(None),
                    Err(error) => Err(error.into()),
                })?;
                Ok(written.is_some())
            }
        }
    }
}

/// Calls `attempt` until it gives something, whenever the device says that it is ready; `None` at `end`.
fn patiently<T>(
    device: &Device,
    end: Instant,
    mut attempt: impl FnMut() -> io::Result<Option<T>>,
) -> io::Result<Option<T>> {
    loop {
        if let Some(value) = attempt()? {
            return Ok(Some(value));
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        match poll(&mut [PollFd::new(device.file(), PollFlags::OUT)], Some(&timespec(left))) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

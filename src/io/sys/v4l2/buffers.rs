//! Buffers that the kernel lends.

use std::io;

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};

use super::abi::{self, Plain, call};
use super::{Device, Direction};

/// Most that a driver may give instead of what is asked for.
const MOST: u32 = 32;

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
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: address and length are chosen by the kernel (a null hint), so no memory of ours is touched.
        #[allow(unsafe_code)]
        let address =
            unsafe { rustix::mm::mmap(std::ptr::null_mut(), length, protection, flags, device.file(), offset) }?;
        Ok(Self { address, length })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length; no slice of it can outlive `self`.
        #[allow(unsafe_code)]
        let _ = unsafe { rustix::mm::munmap(self.address, self.length) };
    }
}

/// Buffers of a device, in one direction. They go to the driver with [`Buffers::queue`] and come back with
/// [`Buffers::dequeue`].
pub(super) struct Buffers {
    direction: Direction,
    mappings: Vec<Mapping>,
}

impl Buffers {
    /// Asks for `count` of them; the format is set.
    pub(super) fn request(device: &Device, direction: Direction, count: u32) -> io::Result<Self> {
        let mut request =
            abi::RequestBuffers { count, kind: direction.kind(), memory: abi::MEMORY_MMAP, ..Plain::zeroed() };
        device.call::<{ call::REQBUFS }, _>(&mut request)?;
        let mut buffers = Self { direction, mappings: Vec::new() };
        for index in 0..request.count.min(MOST) {
            let mut buffer = buffers.blank(index);
            device.call::<{ call::QUERYBUF }, _>(&mut buffer)?;
            buffers.mappings.push(Mapping::new(device, buffer.length as usize, buffer.offset.into())?);
        }
        if buffers.mappings.is_empty() {
            return Err(Errno::NOMEM.into());
        }
        Ok(buffers)
    }

    pub(super) fn count(&self) -> u32 {
        self.mappings.len() as u32
    }

    fn blank(&self, index: u32) -> abi::Buffer {
        abi::Buffer { index, kind: self.direction.kind(), memory: abi::MEMORY_MMAP, ..Plain::zeroed() }
    }

    /// Gives a buffer to the driver, with so many bytes in it.
    pub(super) fn queue(&self, device: &Device, index: u32, used: u32) -> io::Result<()> {
        let mut buffer = abi::Buffer { bytesused: used, field: abi::FIELD_NONE, ..self.blank(index) };
        Ok(device.call::<{ call::QBUF }, _>(&mut buffer)?)
    }

    /// Takes a buffer that the driver is done with; `None` if there is none yet.
    pub(super) fn dequeue(&self, device: &Device) -> io::Result<Option<abi::Buffer>> {
        let mut buffer = self.blank(0);
        match device.call::<{ call::DQBUF }, _>(&mut buffer) {
            Ok(()) if buffer.index < self.count() => Ok(Some(buffer)),
            Ok(()) => Err(Errno::INVAL.into()),
            Err(Errno::AGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn start(&self, device: &Device) -> io::Result<()> {
        Ok(device.call::<{ call::STREAMON }, _>(&mut (self.direction.kind() as i32))?)
    }

    /// Stops; all buffers are back.
    pub(super) fn stop(&self, device: &Device) -> io::Result<()> {
        Ok(device.call::<{ call::STREAMOFF }, _>(&mut (self.direction.kind() as i32))?)
    }

    /// The memory of a buffer that the driver does not have: `index` was given by [`Buffers::dequeue`], or is below
    /// [`Buffers::count`] and was never queued.
    pub(super) fn bytes(&mut self, index: u32) -> &mut [u8] {
        let mapping = &mut self.mappings[index as usize];
        // SAFETY: mapped readable and writable for `length` bytes until this value goes, and initialised by the
        // kernel. The borrow of `self` keeps the buffer from being queued while the slice lives; should the driver
        // write all the same, bytes of a picture change, of which nothing depends.
        #[allow(unsafe_code)]
        unsafe {
            std::slice::from_raw_parts_mut(mapping.address.cast(), mapping.length)
        }
    }
}

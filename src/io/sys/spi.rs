//! A device on an SPI bus (spidev).

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use rustix::ioctl::{Opcode, Setter, opcode};

/// `SPI_IOC_WR_MODE`, `SPI_IOC_WR_BITS_PER_WORD` and `SPI_IOC_WR_MAX_SPEED_HZ` of linux/spi/spidev.h.
const SET_MODE: Opcode = opcode::write::<u8>(b'k', 1);
const SET_BITS: Opcode = opcode::write::<u8>(b'k', 3);
const SET_SPEED: Opcode = opcode::write::<u32>(b'k', 4);

/// Most bytes of one transfer, where the kernel does not say.
const USUAL_TRANSFER: usize = 4096;
const TRANSFER: &str = "/sys/module/spidev/parameters/bufsiz";

/// An open device.
#[derive(Debug)]
pub(in crate::io) struct SpiBus {
    file: File,
    /// Most bytes of one transfer.
    pub(in crate::io) transfer: usize,
}

impl SpiBus {
    /// Opens a device in mode 0, with bytes of 8 bits at `hertz`.
    pub(in crate::io) fn open(path: &Path, hertz: u32) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        set::<SET_MODE, u8>(&file, 0)?;
        set::<SET_BITS, u8>(&file, 8)?;
        set::<SET_SPEED, u32>(&file, hertz)?;
        let told = std::fs::read_to_string(TRANSFER).ok().and_then(|text| text.trim().parse().ok());
        let transfer = told.filter(|bytes| (64..=1 << 20).contains(bytes)).unwrap_or(USUAL_TRANSFER);
        Ok(Self { file, transfer })
    }

    /// Sends bytes, at most [`SpiBus::transfer`] at once; the device is selected for each of these.
    pub(in crate::io) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        bytes.chunks(self.transfer).try_for_each(|part| self.file.write_all(part))
    }
}

fn set<const CODE: Opcode, T>(file: &File, value: T) -> io::Result<()> {
    // SAFETY: the codes above carry the type that the kernel reads through the pointer, which lives until it returns;
    // it writes nothing. Files that are no spidev refuse the code.
    #[allow(unsafe_code)]
    let done = unsafe { rustix::ioctl::ioctl(file, Setter::<CODE, T>::new(value)) };
    Ok(done?)
}

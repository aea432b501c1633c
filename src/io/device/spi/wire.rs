//! Commands and pixels on a bus with a pin that tells them apart.

use embedded_hal::digital::OutputPin;
use embedded_hal::spi::SpiDevice;
use mipidsi::interface::{Interface, InterfaceKind};

/// 16 bits of red, green and blue, as all our controllers take them.
pub(super) use embedded_graphics::pixelcolor::Rgb565 as Colour;

/// A pixel from a word of 5, 6 and 5 bits.
pub(super) fn colour(word: u16) -> Colour {
    Colour::new((word >> 11) as u8, (word >> 5 & 63) as u8, (word & 31) as u8)
}

/// The bus; pixels are gathered to transfers of the size that it likes. mipidsi's own borrows that buffer.
pub(super) struct Wire<SPI, PIN> {
    spi: SPI,
    dc: PIN,
    transfer: Vec<u8>,
}

impl<SPI: SpiDevice, PIN: OutputPin> Wire<SPI, PIN> {
    pub(super) fn new(spi: SPI, dc: PIN, transfer: usize) -> Self {
        Self { spi, dc, transfer: vec![0; transfer.max(8)] }
    }

    fn send(&mut self, bytes: usize) -> Result<(), String> {
        self.spi.write(&self.transfer[..bytes]).map_err(|error| format!("bus: {error:?}"))
    }
}

impl<SPI: SpiDevice, PIN: OutputPin> Interface for Wire<SPI, PIN> {
    type Word = u8;
    /// A reason in words: nothing else becomes of it.
    type Error = String;

    const KIND: InterfaceKind = InterfaceKind::Serial4Line;

    fn send_command(&mut self, command: u8, args: &[u8]) -> Result<(), String> {
        let pin = |error: PIN::Error| format!("dc pin: {error:?}");
        self.dc.set_low().map_err(pin)?;
        self.spi.write(&[command]).map_err(|error| format!("bus: {error:?}"))?;
        self.dc.set_high().map_err(pin)?;
        if args.is_empty() { Ok(()) } else { self.spi.write(args).map_err(|error| format!("bus: {error:?}")) }
    }

    fn send_pixels<const N: usize>(&mut self, pixels: impl IntoIterator<Item = [u8; N]>) -> Result<(), String> {
        let mut filled = 0;
        for pixel in pixels {
            if filled + N > self.transfer.len() {
                self.send(filled)?;
                filled = 0;
            }
            self.transfer[filled..filled + N].copy_from_slice(&pixel);
            filled += N;
        }
        if filled == 0 { Ok(()) } else { self.send(filled) }
    }

    fn send_repeated_pixel<const N: usize>(&mut self, pixel: [u8; N], count: u32) -> Result<(), String> {
        self.send_pixels((0..count).map(|_| pixel))
    }
}

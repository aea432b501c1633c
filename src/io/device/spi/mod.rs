//! `spi://`: small panels on SPI.

#[cfg(all(target_os = "linux", feature = "spi"))]
pub(super) mod linux;
#[cfg(all(target_os = "linux", feature = "spi"))]
mod sink;
pub(in crate::io) mod spec;
#[cfg(all(target_os = "linux", feature = "spi"))]
mod wire;

#[cfg(all(target_os = "linux", feature = "spi"))]
pub use sink::{PanelSink, Wires};

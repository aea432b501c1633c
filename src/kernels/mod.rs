//! Kernels: one contract, [`scalar`] the truth, the other levels the speed, the same bytes from all.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `contract` | shapes, the rounding rule, the trait of a level, bounds, weights packed for a level |
//! | [`isa`] | the table of levels |
//! | `scalar` | every kernel as a plain loop |
//! | `drivers` | loops that levels share: strips, blocks, the overlapping tail, over a few operations on registers |
//! | `arch` | a folder for each level: those operations, and schedules of its own; the only unsafe code |
//!
//! # Adding a level
//!
//! 1. A folder `arch/NAME` with a unit type, for which the trait `Kernels` says what the level does itself. All else comes
//!    from its `base`, a level whose instructions the processor has, too. Declare the folder in `arch/mod.rs`.
//! 2. A row in [`isa::TABLE`]: name, features in `/proc/cpuinfo`, how the processor is asked, the type.
//!
//! Nothing else names levels. `tests/kernels.rs` and `tests/golden.rs` run whatever the processor has;
//! `BIFOCAL_REQUIRE_LEVELS=NAME,NAME` makes them fail where one of these is missing, and `tests/aarch64` runs them on emulated
//! processors (`BIFOCAL_PROCESSORS=max` has all that the emulator knows). A dense convolution is where nearly all time goes, so
//! it is the first kernel to write; `bifocal bench` prints what share of the level's peak a frame reaches.
//!
//! Two levels as examples, with their lines: `avxvnni` (78 and 9 of the table; AVX2's driver with another multiply-add) and `i8mm` (173 and 7; a
//! convolution of its own with NEON's epilogue).

// `arch` alone may hold unsafe code, and says so itself.
mod arch;
mod contract;
mod drivers;
pub mod isa;
mod scalar;

pub use contract::*;
pub use isa::{Level, Unavailable};

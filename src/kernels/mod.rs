//! Kernels: one contract, [`scalar`] the truth, the other levels the speed, the same bytes from all.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `contract` | shapes, the rounding rule, the list of kernels, bounds, weights packed for a level |
//! | `scalar` | every kernel as a plain loop |
//! | `drivers` | loops that levels share: strips, blocks, the overlapping tail, over a few operations on registers |
//! | `arch` | a folder for each level: those operations, and schedules of its own; the only unsafe code |
//! | [`isa`] | the table of levels |
//! | `level` | a level that this processor has, and calls of its kernels |
//!
//! # Adding a level
//!
//! 1. A folder `arch/NAME` with a constant `KERNELS`, which says what the level does itself and from which level, whose
//!    instructions the processor has, too, it takes the rest. Declare the folder in `arch/mod.rs`.
//! 2. A row in [`isa::TABLE`]: name, features in `/proc/cpuinfo`, how the processor is asked, the constant.
//!
//! Nothing else names levels. `tests/kernels` and `tests/golden.rs` run whatever the processor has;
//! `BIFOCAL_REQUIRE_LEVELS=NAME,NAME` makes them fail where one of these is missing, and `tests/aarch64` runs them on emulated
//! processors (`BIFOCAL_PROCESSORS=max` has all that the emulator knows). A dense convolution is where nearly all time goes, so
//! it is the first kernel to write; `bifocal bench` prints what share of the level's peak a frame reaches.
//!
//! Two levels as examples, with their lines: `avxvnni` (60 and 9 of the table; AVX2's driver with another multiply-add) and
//! `i8mm` (163 and 7; a convolution of its own with NEON's epilogue).

// `arch` alone may hold unsafe code, and says so itself.
mod arch;
mod contract;
mod drivers;
pub mod isa;
mod level;
mod scalar;

pub use contract::*;
pub use level::{Level, Unavailable};

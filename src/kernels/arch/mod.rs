//! A folder for each level: operations on its registers, and schedules of its own; and what several share that works with
//! pointers.
//!
//! A kernel here is reached only through a [`Level`](super::Level) of its row in [`TABLE`](super::isa::TABLE), and such a level
//! exists only where detection has found the row's features: that is what the `unsafe` calls of functions with a target
//! feature rest on ("the level is there").

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
pub mod avx2;
#[cfg(target_arch = "x86_64")]
pub mod avx512vnni;
#[cfg(target_arch = "x86_64")]
pub mod avxvnni;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod depthwise;
#[cfg(target_arch = "aarch64")]
pub mod dotprod;
#[cfg(target_arch = "aarch64")]
pub mod i8mm;
#[cfg(target_arch = "aarch64")]
pub mod neon;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod pack;

/// A kernel that is always inlined, compiled for the level's target features: an entry of `Kernels`.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! with_features {
    ($features:literal: fn($($argument:ident: $type:ty),*) = $kernel:expr) => {{
        fn call($($argument: $type),*) {
            #[target_feature(enable = $features)]
            fn compiled($($argument: $type),*) {
                $kernel($($argument),*);
            }
            // SAFETY: the level is there (see `arch`).
            unsafe { compiled($($argument),*) }
        }
        call
    }};
}
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use with_features;

/// The elementwise kernels over a level's registers; the rest comes from `$base`.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! elementwise {
    ($features:literal, $registers:ty, ..$base:expr) => {{
        use crate::kernels::contract::{Add, Gate, Kernels, Pool};
        use crate::kernels::drivers::elementwise as driver;
        Kernels {
            add_row: super::with_features!($features:
                fn(add: &Add, a: &[u8], b: &[u8], out: &mut [u8]) = driver::add_row::<$registers>),
            add_spread_row: super::with_features!($features:
                fn(add: &Add, repeat: usize, a: &[u8], b: &[u8], out: &mut [u8])
                    = driver::add_spread_row::<$registers>),
            shuffle_row: super::with_features!($features:
                fn(n: usize, y: usize, x: &[u8], out: &mut [u8]) = driver::shuffle_row::<$registers>),
            gate_row: super::with_features!($features:
                fn(gate: &Gate, channels: usize, x: &[u8], gates: &[u8], out: &mut [u8])
                    = driver::gate_row::<$registers>),
            pool_columns: super::with_features!($features:
                fn(pool: &Pool, channels: usize, x: &[u8], out: &mut [u8]) = driver::pool_columns::<$registers>),
            pool_rows: super::with_features!($features:
                fn(pool: &Pool, rows: &[&[u8]], out: &mut [u8]) = driver::pool_rows::<$registers>),
            ..$base
        }
    }};
}
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use elementwise;

//! A folder for each level: operations on its registers, and schedules of its own.
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
#[cfg(target_arch = "aarch64")]
pub mod dotprod;
#[cfg(target_arch = "aarch64")]
pub mod i8mm;
#[cfg(target_arch = "aarch64")]
pub mod neon;

/// Kernels that are always inlined, compiled for the level's target features: methods of `Kernels`.
macro_rules! with_features {
    ($features:literal: $(fn $name:ident($($argument:ident: $type:ty),*) = $kernel:expr;)*) => {$(
        fn $name(&self, $($argument: $type),*) {
            #[target_feature(enable = $features)]
            fn compiled($($argument: $type),*) {
                $kernel($($argument),*);
            }
            // SAFETY: the level is there (see `arch`).
            unsafe { compiled($($argument),*) }
        }
    )*};
}
use with_features;

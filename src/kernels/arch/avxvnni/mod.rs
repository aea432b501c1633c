//! 256-bit VNNI: the kernels of AVX2, with `vpdpbusd` as the multiply-add of the dense convolution. It adds four products of
//! an unsigned and a signed byte to a 32-bit sum: exact, without saturation.
//!
//! Processors without AVX-512 have it in the VEX form (AVX-VNNI), those with AVX-512 VNNI and VL, or with AVX10, in the EVEX form.

use std::arch::asm;
use std::arch::x86_64::*;
use std::sync::Arc;

use super::avx2;
use super::avx2::conv::{MultiplyAdd, Quads, product};
use crate::kernels::contract::Kernels;
use crate::kernels::scalar;

/// For processors with AVX-VNNI.
pub const VEX: Kernels = kernels::<true>();
/// For processors with AVX-512 VNNI and VL.
pub const EVEX: Kernels = kernels::<false>();

/// The level, by the form of the instruction.
const fn kernels<const IS_VEX: bool>() -> Kernels {
    Kernels {
        prepare: |weights| Arc::new(Quads::<Dot<IS_VEX>>::new(weights)),
        product: product::<Dot<IS_VEX>>,
        // Made of products, which are faster here.
        attention: scalar::KERNELS.attention,
        ..avx2::KERNELS
    }
}

/// `vpdpbusd`.
#[derive(Debug)]
struct Dot<const IS_VEX: bool>;

impl<const IS_VEX: bool> MultiplyAdd for Dot<IS_VEX> {
    const TWELVE: bool = true;
    type Weights = __m256i;

    #[inline(always)]
    unsafe fn weights(w: __m256i) -> __m256i {
        w
    }

    /// By name: the driver is compiled for AVX2 alone, where the compiler would leave the intrinsic a call.
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn add(mut sum: __m256i, x: __m256i, w: __m256i) -> __m256i {
        // SAFETY: arithmetic on registers, by an instruction that the level's processor has.
        unsafe {
            if IS_VEX {
                asm!("{{vex}} vpdpbusd {}, {}, {}", inout(ymm_reg) sum, in(ymm_reg) x, in(ymm_reg) w,
                    options(pure, nomem, nostack, preserves_flags));
            } else {
                asm!("{{evex}} vpdpbusd {}, {}, {}", inout(ymm_reg) sum, in(ymm_reg) x, in(ymm_reg) w,
                    options(pure, nomem, nostack, preserves_flags));
            }
        }
        sum
    }
}

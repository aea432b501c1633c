//! The plain loops, compiled for AVX2.

use crate::kernels::{Taps, scalar};

/// Compiles a kernel of `scalar` for AVX2.
macro_rules! compiled {
    ($(fn $name:ident($($argument:ident: $type:ty),*);)*) => {$(
        pub fn $name($($argument: $type),*) {
            #[target_feature(enable = "avx2")]
            fn inner($($argument: $type),*) {
                scalar::$name($($argument),*);
            }
            // SAFETY: a level that gets here has AVX2 (see the module `avx2`).
            unsafe { inner($($argument),*) }
        }
    )*};
}

compiled! {
    fn blend_rows(weights: [i16; 4], rows: [&[u8]; 4], out: &mut [i16]);
    fn enlarge_row(phases: &[Taps], row: &[i16], out: &mut [i16]);
    fn whole_row(fine: &[i16], out: &mut [u8]);
    fn shade_row(luma: &[u8], fine: [&[i16]; 3], out: &mut [u8]);
    fn shade_alpha_row(luma: &[u8], fine: [&[i16]; 4], out: &mut [u8]);
}

//! The files of `models/` that are in the binary, which the build has compressed to half their size.

use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;

use super::ModelError;

struct Embedded {
    scale: usize,
    bytes: usize,
    zlib: &'static [u8],
}

macro_rules! embed {
    ($($name:literal $scale:literal),+ $(,)?) => {
        /// Their names.
        pub(super) const NAMES: &[&str] = &[$($name),+];

        /// In the order of [`NAMES`].
        const FILES: &[Embedded] = &[$(Embedded {
            scale: $scale,
            bytes: include_bytes!(concat!("../../models/", $name, ".onnx")).len(),
            zlib: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".onnx.z")),
        }),+];
    };
}

embed! {
    "ctnet-tiny-x2" 2,
    "ctnet-nano-x2" 2,
    "ctnet-small-x2" 2,
    "ctnet-tiny-x3" 3,
    "ctnet-tiny-x4" 4,
    "ctnet-small-x4" 4,
    "ctnet-small-x4-photo" 4,
    "ctnet-tiny-x2-cam" 2,
    "ctnet-tiny-x4-cam" 4,
    "ctnet-base-x2" 2,
    "ctnet-base-x4" 4,
}

/// The first of a scale.
pub(super) fn of_scale(scale: usize) -> Option<&'static str> {
    FILES.iter().position(|file| file.scale == scale).map(|at| NAMES[at])
}

/// The ONNX file.
pub(super) fn onnx(name: &str) -> Result<Option<Vec<u8>>, ModelError> {
    let Some(at) = NAMES.iter().position(|own| *own == name) else { return Ok(None) };
    let file = &FILES[at];
    let onnx = decompress_to_vec_zlib_with_limit(file.zlib, file.bytes);
    let damaged = |e| ModelError::Parse { name: name.to_string(), reason: format!("damaged in the program: {e}") };
    onnx.map(Some).map_err(damaged)
}

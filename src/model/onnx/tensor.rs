//! Constants of the file to tract's tensors.

use tract_core::prelude::*;

use super::messages::TensorProto;

/// Larger tensors are refused.
pub(super) const LARGEST_TENSOR: usize = 16 << 20;

/// tract's type for ONNX's number of it, if it is one that is supported.
pub(super) fn datum_type(number: i64) -> Option<DatumType> {
    Some(match number {
        1 => f32::datum_type(),
        2 => u8::datum_type(),
        3 => i8::datum_type(),
        6 => i32::datum_type(),
        7 => i64::datum_type(),
        9 => bool::datum_type(),
        11 => f64::datum_type(),
        _ => return None,
    })
}

/// The shape, once it is known that the file holds as much data as that: nothing may allocate what a header asks for.
pub(super) fn check(tensor: &TensorProto) -> Result<Vec<usize>, String> {
    let Some(kind) = datum_type(tensor.data_type.into()) else {
        return Err(format!("constant '{}' has a type that is not supported", tensor.name));
    };
    let shape: Option<Vec<usize>> = tensor.dims.iter().map(|&d| usize::try_from(d).ok()).collect();
    let count = shape.as_ref().and_then(|s| s.iter().try_fold(1usize, |n, &d| n.checked_mul(d)));
    let (Some(shape), Some(count @ ..=LARGEST_TENSOR)) = (shape, count) else {
        return Err(format!("constant '{}' is too large", tensor.name));
    };
    let raw = tensor.raw_data.len();
    let held = match kind {
        _ if raw > 0 => (raw == count * kind.size_of()).then_some(count),
        DatumType::F32 => Some(tensor.float_data.len()),
        DatumType::F64 => Some(tensor.double_data.len()),
        DatumType::I64 => Some(tensor.int64_data.len()),
        _ => Some(tensor.int32_data.len()),
    };
    match held == Some(count) {
        true => Ok(shape),
        false => Err(format!("constant '{}' has not as much data as its shape says", tensor.name)),
    }
}

/// The values of a constant that [`check`] has passed.
pub(in crate::model) fn read(tensor: &TensorProto) -> Result<Tensor, String> {
    let shape = check(tensor)?;
    let raw = &tensor.raw_data;
    let small = &tensor.int32_data;
    let made = match datum_type(tensor.data_type.into()) {
        Some(DatumType::F32) => made(&shape, raw, f32::from_le_bytes, tensor.float_data.iter().copied()),
        Some(DatumType::F64) => made(&shape, raw, f64::from_le_bytes, tensor.double_data.iter().copied()),
        Some(DatumType::I64) => made(&shape, raw, i64::from_le_bytes, tensor.int64_data.iter().copied()),
        Some(DatumType::I32) => made(&shape, raw, i32::from_le_bytes, small.iter().copied()),
        Some(DatumType::I8) => made(&shape, raw, i8::from_le_bytes, small.iter().map(|&v| v as i8)),
        Some(DatumType::U8) => made(&shape, raw, u8::from_le_bytes, small.iter().map(|&v| v as u8)),
        _ => made(&shape, raw, |[byte]| byte != 0, small.iter().map(|&v| v != 0)),
    };
    made.map_err(|e| format!("constant '{}': {e}", tensor.name))
}

/// A tensor from its bytes, or from values where it has no bytes.
fn made<T: Datum + Copy, const BYTES: usize>(
    shape: &[usize],
    raw: &[u8],
    value: impl Fn([u8; BYTES]) -> T,
    values: impl Iterator<Item = T>,
) -> TractResult<Tensor> {
    let (bytes, _) = raw.as_chunks::<BYTES>();
    let values: Vec<T> = if raw.is_empty() { values.collect() } else { bytes.iter().map(|b| value(*b)).collect() };
    Tensor::from_shape(shape, &values)
}

//! A build without the feature `models` has none in the binary.

use super::ModelError;

/// No names.
pub(super) const NAMES: &[&str] = &[];

/// None has any scale.
pub(super) fn of_scale(_scale: usize) -> Option<&'static str> {
    None
}

/// None has any name.
pub(super) fn onnx(_name: &str) -> Result<Option<Vec<u8>>, ModelError> {
    Ok(None)
}

//! A budget in bytes, as people write it.

use std::str::FromStr;

/// The most that the engine may allocate, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct Budget(pub usize);

impl Budget {
    /// `n` MiB.
    pub const fn mib(n: usize) -> Self {
        Self(n << 20)
    }
}

impl Default for Budget {
    /// 32 MiB: what a board with 512 MiB can spare beside a camera and a display.
    fn default() -> Self {
        Self::mib(32)
    }
}

/// What could not be read as an amount of memory.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not an amount of memory; write 16MiB, 512KiB, 1GiB, 16M or a number of bytes")]
pub struct BadBudget(String);

impl FromStr for Budget {
    type Err = BadBudget;

    fn from_str(text: &str) -> Result<Self, BadBudget> {
        let bad = || BadBudget(text.to_string());
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let shift = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            _ => return Err(bad()),
        };
        let bytes = number.parse::<f64>().map_err(|_| bad())? * (1u64 << shift) as f64;
        if !(1.0..=(1u64 << 40) as f64).contains(&bytes) {
            return Err(bad());
        }
        Ok(Self(bytes as usize))
    }
}

/// Bytes as KiB or MiB, rounded up to a tenth so that the printed figure always suffices as a budget.
pub fn display_bytes(bytes: usize) -> String {
    let (unit, name) = if bytes < 1 << 20 { (1 << 10, "KiB") } else { (1 << 20, "MiB") };
    let tenths = (bytes * 10).div_ceil(unit);
    format!("{}.{}{name}", tenths / 10, tenths % 10)
}

impl std::fmt::Display for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&display_bytes(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, bytes) in
            [("16MiB", 16 << 20), ("512k", 512 << 10), ("1.5G", 3 << 29), ("4096", 4096), ("8 MB", 8 << 20)]
        {
            assert_eq!(text.parse::<Budget>().unwrap().0, bytes, "{text}");
        }
        for text in ["", "MiB", "-1M", "12Q", "1e9999", "0"] {
            assert!(text.parse::<Budget>().is_err(), "{text}");
        }
    }

    #[test]
    fn printed_figure_suffices() {
        for bytes in [1, 1023, 1 << 20, (1 << 20) + 1, 5_400_321] {
            assert!(display_bytes(bytes).parse::<Budget>().unwrap().0 >= bytes);
        }
    }
}

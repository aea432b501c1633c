//! How large a picture may be. Checked against the header, before anything is allocated.

use std::io;

use crate::geom::Size;
use crate::io::error::{OpenError, mib};
use crate::memory;

pub use crate::geom::MAX_SIDE;

/// Bytes of the buffer in front of a file or pipe.
pub const PORT_BYTES: usize = 1 << 16;

/// Most bytes of a picture that must be held whole.
pub const MAX_WHOLE_BYTES: u64 = 512 << 20;

/// Bytes of all pixels; never overflows within [`MAX_SIDE`].
pub(in crate::io) fn whole_bytes(size: Size, bytes_per_pixel: usize) -> u64 {
    (size.width as u64).saturating_mul(size.height as u64).saturating_mul(bytes_per_pixel as u64)
}

/// Refuses sizes that no part of the program is made for.
pub(in crate::io) fn check_side(file: &str, size: Size) -> Result<(), OpenError> {
    let file = file.to_string();
    if size.width == 0 || size.height == 0 {
        return Err(OpenError::Corrupt { file, reason: format!("{size} has no pixels") });
    }
    if size.width > MAX_SIDE || size.height > MAX_SIDE {
        return Err(OpenError::TooLarge { file, size });
    }
    Ok(())
}

/// Refuses pictures that cannot be held whole.
pub(in crate::io) fn check_whole(file: &str, size: Size, bytes_per_pixel: usize) -> Result<(), OpenError> {
    check_side(file, size)?;
    let (needed, limit) = (whole_bytes(size, bytes_per_pixel), whole_limit());
    if needed > limit {
        return Err(OpenError::TooMuch { file: file.to_string(), size, needed, limit });
    }
    Ok(())
}

/// [`MAX_WHOLE_BYTES`], or what this machine has left if that is less: a refusal beats the out-of-memory killer.
pub fn whole_limit() -> u64 {
    let available = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| available_bytes(&text));
    available.map_or(MAX_WHOLE_BYTES, |bytes| bytes.min(MAX_WHOLE_BYTES))
}

/// Refuses what the system would not give: decoders and encoders of other crates end the program when they get no memory, so
/// what they need is asked for before, and given back.
pub(in crate::io) fn can_get(bytes: u64) -> io::Result<()> {
    match usize::try_from(bytes).is_ok_and(memory::can_get) {
        true => Ok(()),
        false => Err(io::Error::new(
            io::ErrorKind::OutOfMemory,
            format!("this takes {} of memory, which the system does not give", mib(bytes)),
        )),
    }
}

fn available_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_sizes_are_judged() {
        assert!(check_side("a", Size::new(1, MAX_SIDE)).is_ok());
        assert!(check_side("a", Size::new(0, 1)).is_err());
        let error = check_side("a.png", Size::new(100_000, 100_000)).unwrap_err().to_string();
        assert!(error.contains("100000x100000") && error.contains("65536"), "{error}");
        let error = check_whole("a.tif", Size::new(60_000, 60_000), 4).unwrap_err().to_string();
        assert!(error.contains("60000x60000") && error.contains("MiB"), "{error}");
    }

    #[test]
    fn reads_available_memory() {
        assert_eq!(available_bytes("MemTotal: 9 kB\nMemAvailable:     2048 kB\n"), Some(2 << 20));
        assert_eq!(available_bytes("MemTotal: 9 kB\n"), None);
    }
}

//! Finding the card's FAT partition among the machine's disks.

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The volume id of a FAT file system, written as DOS writes it: `B1F0-CA1D`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Volume(u32);

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:04X}-{:04X}", self.0 >> 16, self.0 & 0xffff)
    }
}

/// The volume that a kernel's command line names; the last one counts.
pub(super) fn volume_of(command_line: &str) -> Option<Volume> {
    let value = command_line.split_whitespace().rev().find_map(|word| word.strip_prefix("bifocal.card="))?;
    let halves = value.split_once('-').filter(|(high, low)| high.len() == 4 && low.len() == 4)?;
    let [high, low] =
        [halves.0, halves.1].map(|half| u16::from_str_radix(half, 16).ok().filter(|_| !half.starts_with('+')));
    Some(Volume(u32::from(high?) << 16 | u32::from(low?)))
}

/// The volume id in the first sector of a FAT32 file system (Microsoft's FAT specification 1.03, page 11 and 12).
fn volume_in(sector: &[u8; 512]) -> Option<Volume> {
    let fat32 = sector[82..87] == *b"FAT32" && sector[66] == 0x29 && sector[510..] == [0x55, 0xaa];
    fat32.then(|| Volume(u32::from_le_bytes([sector[67], sector[68], sector[69], sector[70]])))
}

/// The block device of a volume, looked for until it is there or the time is over.
pub(super) fn find(volume: Volume, wait: Duration) -> Option<PathBuf> {
    let end = Instant::now() + wait;
    loop {
        let found = devices().into_iter().find(|device| {
            let mut sector = [0; 512];
            let read = File::open(device).and_then(|mut file| file.read_exact(&mut sector));
            read.is_ok() && volume_in(&sector) == Some(volume)
        });
        if found.is_some() || Instant::now() >= end {
            return found;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// All block devices, in the order of their names.
fn devices() -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir("/sys/class/block") else { return Vec::new() };
    let mut names: Vec<_> = entries.flatten().map(|entry| PathBuf::from("/dev").join(entry.file_name())).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_names_the_card() {
        let volume = volume_of("console=tty0 bifocal.card=0000-0001 bifocal.card=b1f0-CA1D quiet").unwrap();
        assert_eq!(volume, Volume(0xb1f0_ca1d));
        assert_eq!(volume.to_string(), "B1F0-CA1D");
        for wrong in ["", "bifocal.card=", "bifocal.card=b1f0ca1d", "bifocal.card=+1f0-ca1d", "bifocal.card=b1f0-ca1dd"]
        {
            assert_eq!(volume_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_sector_has_a_volume_only_as_fat32() {
        let mut sector = [0; 512];
        sector[82..90].copy_from_slice(b"FAT32   ");
        sector[66] = 0x29;
        sector[67..71].copy_from_slice(&[0x1d, 0xca, 0xf0, 0xb1]);
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(volume_in(&sector), Some(Volume(0xb1f0_ca1d)));
        for (at, value) in [(66, 0x28), (82, b'f'), (510, 0)] {
            let mut other = sector;
            other[at] = value;
            assert_eq!(volume_in(&other), None, "byte {at}");
        }
    }
}

//! Which board this is.

use std::path::{Path, PathBuf};

use super::cpu::Cpu;
use super::profile::Board;
use super::sensors::Sensors;
use super::{GENERIC, all};
use crate::kernels::isa::Isa;

/// Most bytes of a property of the device tree that are looked at.
const MOST: usize = 4096;

/// A board that nobody has described.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no board '{name}'; known are {known}")]
pub struct UnknownBoard {
    name: String,
    known: String,
}

/// Who said which board it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Known {
    /// The user.
    Named,
    /// The device tree.
    DeviceTree,
    /// Nobody: a processor without a known board.
    Processor,
}

/// The machine: its board, and what it says of itself.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The board.
    pub board: Board,
    /// How it is known.
    pub known: Known,
    /// The device tree's `model`, as `Raspberry Pi 4 Model B Rev 1.4`.
    pub model: Option<String>,
    /// The processor.
    pub cpu: Cpu,
    root: PathBuf,
}

impl Machine {
    /// Looks below `root`, which is `/` but in tests; `named` overrides what the device tree says.
    ///
    /// # Errors
    ///
    /// When there is no board of that name.
    pub fn look(root: &Path, named: Option<&str>) -> Result<Self, UnknownBoard> {
        let cpu = Cpu::look(root);
        let tree = |property: &str| {
            let bytes = std::fs::read(root.join("proc/device-tree").join(property)).unwrap_or_default();
            bytes[..bytes.len().min(MOST)].to_vec()
        };
        let model = strings(&tree("model")).next();
        let (board, known) = match named {
            Some(name) => (find(name)?, Known::Named),
            None => match recognise(&tree("compatible"), model.as_deref().unwrap_or_default()) {
                Some(board) => (board, Known::DeviceTree),
                None => (unknown(&cpu), Known::Processor),
            },
        };
        Ok(Self { board, known, model, cpu, root: root.to_path_buf() })
    }

    /// Its sensors.
    pub fn sensors(&self) -> Sensors {
        Sensors::open(&self.root, &self.board.sensors)
    }

    /// Name of the cores: what the processor says, or else the board's file.
    pub fn core(&self) -> Option<&str> {
        self.cpu.name.as_deref().or(self.board.processor.core.as_deref())
    }

    /// Where its files are.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

fn find(name: &str) -> Result<Board, UnknownBoard> {
    all().find(|board| board.name == name).ok_or_else(|| {
        let known = all().map(|board| board.name).collect::<Vec<_>>().join(", ");
        UnknownBoard { name: name.to_string(), known }
    })
}

/// The board of a device tree: by the most special name in `compatible` that any board has, or else by `model`.
pub fn recognise(compatible: &[u8], model: &str) -> Option<Board> {
    let by_name = strings(compatible).find_map(|id| all().find(|board| board.compatible.contains(&id)));
    by_name.or_else(|| all().find(|board| board.models.iter().any(|beginning| model.starts_with(&**beginning))))
}

/// Strings of a property: each ends with a zero byte. Never one with control characters.
fn strings(property: &[u8]) -> impl Iterator<Item = String> {
    let parts = property.split(|byte| *byte == 0).filter(|part| !part.is_empty());
    parts.filter_map(|part| std::str::from_utf8(part).ok()).map(|text| {
        let visible: String = text.chars().filter(|c| !c.is_control()).collect();
        visible.trim().to_string()
    })
}

/// A board without a file: generic for 64-bit ARM, else one without any defaults.
fn unknown(cpu: &Cpu) -> Board {
    let arm = match cpu.level {
        Some(level) => Isa::named(level).is_some_and(|isa| isa.architecture == "aarch64"),
        None => cfg!(target_arch = "aarch64"),
    };
    let generic = if arm { find(GENERIC).ok() } else { None };
    generic.unwrap_or_else(|| Board { name: "unknown".into(), title: "computer".into(), ..Board::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boards_name_levels_that_there_are() {
        for board in all() {
            let level = board.processor.level.as_deref();
            assert!(level.is_none_or(|level| Isa::named(level).is_some()), "{}: {level:?}", board.name);
        }
    }

    #[test]
    fn the_most_special_name_counts() {
        let name = |compatible: &[u8], model| recognise(compatible, model).map(|board| board.name);
        assert_eq!(name(b"raspberrypi,model-zero-2-w\0brcm,bcm2837\0", "").as_deref(), Some("rpi-zero-2w"));
        assert_eq!(name(b"acme,carrier\0brcm,bcm2711\0", "").as_deref(), Some("rpi4"));
        assert_eq!(name(b"", "Raspberry Pi 5 Model B Rev 1.0").as_deref(), Some("rpi5"));
        assert_eq!(name(b"linux,dummy-virt\0", "linux,dummy-virt"), None);
        assert_eq!(name(b"\0\0\xff\xfe\0raspberrypi", ""), None);
    }
}

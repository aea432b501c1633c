//! What the processor says of itself.

use std::path::Path;

use serde::Serialize;

use crate::kernels::isa::Isa;

/// Bytes of a file that are read at most: `/proc/cpuinfo` of a large machine.
const MOST: usize = 1 << 20;

/// A processor as the kernel describes it; whatever it does not tell is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cpu {
    /// Name of the cores, as `Cortex-A76`.
    pub name: Option<String>,
    /// Processors that the kernel uses.
    pub cores: Option<usize>,
    /// First-level data cache of the first core, in bytes.
    pub l1d: Option<usize>,
    /// Second-level cache as the first core sees it.
    pub l2: Option<usize>,
    /// Third-level cache.
    pub l3: Option<usize>,
    /// Best kernels for the features that it lists.
    pub level: Option<&'static str>,
}

impl Cpu {
    /// Looks below `root`, which is `/` but in tests.
    pub fn look(root: &Path) -> Self {
        let info = read(&root.join("proc/cpuinfo")).unwrap_or_default();
        let online = read(&root.join("sys/devices/system/cpu/online"));
        let counted = info.lines().filter(|line| key(line) == Some("processor")).count();
        let mut cpu = Self {
            name: name(&info),
            cores: online.and_then(|list| count(&list)).or((counted > 0).then_some(counted)),
            level: level(&info),
            ..Self::default()
        };
        for index in 0..8 {
            let folder = root.join(format!("sys/devices/system/cpu/cpu0/cache/index{index}"));
            let of = |file: &str| read(&folder.join(file));
            let (Some(level), Some(kind), Some(size)) = (of("level"), of("type"), of("size")) else { continue };
            let size = kibibytes(&size);
            match (level.trim(), kind.trim()) {
                ("1", "Data" | "Unified") => cpu.l1d = size,
                ("2", _) => cpu.l2 = size,
                ("3", _) => cpu.l3 = size,
                _ => {}
            }
        }
        cpu
    }
}

fn read(path: &Path) -> Option<String> {
    let mut bytes = std::fs::read(path).ok()?;
    bytes.truncate(MOST);
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn key(line: &str) -> Option<&str> {
    line.split_once(':').map(|(key, _)| key.trim())
}

fn value<'a>(info: &'a str, wanted: &str) -> Option<&'a str> {
    info.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == wanted).map(|(_, v)| v.trim())
}

/// Processors in a list as `0-3,6`.
fn count(list: &str) -> Option<usize> {
    let mut sum = 0_usize;
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        sum += usize::from(last.checked_sub(first)?) + 1;
    }
    Some(sum)
}

fn kibibytes(text: &str) -> Option<usize> {
    text.trim().strip_suffix('K')?.parse::<u32>().ok().map(|kib| kib as usize * 1024)
}

/// Cores by implementer and part number, as Arm's *Main ID Register* has them.
fn name(info: &str) -> Option<String> {
    if let Some(name) = value(info, "model name").filter(|name| !name.is_empty()) {
        return Some(name.to_string());
    }
    let number = |key| u32::from_str_radix(value(info, key)?.strip_prefix("0x")?, 16).ok();
    let (implementer, part) = (number("CPU implementer")?, number("CPU part")?);
    let known = match (implementer, part) {
        (0x41, 0xd03) => "Cortex-A53",
        (0x41, 0xd04) => "Cortex-A35",
        (0x41, 0xd05) => "Cortex-A55",
        (0x41, 0xd07) => "Cortex-A57",
        (0x41, 0xd08) => "Cortex-A72",
        (0x41, 0xd09) => "Cortex-A73",
        (0x41, 0xd0a) => "Cortex-A75",
        (0x41, 0xd0b) => "Cortex-A76",
        (0x41, 0xd0c) => "Neoverse-N1",
        (0x41, 0xd0d) => "Cortex-A77",
        (0x41, 0xd40) => "Neoverse-V1",
        (0x41, 0xd41) => "Cortex-A78",
        (0x41, 0xd42) => "Cortex-A78AE",
        (0x41, 0xd46) => "Cortex-A510",
        (0x41, 0xd49) => "Neoverse-N2",
        (0x41, 0xd4b) => "Cortex-A78C",
        (0x4e, 0x004) => "Carmel",
        _ => return Some(format!("ARM core {implementer:#04x}:{part:#05x}")),
    };
    Some(known.to_string())
}

fn level(info: &str) -> Option<&'static str> {
    let features = value(info, "Features").or_else(|| value(info, "flags"))?;
    Some(Isa::best_of(features).name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_processors() {
        assert_eq!(count("0-3\n"), Some(4));
        assert_eq!(count("0-3,6,8-9"), Some(7));
        for bad in ["", "3-0", "a", "0-", "0-99999999"] {
            assert_eq!(count(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_cores() {
        let info = |part: &str| format!("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: {part}\n");
        assert_eq!(name(&info("0xd0b")).as_deref(), Some("Cortex-A76"));
        assert_eq!(name(&info("0xfff")).as_deref(), Some("ARM core 0x41:0xfff"));
        assert_eq!(name(&info("garbage")), None);
        assert_eq!(level("Features : fp asimd crc32 asimddp\n"), Some("dotprod"));
        assert_eq!(level("Features\t: fp asimd evtstrm crc32\n"), Some("neon"));
        assert_eq!(level("nothing"), None);
    }
}

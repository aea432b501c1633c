//! Board, processor, heat, memory, clock.

use std::path::Path;
use std::time::SystemTime;

use super::{Check, line};
use crate::board::{Causes, Known, Machine, Reading, Sensors, names};
use crate::kernels::Level;
use crate::kernels::isa::Isa;
use crate::memory::{Budget, display_bytes};

/// No clock that is right is behind it: 2025-01-01, in seconds since 1970.
const EARLIEST: u64 = 1_735_689_600;

pub(super) fn checks(machine: &Machine, sensors: &Sensors, reading: &Reading) -> Vec<Check> {
    let mut checks = vec![board(machine), level(machine), cores(machine), governor(machine, reading)];
    checks.push(temperature(sensors, reading));
    checks.extend(throttling(machine, sensors, reading));
    checks.extend(reading.watts.map(|watts| Check::ok("power", format!("{watts:.2} W"))));
    checks.extend([memory(machine), clock(machine)]);
    checks
}

fn is_jetson(machine: &Machine) -> bool {
    machine.board.name.starts_with("jetson")
}

fn board(machine: &Machine) -> Check {
    let (board, title) = (&machine.board, machine.model.as_deref().unwrap_or(&machine.board.title));
    let found = format!("{title} ({})", board.name);
    match machine.known {
        Known::DeviceTree => Check::ok("board", found),
        Known::Named => Check::ok("board", format!("{found}, as --board says")),
        Known::Processor if board.name == "unknown" => Check::ok("board", "not a board that is known; no defaults"),
        Known::Processor => {
            let known = names().collect::<Vec<_>>().join(", ");
            Check::warn("board", found, format!("if it is one of these, say so with --board: {known}"))
        }
    }
}

fn level(machine: &Machine) -> Check {
    // A recorded tree has its own processor.
    let here = machine.root() == Path::new("/");
    let Some(level) = (if here { Some(Level::best().name()) } else { machine.cpu.level }) else {
        return Check::warn("level", "the processor does not say what it can do", "mount -t proc proc /proc");
    };
    match machine.board.processor.level.as_deref() {
        Some(wanted) if rank(level) < rank(wanted) => {
            let found = format!("{level}, where the board's processor has {wanted}");
            Check::fail("level", found, "run a 64-bit kernel and program: uname -m must print aarch64")
        }
        _ => Check::ok("level", level),
    }
}

/// Where a level stands among those of the board's architecture: any of another is worth none of them.
fn rank(level: &str) -> usize {
    Isa::named(level).filter(|isa| isa.architecture != "x86_64").map_or(0, Isa::rank)
}

fn cores(machine: &Machine) -> Check {
    let processor = &machine.board.processor;
    let (have, want) = (machine.cpu.cores, processor.cores);
    let core = machine.core().unwrap_or("unknown processor");
    let size = |cpu: Option<usize>, board: Option<Budget>| cpu.or(board.map(|b| b.0));
    let sizes = [
        ("L1d", size(machine.cpu.l1d, processor.l1d)),
        ("L2", size(machine.cpu.l2, processor.l2)),
        ("L3", size(machine.cpu.l3, processor.l3)),
    ];
    let caches: String =
        sizes.iter().filter_map(|(name, size)| size.map(|size| format!(", {name} {}", display_bytes(size)))).collect();
    match (have, want) {
        (Some(have), Some(want)) if have < want => {
            let mend = if is_jetson(machine) {
                "sudo nvpmodel -m 0"
            } else {
                "echo 1 | sudo tee /sys/devices/system/cpu/cpu*/online; and no maxcpus= in cmdline.txt"
            };
            Check::warn("cores", format!("{have} of {want} x {core}{caches}"), mend)
        }
        (Some(cores), _) | (None, Some(cores)) => Check::ok("cores", format!("{cores} x {core}{caches}")),
        (None, None) => Check::warn("cores", "the kernel does not say how many", "mount -t sysfs sysfs /sys"),
    }
}

fn governor(machine: &Machine, reading: &Reading) -> Check {
    let folder = "sys/devices/system/cpu/cpufreq/policy0";
    let Some(governor) = line(machine, &format!("{folder}/scaling_governor")) else {
        return Check::ok("governor", "none: the clock is not scaled, or the kernel does not say");
    };
    let top = machine.sensors().top_mhz().map(|top| format!(" of {top:.0}")).unwrap_or_default();
    let clock = reading.mhz.map(|mhz| format!(", {mhz:.0}{top} MHz")).unwrap_or_default();
    let found = format!("{governor}{clock}");
    // These two drivers call their usual, dynamic mode powersave.
    let driver = line(machine, &format!("{folder}/scaling_driver")).unwrap_or_default();
    let dynamic = driver.starts_with("intel_pstate") || driver.starts_with("amd-pstate");
    if governor == "powersave" && !dynamic {
        let mend = if is_jetson(machine) {
            "sudo jetson_clocks"
        } else {
            "echo performance | sudo tee /sys/devices/system/cpu/cpufreq/policy*/scaling_governor"
        };
        return Check::warn("governor", format!("{found}: always the lowest clock"), mend);
    }
    Check::ok("governor", found)
}

fn temperature(sensors: &Sensors, reading: &Reading) -> Check {
    let name = "temperature";
    let Some(degrees) = reading.temperature_c else {
        return match sensors.zone() {
            Some(zone) => Check::warn(
                name,
                format!("{zone} gives no sensible value"),
                "grep . /sys/class/thermal/thermal_zone*/temp",
            ),
            None => Check::ok(name, "no thermal zone of the processor"),
        };
    };
    let found = format!("{degrees:.1} °C ({})", sensors.zone().unwrap_or("unnamed"));
    let cool = "cool it; 'bifocal bench --duration 10m' shows whether that suffices";
    match (sensors.warm(), sensors.hot()) {
        (_, Some(hot)) if degrees >= hot => Check::fail(name, format!("{found}: from {hot:.0} °C it slows down"), cool),
        (Some(warm), _) if degrees >= warm => Check::warn(name, format!("{found}: warm"), cool),
        _ => Check::ok(name, found),
    }
}

fn throttling(machine: &Machine, sensors: &Sensors, reading: &Reading) -> [Check; 2] {
    let (now, before) = ("throttling", "since boot");
    let Some(throttling) = reading.throttling else {
        if !sensors.tells_throttling() {
            let found = "not told by this kernel";
            return [Check::ok(now, found), Check::ok(before, found)];
        }
        let mend = if is_jetson(machine) {
            "grep . /sys/class/thermal/cooling_device*/cur_state"
        } else {
            "vcgencmd get_throttled"
        };
        return [Check::warn(now, "the board's answer makes no sense", mend), Check::ok(before, "not known")];
    };
    [
        match throttling.now {
            causes if causes.is_empty() => Check::ok(now, "none"),
            causes => Check::fail(now, causes.to_string(), remedy(causes)),
        },
        match throttling.since_boot {
            causes if causes.is_empty() => Check::ok(before, "none"),
            causes => Check::warn(before, causes.to_string(), remedy(causes)),
        },
    ]
}

fn remedy(causes: Causes) -> &'static str {
    if causes.contains(Causes::UNDER_VOLTAGE) || causes.contains(Causes::OVER_CURRENT) {
        "use the board's own power supply and a short cable; then reboot: the flags stay until then"
    } else {
        "cool it: heat sink, fan, free air; then reboot: the flags stay until then"
    }
}

fn memory(machine: &Machine) -> Check {
    let Ok(text) = std::fs::read_to_string(machine.root().join("proc/meminfo")) else {
        return Check::ok("memory", "the kernel does not say");
    };
    let of = |key: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(key))?.trim().strip_suffix(" kB")?;
        value.trim().parse::<usize>().ok().and_then(|kib| kib.checked_mul(1024))
    };
    let (Some(total), Some(available)) = (of("MemTotal:"), of("MemAvailable:")) else {
        return Check::warn("memory", "/proc/meminfo makes no sense", "head -3 /proc/meminfo");
    };
    let budget = machine.board.defaults.memory.unwrap_or_default();
    let (total, free) = (display_bytes(total), display_bytes(available));
    let found = format!("{free} available of {total}, budget {budget}");
    let mend = "stop what is not needed (top -o %MEM), or give a smaller --mem";
    match available {
        less if less < budget.0 => Check::fail("memory", found, mend),
        less if less < 2 * budget.0 => Check::warn("memory", found, mend),
        _ => Check::ok("memory", found),
    }
}

fn clock(machine: &Machine) -> Check {
    let source = line(machine, "sys/devices/system/clocksource/clocksource0/current_clocksource");
    let source = source.unwrap_or_else(|| "unknown source".into());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let timesync = machine.root().join("run/systemd/timesync");
    let mend = "sudo timedatectl set-ntp true";
    if now < EARLIEST {
        Check::warn("clock", format!("{source}; the date is wrong: the board has no battery for it"), mend)
    } else if timesync.exists() && !timesync.join("synchronized").exists() {
        Check::warn("clock", format!("{source}; not synchronised"), mend)
    } else {
        Check::ok("clock", source)
    }
}

//! Temperature, clock, throttling and power, from the files that the kernel offers.
//!
//! Everything is found in [`Sensors::open`]; [`Sensors::read`] reads small files into a buffer on the stack, and
//! allocates nothing. A sensor that is missing, or says what cannot be, is none.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;

use super::profile::SensorPlaces;
use super::throttle::{Causes, Throttling};

/// Most zones, policies or chips that are looked at, and most channels of a chip.
const MOST: usize = 64;
/// A number of a sensor fits.
const LINE: usize = 64;

/// What the sensors say at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Reading {
    /// Of the processor, in degrees Celsius.
    pub temperature_c: Option<f64>,
    /// Clock of the processors, averaged over their groups.
    pub mhz: Option<f64>,
    /// What slows the board down.
    pub throttling: Option<Throttling>,
    /// Power that the board draws.
    pub watts: Option<f64>,
}

/// The sensors of a board.
#[derive(Clone, Debug, Default)]
pub struct Sensors {
    temperature: Option<PathBuf>,
    /// Type of the zone.
    zone: Option<String>,
    warm: Option<f64>,
    hot: Option<f64>,
    clocks: Vec<PathBuf>,
    top_mhz: Option<f64>,
    firmware: Option<PathBuf>,
    command: Option<String>,
    undervoltage: Option<PathBuf>,
    cooling: Vec<PathBuf>,
    events: Vec<(PathBuf, Causes)>,
    power: Option<Power>,
}

/// How a chip tells the power of a rail.
#[derive(Clone, Debug)]
enum Power {
    /// A file in milliwatts.
    Milliwatts(PathBuf),
    /// A file in millivolts and one in milliamperes.
    Product(PathBuf, PathBuf),
}

impl Sensors {
    /// Finds what `places` names below `root`, which is `/` but in tests.
    pub fn open(root: &Path, places: &SensorPlaces) -> Self {
        let zone = zone(root, &places.zones);
        let policies = numbered(&root.join("sys/devices/system/cpu/cpufreq"), "policy");
        let tops = policies.iter().filter_map(|policy| megahertz(&policy.join("cpuinfo_max_freq")));
        let firmware = places.throttled.iter().map(|path| root.join(path)).find(|path| path.exists());
        let alarm = places.undervoltage_chip.as_deref().and_then(|chip| hwmon(root, chip).pop());
        let cooling = numbered(&root.join("sys/class/thermal"), "cooling_device").into_iter().filter(|device| {
            let kind = word(&device.join("type")).unwrap_or_default();
            places.cooling.iter().any(|beginning| kind.starts_with(beginning))
        });
        // NVIDIA's driver: event 1 is under-voltage, 2 and 3 are average and instantaneous over-current.
        let causes = [(1, Causes::UNDER_VOLTAGE), (2, Causes::OVER_CURRENT), (3, Causes::OVER_CURRENT)];
        let events = places.events_chip.as_deref().and_then(|chip| hwmon(root, chip).pop()).map(|chip| {
            let counters = causes.map(|(number, cause)| (chip.join(format!("oc{number}_event_cnt")), cause));
            counters.into_iter().filter(|(path, _)| path.exists()).collect()
        });
        Self {
            warm: places.warm_celsius,
            hot: zone.as_deref().and_then(passive_trip).or(places.hot_celsius),
            zone: zone.as_deref().and_then(|zone| word(&zone.join("type"))),
            temperature: zone.map(|zone| zone.join("temp")),
            top_mhz: tops.reduce(f64::max),
            clocks: policies.iter().map(|policy| policy.join("scaling_cur_freq")).collect(),
            // What a command says is of this machine, not of a recorded tree.
            command: places.throttled_command.clone().filter(|_| firmware.is_none() && root == Path::new("/")),
            firmware,
            undervoltage: alarm.map(|chip| chip.join("in0_lcrit_alarm")).filter(|path| path.exists()),
            cooling: cooling.map(|device| device.join("cur_state")).collect(),
            events: events.unwrap_or_default(),
            power: match (&places.power_chip, &places.power_rail) {
                (Some(chip), Some(rail)) => power(root, chip, rail),
                _ => None,
            },
        }
    }

    /// Reads all of them, a command of the board included: that takes milliseconds and allocates.
    pub fn read_all(&self) -> Reading {
        let mut reading = self.read();
        if let Some(word) = self.command.as_deref().and_then(output) {
            let told = Throttling::of_firmware(&word);
            reading.throttling = match (reading.throttling, told) {
                (Some(known), Some(told)) => Some(known.or(told)),
                (known, told) => known.or(told),
            };
        }
        reading
    }

    /// Reads the files; allocates nothing.
    pub fn read(&self) -> Reading {
        Reading {
            temperature_c: self.temperature(),
            mhz: self.mhz(),
            throttling: self.throttling(),
            watts: self.power.as_ref().and_then(Power::watts),
        }
    }

    /// Degrees Celsius; allocates nothing.
    pub fn temperature(&self) -> Option<f64> {
        celsius(self.temperature.as_ref()?)
    }

    fn mhz(&self) -> Option<f64> {
        let clocks = || self.clocks.iter().filter_map(|path| megahertz(path));
        let count = clocks().count();
        (count > 0).then(|| clocks().sum::<f64>() / count as f64)
    }

    fn throttling(&self) -> Option<Throttling> {
        let firmware = self.firmware.as_ref().and_then(|path| {
            let mut buffer = [0; LINE];
            Throttling::of_firmware(line(path, &mut buffer)?)
        });
        let alarm = self.undervoltage.as_ref().and_then(|path| number(path)).filter(|alarm| (0..=1).contains(alarm));
        let alarm = alarm.map(|alarm| {
            let now = if alarm == 1 { Causes::UNDER_VOLTAGE } else { Causes::default() };
            Throttling { now, since_boot: now }
        });
        let states = self.cooling.iter().filter_map(|path| number(path).filter(|state| *state >= 0));
        let cooling = states.map(|state| {
            let now = if state > 0 { Causes::THROTTLED } else { Causes::default() };
            Throttling { now, since_boot: now }
        });
        let counts = self.events.iter().filter_map(|(path, cause)| Some((number(path).filter(|n| *n >= 0)?, *cause)));
        let events = counts.map(|(count, cause)| Throttling {
            now: Causes::default(),
            since_boot: if count > 0 { cause } else { Causes::default() },
        });
        firmware.into_iter().chain(alarm).chain(cooling).chain(events).reduce(Throttling::or)
    }

    /// Type of the thermal zone, as `cpu-thermal`.
    pub fn zone(&self) -> Option<&str> {
        self.zone.as_deref()
    }

    /// Degrees from which the board is warm.
    pub fn warm(&self) -> Option<f64> {
        self.warm
    }

    /// Degrees from which the board slows down: the passive trip of its zone, else what its file says.
    pub fn hot(&self) -> Option<f64> {
        self.hot
    }

    /// Highest clock of any processor.
    pub fn top_mhz(&self) -> Option<f64> {
        self.top_mhz
    }

    /// Is there anything to read of throttling, be it a command, whatever it says?
    pub fn tells_throttling(&self) -> bool {
        let files = self.firmware.is_some() || self.undervoltage.is_some();
        files || self.command.is_some() || !self.cooling.is_empty() || !self.events.is_empty()
    }
}

impl Power {
    fn watts(&self) -> Option<f64> {
        let watts = match self {
            Self::Milliwatts(path) => number(path)? as f64 / 1e3,
            Self::Product(volts, amperes) => number(volts)? as f64 * number(amperes)? as f64 / 1e6,
        };
        (0.0..1e3).contains(&watts).then_some(watts)
    }
}

/// The first line of a small file.
fn line<'a>(path: &Path, buffer: &'a mut [u8; LINE]) -> Option<&'a str> {
    let mut file = File::open(path).ok()?;
    let mut filled = 0;
    while filled < LINE {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            // Sensors of a part that is off answer with an error.
            Err(_) => return None,
        }
    }
    std::str::from_utf8(&buffer[..filled]).ok()?.lines().next().map(str::trim)
}

fn number(path: &Path) -> Option<i64> {
    line(path, &mut [0; LINE])?.parse().ok()
}

fn word(path: &Path) -> Option<String> {
    line(path, &mut [0; LINE]).filter(|word| !word.is_empty()).map(str::to_string)
}

/// The kernel writes thousandths of a degree.
fn celsius(path: &Path) -> Option<f64> {
    let degrees = number(path)? as f64 / 1e3;
    (-40.0..150.0).contains(&degrees).then_some(degrees)
}

/// The kernel writes kilohertz.
fn megahertz(path: &Path) -> Option<f64> {
    let mhz = number(path)? as f64 / 1e3;
    (1.0..20_000.0).contains(&mhz).then_some(mhz)
}

/// Entries of `folder` that are `name` and a number, in order.
fn numbered(folder: &Path, name: &str) -> Vec<PathBuf> {
    let number = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix(name)?.parse::<u32>().ok();
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut found: Vec<(u32, PathBuf)> = entries.filter_map(|path| Some((number(&path)?, path))).collect();
    found.sort_unstable();
    found.into_iter().take(MOST).map(|(_, path)| path).collect()
}

/// The zone of the best type, or else the hottest one of a processor, or the only one there is.
fn zone(root: &Path, types: &[String]) -> Option<PathBuf> {
    let zones = numbered(&root.join("sys/class/thermal"), "thermal_zone");
    let kind = |zone: &Path| word(&zone.join("type")).unwrap_or_default();
    let named = types.iter().find_map(|wanted| zones.iter().find(|zone| kind(zone) == **wanted));
    let of_processor = |zone: &&PathBuf| {
        let kind = kind(zone).to_ascii_lowercase();
        kind.contains("cpu") || kind.contains("pkg_temp") || kind.contains("soc")
    };
    let heat = |zone: &&PathBuf| celsius(&zone.join("temp")).unwrap_or(f64::MIN);
    let hottest = || zones.iter().filter(of_processor).max_by(|a, b| heat(a).total_cmp(&heat(b)));
    named.or_else(hottest).or(if zones.len() == 1 { zones.first() } else { None }).cloned()
}

/// Where the kernel itself begins to slow the processor down.
fn passive_trip(zone: &Path) -> Option<f64> {
    let trips =
        (0..MOST).map(|i| (zone.join(format!("trip_point_{i}_type")), zone.join(format!("trip_point_{i}_temp"))));
    let existing = trips.take_while(|(kind, _)| kind.exists());
    let passive = existing.filter(|(kind, _)| word(kind).as_deref() == Some("passive"));
    passive.filter_map(|(_, at)| celsius(&at)).filter(|degrees| *degrees > 0.0).reduce(f64::min)
}

fn hwmon(root: &Path, chip: &str) -> Vec<PathBuf> {
    let mut chips = numbered(&root.join("sys/class/hwmon"), "hwmon");
    chips.retain(|folder| word(&folder.join("name")).as_deref() == Some(chip));
    chips
}

/// The rail of a chip: hwmon's labels (mainline, JetPack 5 and later), or the names of NVIDIA's iio driver (JetPack 4).
fn power(root: &Path, chip: &str, rail: &str) -> Option<Power> {
    let is = |path: PathBuf| word(&path).as_deref() == Some(rail);
    let of_hwmon = hwmon(root, chip).into_iter().find_map(|folder| {
        let channel = (1..MOST).find(|i| is(folder.join(format!("in{i}_label"))))?;
        let of = |kind: &str| folder.join(format!("{kind}{channel}_input"));
        Some(Power::Product(of("in"), of("curr")))
    });
    of_hwmon.or_else(|| {
        let mut chips = numbered(&root.join("sys/bus/iio/devices"), "iio:device");
        chips.retain(|folder| word(&folder.join("name")).as_deref() == Some(chip));
        chips.into_iter().find_map(|folder| {
            let channel = (0..MOST).find(|i| is(folder.join(format!("rail_name_{i}"))))?;
            Some(Power::Milliwatts(folder.join(format!("in_power{channel}_input"))))
        })
    })
}

/// What a command prints, if it is there and succeeds.
fn output(command: &str) -> Option<String> {
    let mut words = command.split_whitespace();
    let mut command = Command::new(words.next()?);
    let done = command.args(words).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    if done.status.success() { String::from_utf8(done.stdout).ok() } else { None }
}

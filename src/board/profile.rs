//! A board as its file `boards/NAME.toml` describes it. Also compiled into the build script, which refuses to build
//! with a wrong file.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::parse::{FileError, parse, text};
use crate::kernels::isa;
use crate::memory::Budget;

/// A board: what it is made of, what suits it, and where its sensors are.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Board {
    /// Name of the file, as `rpi4`.
    #[serde(skip)]
    pub name: String,
    /// Name for people.
    #[serde(deserialize_with = "filled")]
    pub title: String,
    /// Any of these in the device tree's `compatible` is this board.
    #[serde(default)]
    pub compatible: Vec<String>,
    /// Beginnings of the device tree's `model`, for trees whose `compatible` says nothing.
    #[serde(default)]
    pub models: Vec<String>,
    /// Processor; empty fields are asked of the system.
    pub processor: Processor,
    /// What is used unless the user says otherwise.
    pub defaults: Defaults,
    /// Where to read temperature, throttling and power.
    pub sensors: SensorPlaces,
}

/// The processor of a board.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Processor {
    /// Chip.
    pub soc: Option<String>,
    /// Core.
    pub core: Option<String>,
    /// Cores.
    #[serde(default, deserialize_with = "cores")]
    pub cores: Option<usize>,
    /// Best kernels that it can run.
    #[serde(default, deserialize_with = "level")]
    pub level: Option<String>,
    /// First-level data cache of a core, in bytes.
    #[serde(default, deserialize_with = "text")]
    pub l1d: Option<Budget>,
    /// Second-level cache, in bytes.
    #[serde(default, deserialize_with = "text")]
    pub l2: Option<Budget>,
    /// Do all cores share the second level? Otherwise each has its own.
    #[serde(default)]
    pub l2_shared: bool,
    /// Third-level cache of all cores, in bytes.
    #[serde(default, deserialize_with = "text")]
    pub l3: Option<Budget>,
}

/// What suits a board.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Defaults {
    /// Memory budget.
    #[serde(default, deserialize_with = "text")]
    pub memory: Option<Budget>,
    /// Threads; without it, one for each processor.
    #[serde(default, deserialize_with = "cores")]
    pub threads: Option<usize>,
    /// Model by name.
    pub model: Option<String>,
    /// Where live frames come from, as a URI.
    pub source: Option<String>,
    /// Where live frames go to, as a URI.
    pub sink: Option<String>,
}

/// Where the sensors of a board are. Paths have no leading slash: a test puts its own root before them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SensorPlaces {
    /// Types of thermal zones, best first; without any that exists, the hottest zone of a processor.
    #[serde(default)]
    pub zones: Vec<String>,
    /// From here on it is warm, in degrees Celsius.
    #[serde(default, deserialize_with = "celsius")]
    pub warm_celsius: Option<f64>,
    /// From here on the board slows itself down, unless its thermal zone tells.
    #[serde(default, deserialize_with = "celsius")]
    pub hot_celsius: Option<f64>,
    /// Files with the word of the Raspberry Pi's firmware; the first that exists counts.
    #[serde(default, deserialize_with = "paths")]
    pub throttled: Vec<String>,
    /// Command that prints the same word, for kernels without such a file.
    pub throttled_command: Option<String>,
    /// Name of the hwmon chip that tells of an under-voltage.
    pub undervoltage_chip: Option<String>,
    /// Beginnings of the types of cooling devices that slow the processor down.
    #[serde(default)]
    pub cooling: Vec<String>,
    /// Name of the hwmon chip that counts over-current events.
    pub events_chip: Option<String>,
    /// Name of the hwmon or iio chip that measures power.
    pub power_chip: Option<String>,
    /// Its rail for the whole board.
    pub power_rail: Option<String>,
}

impl Board {
    /// Reads the file of the board `name`.
    ///
    /// # Errors
    ///
    /// With the line, when a key is unknown or missing or a value makes no sense.
    pub fn parse(name: &str, contents: &str) -> Result<Self, FileError> {
        let file = format!("boards/{name}.toml");
        let mut board: Self = parse(&file, contents)?;
        board.name = name.to_string();
        let wrong = |key: &str, reason: String| {
            let line = contents.lines().position(|line| line.trim_start().starts_with(key)).map_or(1, |at| at + 1);
            Err(FileError { file: file.clone(), line, reason })
        };
        let places = &board.sensors;
        if let (Some(warm), Some(hot)) = (places.warm_celsius, places.hot_celsius)
            && warm >= hot
        {
            return wrong("hot-celsius", format!("hot-celsius {hot} must be more than warm-celsius {warm}"));
        }
        if places.power_chip.is_some() != places.power_rail.is_some() {
            return wrong("power-", "power-chip and power-rail belong together".into());
        }
        if let (Some(threads), Some(cores)) = (board.defaults.threads, board.processor.cores)
            && threads > cores
        {
            return wrong("threads", format!("{threads} threads on {cores} cores"));
        }
        Ok(board)
    }
}

fn filled<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() { Err(D::Error::custom("must not be empty")) } else { Ok(text) }
}

fn cores<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    match u64::deserialize(deserializer)? {
        n @ 1..=64 => Ok(Some(n as usize)),
        n => Err(D::Error::custom(format!("{n} is not a number from 1 to 64"))),
    }
}

fn celsius<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let degrees = f64::deserialize(deserializer)?;
    if (0.0..150.0).contains(&degrees) {
        Ok(Some(degrees))
    } else {
        Err(D::Error::custom(format!("{degrees} °C is not from 0 to 150")))
    }
}

fn level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let name = String::deserialize(deserializer)?;
    isa::known(&name).map_err(D::Error::custom)?;
    Ok(Some(name))
}

fn paths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let paths = Vec::<String>::deserialize(deserializer)?;
    match paths.iter().find(|path| path.starts_with('/') || path.split('/').any(|part| part == "..")) {
        Some(path) => Err(D::Error::custom(format!("'{path}' must be below the root, without a leading slash"))),
        None => Ok(paths),
    }
}

//! Panels on the buses and lines of Linux: spidev and the GPIO character device.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use embedded_hal::delay::DelayNs;
use embedded_hal::digital::{self, OutputPin};
use embedded_hal::spi::{self, Operation, SpiDevice};
use gpiocdev::chip::Chip;
use gpiocdev::line::Value;
use gpiocdev::request::Request;

use super::sink::{PanelSink, Wires};
use super::spec::{Line, PanelSpec, PanelWiring};
use crate::frame::{Fit, FrameFormat};
use crate::io::error::{Cause, CreateError, DeviceError};
use crate::io::sys::spi::SpiBus;

/// Labels of the chips whose lines are on the headers of boards: Raspberry Pi before 5, Raspberry Pi 5, Jetson.
const HEADERS: [&str; 4] = ["pinctrl-bcm", "pinctrl-rp1", "tegra-gpio", "tegra234-gpio"];

/// What the system said; its words are all that is of use.
struct Refused(io::Error);

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl spi::Error for Refused {
    fn kind(&self) -> spi::ErrorKind {
        spi::ErrorKind::Other
    }
}

impl digital::Error for Refused {
    fn kind(&self) -> digital::ErrorKind {
        digital::ErrorKind::Other
    }
}

/// spidev as a device of embedded-hal; transfers only go out.
struct Bus(SpiBus);

impl spi::ErrorType for Bus {
    type Error = Refused;
}

impl SpiDevice for Bus {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), Refused> {
        for operation in operations {
            match operation {
                Operation::Write(bytes) => self.0.write(bytes).map_err(Refused)?,
                Operation::DelayNs(ns) => sleep(Duration::from_nanos(u64::from(*ns))),
                _ => return Err(Refused(io::ErrorKind::Unsupported.into())),
            }
        }
        Ok(())
    }
}

/// A line that was asked for alone.
struct Pin(Request);

impl Pin {
    fn set(&self, value: Value) -> Result<(), Refused> {
        self.0.set_lone_value(value).map(drop).map_err(|error| Refused(of_gpio(&error)))
    }
}

impl digital::ErrorType for Pin {
    type Error = Refused;
}

impl OutputPin for Pin {
    fn set_low(&mut self) -> Result<(), Refused> {
        self.set(Value::Inactive)
    }

    fn set_high(&mut self) -> Result<(), Refused> {
        self.set(Value::Active)
    }
}

struct Clock;

impl DelayNs for Clock {
    fn delay_ns(&mut self, ns: u32) {
        sleep(Duration::from_nanos(ns.into()));
    }
}

/// Starts the panel that is connected as `wiring` says.
pub(in crate::io) fn open(
    name: &str,
    wiring: &PanelWiring,
    spec: &PanelSpec,
    format: FrameFormat,
    fit: Fit,
) -> Result<PanelSink, CreateError> {
    let wires = wires(wiring).map_err(|error| error.create(name))?;
    PanelSink::start(name, spec, wires, format, fit)
}

fn wires(wiring: &PanelWiring) -> Result<Wires<Bus, Pin, Clock>, DeviceError> {
    let path = PathBuf::from(format!("/dev/spidev{}.{}", wiring.device.0, wiring.device.1));
    let bus = SpiBus::open(&path, wiring.hertz).map_err(|error| why_no_bus(&path, error))?;
    let pin = |line: &Line, value| pin(wiring.chip.as_deref(), line, value);
    Ok(Wires {
        transfer: bus.transfer,
        dc: pin(&wiring.dc, Value::Inactive)?,
        // Low would be a reset before its time.
        reset: wiring.reset.as_ref().map(|line| pin(line, Value::Active)).transpose()?,
        backlight: wiring.backlight.as_ref().map(|line| pin(line, Value::Inactive)).transpose()?,
        spi: Bus(bus),
        delay: Clock,
    })
}

/// Why a bus does not open, and what to do.
fn why_no_bus(path: &Path, error: io::Error) -> DeviceError {
    let path = path.display();
    let reason = match error.kind() {
        io::ErrorKind::NotFound => format!(
            "there is no {path}; switch SPI on: 'dtparam=spi=on' in config.txt of a Raspberry Pi, jetson-io.py on a Jetson"
        ),
        io::ErrorKind::PermissionDenied => {
            format!(
                "no permission for {path}; 'ls -l' shows its group: 'sudo usermod -aG GROUP $USER', then log in again"
            )
        }
        io::ErrorKind::ResourceBusy => format!("another program or driver uses {path}"),
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOTTY.raw_os_error()) => {
            format!("{path} is no SPI device")
        }
        io::ErrorKind::InvalidInput => format!("{path} cannot run at this speed; try a lower speed="),
        _ => format!("{path}: {error}"),
    };
    DeviceError::of(error, reason)
}

/// Is there a bus that can be used as `/dev/spidevB.C`? Else the reason.
pub(in crate::io) fn look(path: &Path) -> Result<(), DeviceError> {
    std::fs::OpenOptions::new().read(true).write(true).open(path).map(drop).map_err(|error| why_no_bus(path, error))
}

/// A line as an output.
fn pin(chip: Option<&str>, line: &Line, value: Value) -> Result<Pin, DeviceError> {
    let (path, offset) = find(chip, line)?;
    let mut wanted = Request::builder();
    wanted.on_chip(&path).with_consumer("bifocal").with_line(offset).as_output(value);
    let chip = path.file_name().unwrap_or_default().to_string_lossy();
    wanted.request().map(Pin).map_err(|error| {
        let error = of_gpio(&error);
        let reason = match error.kind() {
            io::ErrorKind::ResourceBusy => format!("line {line} of {chip} is used by another program or driver"),
            io::ErrorKind::InvalidInput => return format!("{chip} has no line {line}").into(),
            _ => format!("line {line} of {chip}: {error}"),
        };
        DeviceError::of(error, reason)
    })
}

/// Chip and number of a line.
fn find(chip: Option<&str>, line: &Line) -> Result<(PathBuf, u32), DeviceError> {
    let chips = match chip {
        Some(name) => vec![open_chip(&Path::new("/dev").join(name))?],
        None => all_chips()?,
    };
    match line {
        Line::Name(name) => {
            let found =
                chips.iter().find_map(|chip| Some((chip.path().to_path_buf(), chip.find_line_info(name)?.offset)));
            let reason = || format!("no GPIO line is called {name}; 'gpioinfo' shows what there is");
            found.ok_or_else(|| DeviceError::new(Cause::Absent, reason()))
        }
        Line::Number(number) => {
            let of_header = |chip: &&Chip| {
                let label = chip.info().map(|info| info.label).unwrap_or_default();
                HEADERS.iter().any(|header| label.starts_with(header))
            };
            // Where no chip is known, the first is as good as any.
            let chip = chips.iter().find(of_header).or(chips.first());
            chip.map(|chip| (chip.path().to_path_buf(), *number)).ok_or_else(no_chips)
        }
    }
}

fn no_chips() -> DeviceError {
    DeviceError::new(Cause::Absent, "there is no /dev/gpiochip*: this system gives no GPIO lines")
}

fn all_chips() -> Result<Vec<Chip>, DeviceError> {
    let number = |name: &str| name.strip_prefix("gpiochip")?.parse::<u32>().ok();
    let entries = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    let mut numbers: Vec<u32> = entries.filter_map(|entry| number(entry.file_name().to_str()?)).collect();
    numbers.sort_unstable();
    if numbers.is_empty() {
        return Err(no_chips());
    }
    numbers.into_iter().map(|number| open_chip(&PathBuf::from(format!("/dev/gpiochip{number}")))).collect()
}

fn open_chip(path: &Path) -> Result<Chip, DeviceError> {
    // The library looks at the file before it opens it, and its words for what it finds are many.
    std::fs::File::open(path).map_err(|error| {
        let path = path.display();
        let reason = match error.kind() {
            io::ErrorKind::NotFound => format!("there is no {path}"),
            io::ErrorKind::PermissionDenied => format!(
                "no permission for {path}; 'ls -l' shows its group: 'sudo usermod -aG GROUP $USER', then log in again"
            ),
            _ => format!("{path}: {error}"),
        };
        DeviceError::of(error, reason)
    })?;
    Chip::from_path(path).map_err(|error| {
        let reason = format!("{}: {error}", path.display());
        DeviceError::of(of_gpio(&error), reason)
    })
}

/// What the system said, out of what the library made of it, which keeps the number only in words.
fn of_gpio(error: &gpiocdev::Error) -> io::Error {
    let words = error.to_string();
    let code = words.rsplit_once("(os error ").and_then(|(_, code)| code.strip_suffix(')')?.parse().ok());
    code.map_or_else(|| io::Error::other(words), io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wiring(bus: u32) -> PanelWiring {
        let dc = Line::Number(24);
        PanelWiring { device: (bus, 0), dc, reset: None, backlight: None, chip: None, hertz: 1_000_000 }
    }

    #[test]
    fn what_is_missing_is_said() {
        let reason = wires(&wiring(4_000_000)).err().unwrap().to_string();
        assert!(reason.contains("/dev/spidev4000000.0") && reason.contains("dtparam=spi=on"), "{reason}");
        let reason = find(Some("gpiochip4000000"), &Line::Number(1)).err().unwrap().to_string();
        assert_eq!(reason, "there is no /dev/gpiochip4000000");
        let busy = gpiocdev::Error::from(io::Error::from_raw_os_error(16));
        assert_eq!(of_gpio(&busy).kind(), io::ErrorKind::ResourceBusy);
        let null = SpiBus::open(Path::new("/dev/null"), 1).unwrap_err();
        let reason = why_no_bus(Path::new("/dev/null"), null).to_string();
        assert!(reason.contains("is no SPI device"), "{reason}");
    }
}

//! `bifocal doctor`: what this board offers, what is in the way, and what mends it.

mod devices;
mod system;

use std::fmt::Write;

use serde::Serialize;

use super::args::{Doctor, Format};
use super::failure::{Code, Failure};
use super::print;
use crate::board::{Known, Machine, Reading};

/// A verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    /// As it should be.
    Ok,
    /// It works, with a loss.
    Warn,
    /// It does not work, or figures would be wrong.
    Fail,
}

/// Something that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    status: Status,
    /// What was found, in one line.
    found: String,
    /// What makes it better: a command where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, found: found.into(), mend: None }
    }

    fn warn(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, status: Status::Warn, found: found.into(), mend: Some(mend.into()) }
    }

    fn fail(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { status: Status::Fail, ..Self::warn(name, found, mend) }
    }

    /// The same with a hint, whatever the verdict.
    fn hint(self, mend: impl Into<String>) -> Self {
        Self { mend: Some(mend.into()), ..self }
    }
}

/// What is printed; names are a contract with scripts.
#[derive(Serialize)]
struct Diagnosis<'a> {
    /// Name of the board's file.
    board: &'a str,
    known: Known,
    /// What the device tree calls it.
    model: Option<&'a str>,
    /// Worst of all checks.
    verdict: Status,
    sensors: Reading,
    checks: Vec<Check>,
}

pub(super) fn run(args: &Doctor) -> Result<(), Failure> {
    let machine = args.board.machine()?;
    let sensors = machine.sensors();
    let reading = sensors.read_all();
    let mut checks = system::checks(&machine, &sensors, &reading);
    checks.extend(devices::checks(&machine));
    let verdict = checks.iter().map(|check| check.status).max().unwrap_or(Status::Ok);
    match args.format {
        Format::Text => print::text(&text(&checks))?,
        Format::Json => print::json(&Diagnosis {
            board: &machine.board.name,
            known: machine.known,
            model: machine.model.as_deref(),
            verdict,
            sensors: reading,
            checks,
        })?,
    }
    if verdict == Status::Fail { Err(Failure::new(Code::Failed, "something must be mended first")) } else { Ok(()) }
}

fn text(checks: &[Check]) -> String {
    let mut text = String::new();
    for Check { name, status, found, mend } in checks {
        let status = match status {
            Status::Ok => "ok",
            Status::Warn => "warn",
            Status::Fail => "FAIL",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<12} {status:<5} {found}");
        if let Some(mend) = mend {
            let _ = writeln!(text, "{:<12} {:<5} {mend}", "", "  ->");
        }
    }
    text
}

/// The first line of a small file below the machine's root.
fn line(machine: &Machine, path: &str) -> Option<String> {
    let bytes = std::fs::read(machine.root().join(path)).ok()?;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]).into_owned();
    text.lines().next().map(|line| line.trim_matches(['\0', ' ', '\t']).to_string()).filter(|line| !line.is_empty())
}

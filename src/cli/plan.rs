//! `bifocal plan`.

use serde::Serialize;

use super::args::{EngineArgs, Format, Plan};
use super::failure::Failure;
use super::print;
use super::session::Session;
use crate::engine::Report;
use crate::frame::PixelFormat;
use crate::geom::Size;
use crate::io::{self, Location};
use crate::memory::{Budget, display_bytes};

/// How much more work than for the frame in one piece is worth a word.
const MUCH: f64 = 1.25;
/// As good as nothing.
const LITTLE: f64 = 1.05;
/// No board that is short of memory has more to give.
const MOST: usize = 1 << 30;

#[derive(Serialize)]
struct Printed {
    #[serde(flatten)]
    report: Report,
    /// A budget at which almost nothing is computed twice, where the one given is far from it.
    roomy_budget_bytes: Option<usize>,
}

pub(super) fn run(args: &Plan) -> Result<(), Failure> {
    let (size, format) = match (&args.input, args.size) {
        (_, Some(size)) => (size, PixelFormat::Rgb8),
        (input, None) => {
            let source = io::open(&Location::from(input.clone().unwrap_or_default().as_os_str()))?;
            (source.size(), source.format())
        }
    };
    let session = Session::open(&args.engine)?;
    let report = session.survey(size, format)?;
    let roomy = if report.mac_overhead >= MUCH { roomy(&args.engine, session.budget(), size, format)? } else { None };
    match args.format {
        Format::Text => {
            let text = report.to_string();
            let Some((head, steps)) = text.split_once("\n\n") else { return print::text(&text) };
            let work = match (report.mac_overhead >= MUCH, roomy) {
                (false, _) => String::new(),
                (true, None) => format!("\n           {:.1} times that of the frame in one piece", report.mac_overhead),
                (true, Some(roomy)) => format!(
                    "\n           {:.1} times that of the frame in one piece, for want of memory; --mem {} takes hardly more than once",
                    report.mac_overhead,
                    display_bytes(roomy)
                ),
            };
            print::text(&format!("{head}{work}\n\n{steps}"))
        }
        Format::Json => print::json(&Printed { report, roomy_budget_bytes: roomy }),
    }
}

/// The first of ever larger budgets at which the work is hardly more than once.
fn roomy(args: &EngineArgs, given: Budget, size: Size, format: PixelFormat) -> Result<Option<usize>, Failure> {
    let mut mem = given.0.next_power_of_two();
    while mem < MOST {
        mem *= 2;
        let args = EngineArgs { mem: Some(Budget(mem)), ..args.clone() };
        if Session::open(&args)?.survey(size, format)?.mac_overhead < LITTLE {
            return Ok(Some(mem));
        }
    }
    Ok(None)
}

//! `bifocal plan`.

use super::args::{Format, Plan};
use super::failure::Failure;
use super::print;
use super::session::Session;
use crate::frame::PixelFormat;
use crate::io::{self, Location};

pub(super) fn run(args: &Plan) -> Result<(), Failure> {
    let (size, format) = match (&args.input, args.size) {
        (_, Some(size)) => (size, PixelFormat::Rgb8),
        (input, None) => {
            let source = io::open(&Location::from(input.clone().unwrap_or_default().as_os_str()))?;
            (source.size(), source.format())
        }
    };
    let report = Session::open(&args.engine)?.survey(size, format)?;
    match args.format {
        Format::Text => print::text(&report.to_string()),
        Format::Json => print::json(&report),
    }
}

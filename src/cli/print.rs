//! Standard output. `println!` would panic when its reader has left.

use std::borrow::Cow;
use std::io::{ErrorKind, IsTerminal, Write, stdout};

use serde::Serialize;

use super::failure::{Code, Failure};
use super::report::shown;

/// Prints text and ends the line.
pub(super) fn text(text: &str) -> Result<(), Failure> {
    if crate::io::output_is_closed() {
        return Err(Failure::new(Code::Failed, "standard output is closed"));
    }
    let mut out = stdout().lock();
    // Names in it may come from anybody's files.
    let text = match out.is_terminal() {
        true => text.trim_end().lines().map(shown).collect::<Vec<_>>().join("\n").into(),
        false => Cow::Borrowed(text.trim_end()),
    };
    let done = out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
    done.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::closed(),
        _ => Failure::new(Code::Failed, format!("standard output: {error}")),
    })
}

/// Prints one JSON object.
pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(value).map_err(|e| Failure::new(Code::Failed, e.to_string()))?;
    text(&json)
}

/// A field of a CSV line, quoted if it must be.
pub(super) fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_string() }
}

//! How `ffprobe` is asked.

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use super::program::{Place, cannot_open, said};
use crate::io::child::Child;
use crate::io::error::{Cause, OpenError};

/// Hands on what ffprobe says, and nothing from time to time while it says nothing.
pub(super) fn probe(
    name: &str,
    words: &[&str],
    place: &Place,
    mut take: impl FnMut(&[u8]) -> Result<(), OpenError>,
) -> Result<(), OpenError> {
    let words: Vec<OsString> = words.iter().map(Into::into).chain(place.input()).collect();
    let mut child = Child::start("ffprobe", Command::new("ffprobe").args(words), "")
        .map_err(|error| cannot_open(name, "ffprobe", error))?;
    let failed = |error| OpenError::io(name, error);
    let mut some = vec![0; 1 << 16];
    while let read @ (None | Some(1..)) = child.read(&mut some, Duration::from_millis(100)).map_err(failed)? {
        take(&some[..read.unwrap_or(0)])?;
    }
    let status = child.wait_end().map_err(failed)?;
    if status.success() {
        return Ok(());
    }
    let reason = format!("no video that ffmpeg can read: {}", reason(&said(&child.said(), status), place));
    Err(match place {
        Place::Network(_) => OpenError::Unavailable { file: name.into(), cause: Cause::Failed, reason, source: None },
        _ => OpenError::Corrupt { file: name.into(), reason },
    })
}

/// What was said without the name, which stands before it already and may have a password in it.
fn reason(said: &str, place: &Place) -> String {
    let name = match place {
        Place::File(name) => name.to_string_lossy().into_owned(),
        Place::Network(url) => url.clone(),
        Place::Pipe => return said.into(),
    };
    let said = said.strip_prefix(&*name).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(said);
    said.replace(&*name, "it")
}

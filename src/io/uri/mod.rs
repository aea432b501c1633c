//! Where frames come from and go to, as URIs. Names are taken as they stand: `%` begins a number, not an escape.

mod sink;
mod source;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use super::{MAX_SIDE, Place};
pub use sink::SinkUri;
pub use source::SourceUri;

/// What is wrong with a URI; one line.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{uri}: {reason}")]
pub struct UriError {
    uri: String,
    reason: String,
}

/// A URI in its parts.
struct Parts<'a> {
    uri: &'a str,
    scheme: &'a str,
    path: &'a str,
    query: Vec<(&'a str, &'a str)>,
}

impl<'a> Parts<'a> {
    fn of(uri: &'a str) -> Self {
        let (scheme, rest) = uri.split_once("://").unwrap_or(("file", uri));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        // A command has spaces, `&` and `?` of its own: it comes last and is all the rest.
        let (query, command) = match query.find("command=").filter(|at| scheme == "csi" && is_key(query, *at)) {
            Some(at) => (&query[..at], query[at..].split_once('=')),
            None => (query, None),
        };
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Self { uri, scheme, path, query: pairs.chain(command).collect() }
    }

    fn wrong(&self, reason: impl Into<String>) -> UriError {
        UriError { uri: self.uri.to_string(), reason: reason.into() }
    }

    /// The value of `key`, which is then done with.
    fn take<T: FromStr<Err: std::fmt::Display>>(&mut self, key: &str) -> Result<Option<T>, UriError> {
        let Some(at) = self.query.iter().position(|(k, _)| *k == key) else { return Ok(None) };
        let (_, value) = self.query.remove(at);
        value.parse().map(Some).map_err(|e| self.wrong(format!("{key}={value}: {e}")))
    }

    fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Result<Option<T>, UriError> {
        let Some(value) = self.take::<String>(key)? else { return Ok(None) };
        let found = choices.iter().find(|(name, _)| *name == value);
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        found.map(|(_, v)| Some(*v)).ok_or_else(|| self.wrong(format!("{key}={value}: {} are known", names.join(", "))))
    }

    fn size(&mut self) -> Result<(Option<usize>, Option<usize>), UriError> {
        let sides = (self.take("width")?, self.take("height")?);
        match [sides.0, sides.1].iter().flatten().all(|side| (1..=MAX_SIDE).contains(side)) {
            true => Ok(sides),
            false => Err(self.wrong(format!("width and height are from 1 to {MAX_SIDE}"))),
        }
    }

    /// Everything must have been of use.
    fn end(&self) -> Result<(), UriError> {
        self.query.first().map_or(Ok(()), |(key, _)| Err(self.wrong(format!("'{key}' is not an option here"))))
    }

    /// The path of a device, or `usual` where there is none.
    fn device(&self, usual: &str) -> Result<PathBuf, UriError> {
        match self.path {
            "" => Ok(usual.into()),
            path if path.starts_with('/') => Ok(path.into()),
            path => Err(self.wrong(format!("write {}:///dev/{path}, with three slashes", self.scheme))),
        }
    }

    fn place(&self) -> Result<Place, UriError> {
        match self.path {
            "" => Err(self.wrong("the name of a file is missing")),
            path => Ok(Place::from(path.as_ref())),
        }
    }
}

/// Does a key of the query begin here?
fn is_key(query: &str, at: usize) -> bool {
    at == 0 || query.as_bytes()[at - 1] == b'&'
}

fn is_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|about| !about.is_file() && !about.is_dir())
}

/// `20ms`, `1.5s`, `2m`, `1h`; a number alone is seconds.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is not a duration; write 20ms, 1.5s, 2m or 1h");
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let unit = match &text[end..] {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let number: f64 = text[..end].parse().map_err(|_| wrong())?;
    Some(number * unit).filter(|s| *s < 1e8).map(Duration::from_secs_f64).ok_or_else(wrong)
}

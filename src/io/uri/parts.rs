//! A URI in its parts.

use std::path::PathBuf;
use std::str::FromStr;

use crate::frame::{Matrix, Range};
use crate::io::limits::MAX_SIDE;
use crate::io::location::{Location, unescaped};
use crate::io::video::VideoFormat;

/// What is wrong with a URI; one line.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{uri}: {reason}")]
pub struct UriError {
    pub(in crate::io) uri: String,
    pub(in crate::io) reason: String,
}

/// A URI in its parts.
pub(super) struct Parts<'a> {
    /// For messages.
    pub(super) uri: &'a str,
    pub(super) scheme: &'a str,
    pub(super) path: &'a str,
    query: Vec<(&'a str, &'a str)>,
}

impl<'a> Parts<'a> {
    pub(super) fn of(uri: &'a str) -> Self {
        let (scheme, rest) = uri.split_once("://").unwrap_or(("file", uri));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        // Secrets are not for messages.
        let uri = if scheme.starts_with("http") { uri.split('?').next().unwrap_or(uri) } else { uri };
        // A command has spaces, `&` and `?` of its own: it comes last and is all the rest.
        let (query, command) = match query.find("command=").filter(|at| scheme == "csi" && is_key(query, *at)) {
            Some(at) => (&query[..at], query[at..].split_once('=')),
            None => (query, None),
        };
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Self { uri, scheme, path, query: pairs.chain(command).collect() }
    }

    pub(super) fn wrong(&self, reason: impl Into<String>) -> UriError {
        UriError { uri: self.uri.to_string(), reason: reason.into() }
    }

    /// The value of `key`, which is then done with.
    pub(super) fn take<T: FromStr<Err: std::fmt::Display>>(&mut self, key: &str) -> Result<Option<T>, UriError> {
        let Some(at) = self.query.iter().position(|(k, _)| *k == key) else { return Ok(None) };
        let (_, value) = self.query.remove(at);
        value.parse().map(Some).map_err(|e| self.wrong(format!("{key}={value}: {e}")))
    }

    pub(super) fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Result<Option<T>, UriError> {
        let Some(value) = self.take::<String>(key)? else { return Ok(None) };
        let found = choices.iter().find(|(name, _)| *name == value);
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        found.map(|(_, v)| Some(*v)).ok_or_else(|| self.wrong(format!("{key}={value}: {} are known", names.join(", "))))
    }

    /// The pixel format, which must be one that `fits` here.
    pub(super) fn format(&mut self, fits: impl Fn(VideoFormat) -> bool) -> Result<Option<VideoFormat>, UriError> {
        let Some(format) = self.take::<VideoFormat>("format")? else { return Ok(None) };
        match fits(format) {
            true => Ok(Some(format)),
            false => {
                Err(self.wrong(format!("format={} is not for here; {} are", format.name(), VideoFormat::list(fits))))
            }
        }
    }

    /// What luma and chroma mean, as far as it is said.
    pub(super) fn colour(&mut self) -> Result<(Option<Matrix>, Option<Range>), UriError> {
        let matrix = self.choice("matrix", &[("bt601", Matrix::Bt601), ("bt709", Matrix::Bt709)])?;
        Ok((matrix, self.choice("range", &[("limited", Range::Limited), ("full", Range::Full)])?))
    }

    /// Is this the value of `key`? Then it is done with.
    pub(super) fn is(&mut self, key: &str, value: &str) -> bool {
        let at = self.query.iter().position(|(k, v)| *k == key && *v == value);
        at.map(|at| self.query.remove(at)).is_some()
    }

    pub(super) fn size(&mut self) -> Result<(Option<usize>, Option<usize>), UriError> {
        let sides = (self.take("width")?, self.take("height")?);
        match [sides.0, sides.1].iter().flatten().all(|side| (1..=MAX_SIDE).contains(side)) {
            true => Ok(sides),
            false => Err(self.wrong(format!("width and height are from 1 to {MAX_SIDE}"))),
        }
    }

    /// Everything must have been of use.
    pub(super) fn end(&self) -> Result<(), UriError> {
        self.query.first().map_or(Ok(()), |(key, _)| Err(self.wrong(format!("'{key}' is not an option here"))))
    }

    /// The path of a device, or `usual` where there is none.
    pub(super) fn device(&self, usual: &str) -> Result<PathBuf, UriError> {
        match self.path {
            "" => Ok(usual.into()),
            path if path.starts_with('/') => Ok(path.into()),
            path => Err(self.wrong(format!("write {}:///dev/{path}, with three slashes", self.scheme))),
        }
    }

    pub(super) fn location(&self) -> Result<Location, UriError> {
        match self.path {
            "" => Err(self.wrong("the name of a file is missing")),
            path => Ok(Location::from(unescaped(path).as_ref())),
        }
    }
}

/// Does a key of the query begin here?
fn is_key(query: &str, at: usize) -> bool {
    at == 0 || query.as_bytes()[at - 1] == b'&'
}

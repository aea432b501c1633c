//! `bifocal.toml`: what a board is to do when nobody is there to type.

use std::fmt::Display;

use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::parse::{FileError, line_of, parse, text};
use crate::memory::Budget;

/// A value, and the line where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As it was written.
    pub text: String,
    /// Line, from 1.
    pub line: usize,
}

/// Contents of a `bifocal.toml`. What it does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Name of the file, for messages.
    pub file: String,
    /// Where frames come from.
    pub source: Option<Entry>,
    /// Where frames go to.
    pub sink: Option<Entry>,
    /// Model by name or path.
    pub model: Option<Entry>,
    /// Name of the board.
    pub board: Option<Entry>,
    /// Kernels.
    pub level: Option<Entry>,
    /// Branches of the network.
    pub branches: Option<Entry>,
    /// Windows that count as still.
    pub still: Option<Entry>,
    /// Time that a frame may take.
    pub deadline: Option<Entry>,
    /// Which frame goes when the queue is full.
    pub drop: Option<Entry>,
    /// What is compared.
    pub compare: Option<Entry>,
    /// What is written on the picture.
    pub info_text: Option<Entry>,
    /// How often statistics are printed.
    pub stats: Option<Entry>,
    /// Memory budget.
    pub memory: Option<Budget>,
    /// Threads.
    pub threads: Option<u8>,
    /// Frames that may wait.
    pub queue: Option<u8>,
}

/// As the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Keys {
    source: Option<Spanned<String>>,
    sink: Option<Spanned<String>>,
    model: Option<Spanned<String>>,
    board: Option<Spanned<String>>,
    level: Option<Spanned<String>>,
    branches: Option<Spanned<String>>,
    still: Option<Spanned<String>>,
    deadline: Option<Spanned<String>>,
    drop: Option<Spanned<String>>,
    compare: Option<Spanned<String>>,
    info_text: Option<Spanned<String>>,
    stats: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "text")]
    memory: Option<Budget>,
    #[serde(default, deserialize_with = "sixteen")]
    threads: Option<u8>,
    #[serde(default, deserialize_with = "sixteen")]
    queue: Option<u8>,
}

impl Config {
    /// Reads `contents` of `file`.
    ///
    /// # Errors
    ///
    /// With the line, when it is no TOML, a key is unknown, or a value makes no sense. What the entries say is
    /// for their users to judge; [`Config::wrong`] makes the error.
    pub fn parse(file: &str, contents: &str) -> Result<Self, FileError> {
        // Editors of other systems put a mark in front of UTF-8.
        let contents = contents.strip_prefix('\u{feff}').unwrap_or(contents);
        let keys: Keys = parse(file, contents)?;
        let entry = |value: Option<Spanned<String>>| {
            value.map(|value| Entry { line: line_of(contents, value.span().start), text: value.into_inner() })
        };
        Ok(Self {
            file: file.to_string(),
            source: entry(keys.source),
            sink: entry(keys.sink),
            model: entry(keys.model),
            board: entry(keys.board),
            level: entry(keys.level),
            branches: entry(keys.branches),
            still: entry(keys.still),
            deadline: entry(keys.deadline),
            drop: entry(keys.drop),
            compare: entry(keys.compare),
            info_text: entry(keys.info_text),
            stats: entry(keys.stats),
            memory: keys.memory,
            threads: keys.threads,
            queue: keys.queue,
        })
    }

    /// The error that `entry` makes no sense because of `reason`.
    pub fn wrong(&self, entry: &Entry, reason: impl Display) -> FileError {
        FileError { file: self.file.clone(), line: entry.line, reason: reason.to_string() }
    }

    /// The value of `entry`, if there is one.
    ///
    /// # Errors
    ///
    /// With its line, when `read` refuses it.
    pub fn value<T, E: Display>(
        &self,
        entry: &Option<Entry>,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, FileError> {
        let value = entry.as_ref().map(|entry| read(&entry.text).map_err(|error| self.wrong(entry, error)));
        value.transpose()
    }
}

fn sixteen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    match i64::deserialize(deserializer)? {
        n @ 1..=16 => Ok(Some(n as u8)),
        n => Err(serde::de::Error::custom(format!("{n} is not a number from 1 to 16"))),
    }
}

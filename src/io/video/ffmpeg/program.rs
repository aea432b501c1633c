//! The programs `ffmpeg` and `ffprobe`: how they are started, and what is said when they cannot be.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus};

use crate::io::error::{Cause, OpenError};

/// What a local file may make ffmpeg open: other files, where one is a playlist, and nothing of a network.
const LOCAL: &str = "file";
/// What a network stream may make it open: nothing of this machine.
const NETWORK: &str = "rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https,httpproxy,crypto";

/// Something that ffmpeg reads or writes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    /// A file: its name is never an option, and never a protocol.
    File(OsString),
    /// A URL of a kind that was checked.
    Network(String),
    /// Standard input, which is NUT.
    Pipe,
}

impl Place {
    pub(super) fn file(path: &Path) -> Self {
        Self::File(named(path))
    }

    /// The words for an input.
    pub(super) fn input(&self) -> Vec<OsString> {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let (mut all, name) = match self {
            Self::File(name) => (words(&["-protocol_whitelist", LOCAL]), name.clone()),
            Self::Network(url) if url.starts_with("rtsp") => {
                (words(&["-protocol_whitelist", NETWORK, "-rtsp_transport", "tcp"]), url.into())
            }
            Self::Network(url) => (words(&["-protocol_whitelist", NETWORK]), url.into()),
            Self::Pipe => (words(&["-protocol_whitelist", "pipe", "-f", "nut"]), "pipe:0".into()),
        };
        all.extend(["-i".into(), name]);
        all
    }
}

/// How ffmpeg is told of a file.
pub(super) fn named(path: &Path) -> OsString {
    let mut name = OsString::from("file:");
    name.push(path);
    name
}

/// `ffmpeg`, which says errors and nothing else.
pub(super) fn ffmpeg<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> Command {
    let mut command = Command::new("ffmpeg");
    // What the encoders below say by themselves, in the words that each has for it.
    command.args(["-hide_banner", "-v", "error"]).args(words).env("SVT_LOG", "1").env_remove("AV_LOG_FORCE_COLOR");
    command
}

/// Why a program cannot be started.
pub(super) fn not_started(program: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!(
            "the program '{program}' is missing, which reads and writes this; install the package 'ffmpeg' ('sudo apt install \
             ffmpeg' on Debian, Ubuntu and Raspberry Pi OS)"
        ),
        _ => format!("cannot run {program}: {error}"),
    }
}

/// The same, of something that is opened.
pub(super) fn cannot_open(file: &str, program: &str, error: io::Error) -> OpenError {
    let (file, reason) = (file.to_string(), not_started(program, &error));
    OpenError::Unavailable { file, cause: Cause::of(&error), reason, source: Some(error) }
}

/// What a program has said that has ended, without the names that it puts in front of its lines, and short.
pub(super) fn said(line: &str, status: ExitStatus) -> String {
    let mut line = line.trim();
    while let Some((_, rest)) = line.strip_prefix('[').and_then(|line| line.split_once("] ")) {
        line = rest;
    }
    if line.is_empty() { format!("it has ended ({status}) and does not say why") } else { line.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_never_options_or_protocols() {
        for name in ["-y", "http://x/y", "concat:a|b", "pipe:0", "a b"] {
            let words = Place::file(Path::new(name)).input();
            assert_eq!(words[words.len() - 1], *format!("file:{name}"));
            assert_eq!(words[1], "file");
        }
        let words = Place::Network("rtsp://x".into()).input();
        assert!(!words[1].to_string_lossy().split(',').any(|protocol| protocol == "file" || protocol == "pipe"));
    }

    #[test]
    fn prefixes_are_left_out() {
        assert_eq!(said("[mov,mp4 @ 0x5] [x] moov atom not found ", ExitStatus::default()), "moov atom not found");
        assert!(said("", ExitStatus::default()).contains("does not say why"));
    }
}

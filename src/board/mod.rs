//! Boards: what each is made of, which one this is, and what its sensors say.
//!
//! A board is a file, `boards/NAME.toml`. Its existence creates the board: the build reads the folder, checks every
//! file, and puts them into the program, where they are checked again as they are read.

mod config;
mod cpu;
mod machine;
mod parse;
mod profile;
mod sensors;
mod throttle;

pub use config::{Config, Entry};
pub use cpu::Cpu;
pub use machine::{Known, Machine, UnknownBoard, recognise};
pub use parse::FileError;
pub use profile::{Board, Defaults, Processor, SensorPlaces};
pub use sensors::{Reading, Sensors};
pub use throttle::{Causes, Throttling};

/// Name and contents of every file in `boards/`.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/boards.rs"));

/// The board that any 64-bit ARM processor is without a better one.
const GENERIC: &str = "generic-aarch64";

/// All boards, by name.
pub fn all() -> impl Iterator<Item = Board> {
    FILES.iter().filter_map(|(name, contents)| Board::parse(name, contents).ok())
}

/// Names of all boards.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_a_board() {
        assert_eq!(all().count(), FILES.len());
        assert!(names().any(|name| name == GENERIC));
    }
}

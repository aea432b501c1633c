//! Every level of this processor makes the bytes that `scalar` makes.
//!
//! One body for each kernel runs at all levels, on slices of exactly the size that the contract asks for. What a
//! kernel must not touch is filled with a pattern and compared too. `BIFOCAL_REQUIRE_LEVELS=NAME,NAME` fails where one of these
//! levels is not run.

mod attention;
mod bounds;
#[path = "../support/cases.rs"]
mod cases;
mod colour;
mod conv;
mod given;
mod rows;

use std::fmt::Debug;

use bifocal::internals::kernels::Level;
use bifocal::internals::kernels::isa::Isa;

/// Bytes around the output that a kernel must leave alone.
const MARGIN: usize = 40;

/// What `kernel` writes into a slice of `bytes`, with the margins around it.
fn written(bytes: usize, kernel: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut all: Vec<u8> = (0..bytes + 2 * MARGIN).map(|i| (i * 37 + 11) as u8).collect();
    kernel(&mut all[MARGIN..MARGIN + bytes]);
    all
}

/// Runs `kernel` at every level and compares what it writes with what scalar writes.
fn compare<T: Debug>(case: &T, bytes: usize, mut kernel: impl FnMut(Level, &mut [u8])) {
    let truth = written(bytes, |out| kernel(Level::SCALAR, out));
    for level in Level::all() {
        let made = written(bytes, |out| kernel(level, out));
        if let Some(report) = difference(&truth, &made) {
            panic!("level {} {report}, in {case:?}", level.name());
        }
    }
}

/// How two outputs differ: how often, where first, and where most.
fn difference(truth: &[u8], made: &[u8]) -> Option<String> {
    let wrong: Vec<usize> = (0..truth.len()).filter(|&i| truth[i] != made[i]).collect();
    let worst = *wrong.iter().max_by_key(|&&i| truth[i].abs_diff(made[i]))?;
    let at = |i: usize| format!("byte {} is {} instead of {}", i as isize - MARGIN as isize, made[i], truth[i]);
    Some(format!("has {} of {} bytes wrong; first: {}; worst: {}", wrong.len(), truth.len(), at(wrong[0]), at(worst)))
}

/// All levels that `/proc/cpuinfo` promises, and those that `BIFOCAL_REQUIRE_LEVELS` names, have been compared here.
#[test]
fn the_levels_of_this_processor_are_run() {
    let run: Vec<&str> = Level::all().iter().map(|level| level.name()).collect();
    assert!(run.contains(&"scalar"));
    if let Some(required) = std::env::var("BIFOCAL_REQUIRE_LEVELS").ok().filter(|names| !names.is_empty()) {
        for name in required.split(',') {
            assert!(run.contains(&name), "BIFOCAL_REQUIRE_LEVELS asks for '{name}'; run are {run:?}");
        }
    }
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let features = info.lines().filter_map(|line| line.split_once(':'));
    let features = features.filter(|(key, _)| matches!(key.trim(), "flags" | "Features")).map(|(_, value)| value);
    // An emulator shows the file of the machine that it runs on.
    let own = if cfg!(target_arch = "aarch64") { "asimd" } else { "sse2" };
    let Some(features) = { features }.next().filter(|value| value.split_whitespace().any(|name| name == own)) else {
        assert!(run.len() > 1 || !cfg!(target_arch = "aarch64"), "every such processor has NEON");
        return println!("skipped: /proc/cpuinfo does not describe this processor; run are {run:?}");
    };
    let promised: Vec<&str> = Isa::all_of(features).map(|isa| isa.name).collect();
    assert_eq!(run, promised, "levels that are run, and those that /proc/cpuinfo promises");
}

/// The comparison itself: it sees one wrong byte, inside and in the margins.
#[test]
fn comparison_sees_one_byte() {
    let truth = written(10, |out| out.fill(3));
    assert_eq!(difference(&truth, &truth), None);
    for at in [0, MARGIN, MARGIN + 9, MARGIN + 10] {
        let mut made = truth.clone();
        made[at] ^= 1;
        assert!(difference(&truth, &made).is_some_and(|report| report.contains("has 1 of")));
    }
}

//! Damaged models of every family (`tests/models`): an error on one line or a picture, never a panic, and no more memory than
//! the file and the budget explain.

#[path = "support/counting.rs"]
mod counting;
#[path = "support/scope.rs"]
mod scope;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bifocal::{Budget, Engine, Level, Model, Options, PixelFormat, Size};
use counting::{held, take_peak};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Reading takes at most so many bytes for one of the file, and so many beside: what probes of a picture of 64 x 64 take.
const READING: (usize, usize) = (8, 192 << 20);
const BUDGET: Budget = Budget::mib(16);

/// Loads, plans and runs; says how far it came.
fn attempt(bytes: &[u8]) -> &'static str {
    let one_line = |error: String| assert!(!error.contains('\n') && error.len() < 2000, "one clear line: {error}");
    let before = held();
    take_peak();
    let read = Model::parse("damaged", bytes);
    let took = take_peak() - before;
    assert!(took <= READING.0 * bytes.len() + READING.1, "reading {} bytes took {took}", bytes.len());
    let model = match read {
        Ok(model) => model,
        Err(error) => {
            one_line(error.to_string());
            return "refused";
        }
    };
    let options = Options::new(Size::new(9, 5), PixelFormat::Rgb8).with_level(Level::SCALAR).with_budget(BUDGET);
    let mut engine = match Engine::prepare(&model, &options) {
        Ok(engine) => engine,
        Err(error) => {
            one_line(error.to_string());
            return "not planned";
        }
    };
    for row in [90; 9 * 5 * 3].chunks(9 * 3) {
        if let Err(error) = engine.push(row, |_| Ok::<(), std::convert::Infallible>(())) {
            one_line(error.to_string());
            return "failed";
        }
    }
    "ran"
}

#[test]
fn damaged_families() {
    std::panic::set_hook(Box::new(|info| {
        if !bifocal::internals::model::panic_is_handled() {
            eprintln!("{info}");
        }
    }));
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/models");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e == "onnx")).collect();
    paths.sort();
    let files: Vec<(String, Vec<u8>)> = paths
        .iter()
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap()))
        .collect();
    let rounds = scope::size(150, 20_000);
    let config = Config { cases: rounds, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    // Bits that flip, anywhere or near the structure, and a file cut short once in ten.
    let place = prop_oneof![0.0..1.0f64, 0.0..0.2f64, 0.9..1.0f64];
    let damage =
        (0..files.len(), prop::collection::vec((place, 0..8u8), 1..=4), prop::option::weighted(0.1, 0.0..1.0f64));
    let (outcomes, slowest) = (RefCell::new(BTreeMap::new()), RefCell::new((Duration::ZERO, String::new())));
    let result = runner.run(&damage, |(file, flips, cut)| {
        let (name, mut bytes) = files[file].clone();
        let at = |part: f64, length: usize| ((part * length as f64) as usize).min(length - 1);
        let length = bytes.len();
        flips.iter().for_each(|(part, bit)| bytes[at(*part, length)] ^= 1 << bit);
        bytes.truncate(cut.map_or(length, |part| at(part, length)));
        let begin = Instant::now();
        *outcomes.borrow_mut().entry(attempt(&bytes)).or_insert(0) += 1;
        let took = begin.elapsed();
        if took > slowest.borrow().0 {
            *slowest.borrow_mut() = (took, name);
        }
        Ok(())
    });
    let outcomes = outcomes.into_inner();
    let (took, name) = slowest.into_inner();
    println!("{rounds} files: {outcomes:?}; the slowest, {name}, took {took:?}");
    result.unwrap_or_else(|error| panic!("{error}"));
    let common = |outcome: &str| outcomes.get(outcome).is_some_and(|count| *count > rounds / 20);
    assert!(common("refused") && common("ran"), "{outcomes:?}");
}

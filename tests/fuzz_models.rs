//! Damaged models: an error or a picture, never a panic, never a hang.

#[path = "support/cases.rs"]
mod cases;
mod support;

use std::cell::RefCell;
use std::collections::BTreeMap;

use bifocal::internals::plan::Plan;
use bifocal::{Branches, Engine, Level, Model, Options, PixelFormat, PlanError, Size};
use cases::each;
use proptest::prelude::*;
use support::{picture, run, scope};

const MODEL: &[u8] = include_bytes!("../models/ctnet-tiny-x2.onnx");

/// Loads, plans and runs; says how far it came.
fn attempt(bytes: &[u8]) -> &'static str {
    let model = match Model::parse("damaged", bytes) {
        Ok(model) => model,
        Err(error) => {
            let line = error.to_string();
            assert!(!line.contains('\n') && line.len() < 2000, "one clear line: {line}");
            return "refused";
        }
    };
    let options = Options::new(Size::new(5, 3), PixelFormat::Gray8).with_level(Level::SCALAR);
    let rows = picture("towers.png", options.size, options.format);
    match Engine::prepare(&model, &options) {
        Ok(mut engine) => {
            run(&mut engine, &options, &rows);
            "ran"
        }
        Err(error) => {
            assert!(!error.to_string().contains('\n'));
            "not planned"
        }
    }
}

/// Damage to a file: bits that flip. Half of them hit the structure, which is dense at the front.
fn flips() -> impl Strategy<Value = Vec<(usize, u8)>> {
    let anywhere = prop_oneof![0..MODEL.len(), 0..MODEL.len() / 3];
    prop::collection::vec((anywhere, 0..8u8), 1..=4)
}

fn emulated() -> bool {
    std::env::var_os("BIFOCAL_EMULATED").is_some()
}

#[test]
fn flipped_bits() {
    std::panic::set_hook(Box::new(|info| {
        if !bifocal::internals::model::panic_is_handled() {
            eprintln!("{info}");
        }
    }));
    let rounds = if emulated() { 5 } else { scope::size(120, 800) };
    let outcomes = RefCell::new(BTreeMap::new());
    each(rounds, flips(), |flips| {
        let mut bytes = MODEL.to_vec();
        flips.iter().for_each(|(at, bit)| bytes[*at] ^= 1 << bit);
        *outcomes.borrow_mut().entry(attempt(&bytes)).or_insert(0) += 1;
    });
    let outcomes = outcomes.into_inner();
    let common = |outcome: &str| outcomes.get(outcome).is_some_and(|count| *count > rounds / 20);
    assert!(emulated() || (common("refused") && common("ran")), "{outcomes:?}");
}

#[test]
fn cut_short() {
    each(40, 0..MODEL.len(), |length| {
        assert_ne!(attempt(&MODEL[..length]), "ran", "{length} of {} bytes", MODEL.len());
    });
    assert_eq!(attempt(&[]), "refused");
    assert_eq!(attempt(b"not a model at all"), "refused");
}

/// The model with the `nth` operator `from` replaced by `to`, a name of the same length.
fn with_operator(from: &str, to: &str, nth: usize) -> Vec<u8> {
    // op_type is field 4 of a node: tag, length, name.
    let tagged = |name: &str| [&[0x22, name.len() as u8], name.as_bytes()].concat();
    let (from, to) = (tagged(from), tagged(to));
    let at = MODEL.windows(from.len()).enumerate().filter(|(_, w)| *w == from).nth(nth).expect("the operator").0;
    let mut bytes = MODEL.to_vec();
    bytes[at..at + to.len()].copy_from_slice(&to);
    bytes
}

#[test]
fn unsupported_operators_are_named() {
    for (from, to, nth) in [("Relu", "Sqrt", 0), ("Relu", "Tanh", 3), ("Add", "Pow", 0), ("Mul", "Div", 1)] {
        // The plan says which node it does not take; the network runs in floats.
        let model = Model::parse("changed", &with_operator(from, to, nth)).expect(to);
        let why = model.why_float();
        assert!(why.starts_with("node '") && why.contains(&format!("({to})")), "{to}: {why}");
    }
    // An operator that exists nowhere.
    let error = Model::parse("changed", &with_operator("Conv", "Blur", 2)).expect_err("Blur").to_string();
    assert!(error.contains("Blur") && error.contains("conv"), "{error}");
}

/// A scale that is far from what training makes gives the same bytes at every level, or, where numbers would leave 32
/// bits, an error that names the node.
#[test]
fn absurd_scales() {
    let model = Model::parse("whole", MODEL).unwrap();
    let (mut refused, mut same) = (0, 0);
    let every = if emulated() { 9 } else { 1 };
    for tensor in model.graph().unwrap().tensors.iter().step_by(every) {
        for factor in [1e-30_f32, 1e-3, 1e3, 1e9] {
            let mut bytes = MODEL.to_vec();
            let (from, to) = (tensor.scale.to_le_bytes(), (tensor.scale * factor).to_le_bytes());
            let places: Vec<usize> = (0..bytes.len() - 4).filter(|&at| bytes[at..at + 4] == from).collect();
            assert!(!places.is_empty(), "{}: a scale that is not in the file", tensor.name);
            places.iter().for_each(|&at| bytes[at..at + 4].copy_from_slice(&to));
            let Ok(model) = Model::parse("changed", &bytes) else { continue };
            let base = Options::new(Size::new(9, 11), PixelFormat::Gray8);
            let rows = picture("towers.png", base.size, base.format);
            let mut made = Level::all().into_iter().map(|level| {
                let options = base.clone().with_level(level);
                // The engine would run in floats what the plan refuses.
                Plan::new(&model, Branches::Both, level)?;
                Ok::<_, PlanError>(run(&mut Engine::prepare(&model, &options).unwrap(), &options, &rows))
            });
            match made.next().unwrap() {
                Ok(truth) => {
                    assert!((1e-5..1e5).contains(&factor), "{} times {factor:e} is planned", tensor.name);
                    assert!(made.all(|other| other.unwrap() == truth), "{} times {factor:e}", tensor.name);
                    same += 1;
                }
                Err(error) => {
                    let error = error.to_string();
                    assert!(
                        error.starts_with("model ") && error.contains(": node '") && !error.contains('\n'),
                        "{error}"
                    );
                    assert!(made.all(|other| other.is_err()));
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 60 / every && same > 60 / every, "{refused} refused, {same} the same");
}

//! Damaged models: an error or a picture, never a panic, never a hang.

mod support;

use bifocal::engine::{Engine, Options};
use bifocal::frame::PixelFormat;
use bifocal::geom::Size;
use bifocal::kernels::Level;
use bifocal::model::Model;
use support::{picture, run, scope};

const MODEL: &[u8] = include_bytes!("../models/ctnet-tiny-x2.onnx");

/// A small generator: xorshift64*.
struct Rng(u64);

impl Rng {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % below
    }
}

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
    let options = Options { level: Level::SCALAR, ..Options::new(Size::new(5, 3), PixelFormat::Gray8) };
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

#[test]
fn flipped_bits() {
    std::panic::set_hook(Box::new(|info| {
        if !bifocal::model::panic_is_handled() {
            eprintln!("{info}");
        }
    }));
    let rounds = if std::env::var_os("BIFOCAL_EMULATED").is_some() { 5 } else { scope::size(120, 800) };
    let mut rng = Rng(7);
    let mut outcomes = std::collections::BTreeMap::new();
    for round in 0..rounds {
        let mut bytes = MODEL.to_vec();
        for _ in 0..1 + rng.next(4) {
            // Half of the flips hit the structure, which is dense at the front.
            let at = if rng.next(2) == 0 { rng.next(bytes.len()) } else { rng.next(bytes.len() / 3) };
            bytes[at] ^= 1 << rng.next(8);
        }
        let outcome = std::panic::catch_unwind(|| attempt(&bytes)).unwrap_or_else(|_| panic!("round {round} panicked"));
        *outcomes.entry(outcome).or_insert(0) += 1;
    }
    assert!(rounds < 100 || (outcomes["refused"] > rounds / 20 && outcomes["ran"] > rounds / 20), "{outcomes:?}");
}

#[test]
fn cut_short() {
    let mut rng = Rng(3);
    for _ in 0..40 {
        let length = rng.next(MODEL.len());
        assert_ne!(attempt(&MODEL[..length]), "ran", "{length} of {} bytes", MODEL.len());
    }
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
    for (from, to, nth) in [("Relu", "Sqrt", 0), ("Relu", "Tanh", 3), ("Add", "Sub", 0), ("Mul", "Div", 1)] {
        let error = Model::parse("changed", &with_operator(from, to, nth)).expect_err(to).to_string();
        assert!(error.starts_with("model changed: node '") && error.contains(&format!("({to})")), "{to}: {error}");
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
    let every = if std::env::var_os("BIFOCAL_EMULATED").is_some() { 9 } else { 1 };
    for tensor in model.graph().tensors.iter().step_by(every) {
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
                let options = Options { level, ..base.clone() };
                Engine::prepare(&model, &options).map(|mut engine| run(&mut engine, &options, &rows))
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

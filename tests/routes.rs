//! Windows of different classes: the bytes are those of a frame computed whole, with zeros where the map says so, for every
//! level, tile, thread count and budget.

#[path = "support/dice.rs"]
mod dice;
mod support;

use std::sync::Arc;

use bifocal::internals::plan::Class;
use bifocal::{Branches, Budget, Engine, Level, Model, Options, PixelFormat, Size, Tile, survey};
use dice::Dice;
use support::{picture, upscale};

const WINDOW: usize = 16;

fn options(width: usize, height: usize, format: PixelFormat) -> Options {
    Options::new(Size::new(width, height), format).with_budget(Budget::mib(256))
}

/// Classes of all windows; with `spread` most of one class, else all alike.
fn map(size: Size, seed: u64) -> Arc<[Class]> {
    let mut dice = Dice(seed + 1);
    let odds = [[1, 1, 1], [1, 4, 20], [20, 4, 1], [1, 0, 12], [0, 1, 12], [1, 12, 0]][seed as usize % 6];
    let windows = size.width.div_ceil(WINDOW) * size.height.div_ceil(WINDOW);
    let class = |n: usize| match n {
        n if n < odds[0] => Class::Full,
        n if n < odds[0] + odds[1] => Class::Structure,
        _ => Class::Plain,
    };
    (0..windows).map(|_| class(dice.roll(odds.iter().sum()))).collect()
}

fn uniform(size: Size, class: Class) -> Arc<[Class]> {
    vec![class; size.width.div_ceil(WINDOW) * size.height.div_ceil(WINDOW)].into()
}

const SIZES: [(usize, usize); 7] = [(1, 1), (15, 33), (17, 31), (67, 49), (130, 16), (161, 143), (641, 359)];

#[test]
fn what_is_left_out_cannot_be_seen() {
    for name in ["ctnet-tiny-x2", "ctnet-tiny-x4", "ctnet-base-x2"] {
        let model = Model::named(name).unwrap().unwrap();
        for (number, &(width, height)) in SIZES.iter().enumerate() {
            if name.contains("base") && width > 200 {
                continue;
            }
            for seed in 0..6 {
                let base = options(width, height, PixelFormat::Gray8);
                let rows = picture("towers.png", base.size, base.format);
                let map = map(base.size, seed + 6 * number as u64);
                let expected = upscale(&model, &base.clone().with_classes(map.clone(), true), &rows);
                let given = upscale(&model, &base.with_classes(map, false), &rows);
                let differs = given.iter().zip(&expected).position(|(a, b)| a != b);
                assert_eq!(differs, None, "{name}, {width}x{height}, map {seed}");
            }
        }
    }
}

#[test]
fn uniform_maps_are_the_branches() {
    let model = Model::embedded().unwrap();
    for (width, height) in SIZES {
        let base = options(width, height, PixelFormat::Gray8);
        let rows = picture("balcony.png", base.size, base.format);
        for (class, branches) in [(Class::Full, Branches::Both), (Class::Structure, Branches::Transformer)] {
            let expected = upscale(&model, &base.clone().with_branches(branches), &rows);
            let given = upscale(&model, &base.clone().with_classes(uniform(base.size, class), false), &rows);
            assert!(given == expected, "{width}x{height}, {class:?}");
        }
    }
}

#[test]
fn levels_tiles_threads_and_budgets_cannot_be_seen() {
    let model = Model::embedded().unwrap();
    for (seed, (width, height)) in [(67, 49), (161, 143), (641, 359)].into_iter().enumerate() {
        for format in [PixelFormat::Gray8, PixelFormat::Rgba8] {
            let size = Size::new(width, height);
            let base = options(width, height, format).with_classes(map(size, seed as u64), false);
            let rows = picture("towers.png", size, format);
            let expected = upscale(&model, &base, &rows);
            let mut variants: Vec<Options> = Level::all().into_iter().map(|l| base.clone().with_level(l)).collect();
            for side in [16, 33, 64, 200] {
                variants.push(base.clone().with_tile(Tile::Fixed(side)));
            }
            for threads in 2..=4 {
                variants.push(base.clone().with_threads(threads));
                variants.push(base.clone().with_threads(threads).with_tile(Tile::Fixed(64)));
            }
            let least = survey(&model, &base).unwrap().min_budget_bytes.unwrap();
            variants.extend([0, 25, 60].map(|more| base.clone().with_budget(Budget(least + least * more / 100))));
            for variant in variants {
                let given = upscale(&model, &variant, &rows);
                assert!(
                    given == expected,
                    "{size} {format:?}: level {}, tile {:?}, {} threads, {}",
                    variant.level.name(),
                    variant.tile,
                    variant.threads,
                    variant.budget.0
                );
            }
        }
    }
}

/// The share of the multiply-adds that is reported.
fn share(model: &Model, options: &Options, rows: &[u8]) -> f64 {
    let mut engine = Engine::prepare(model, options).unwrap();
    for row in rows.chunks_exact(options.size.width) {
        engine.push(row, |_| Ok::<_, std::convert::Infallible>(())).unwrap();
    }
    engine.macs_share()
}

#[test]
fn work_is_counted() {
    let model = Model::embedded().unwrap();
    for (width, height) in [(67, 49), (320, 160)] {
        let base = options(width, height, PixelFormat::Gray8);
        let rows = picture("towers.png", base.size, base.format);
        let of = |class| share(&model, &base.clone().with_classes(uniform(base.size, class), false), &rows);
        assert_eq!(of(Class::Full), 1.0, "{width}x{height}");
        assert_eq!(of(Class::Plain), 0.0, "{width}x{height}");
        let report = |branches| survey(&model, &base.clone().with_branches(branches)).unwrap().macs_per_frame as f64;
        assert_eq!(of(Class::Structure), report(Branches::Transformer) / report(Branches::Both), "{width}x{height}");
    }
}

#[test]
fn effort_buys_work() {
    let model = Model::named("ctnet-base-x2").unwrap().unwrap();
    let base = options(208, 112, PixelFormat::Gray8);
    let rows = picture("towers.png", base.size, base.format);
    let auto = |effort| base.clone().with_branches(Branches::Auto).with_effort(effort);
    let shares: Vec<f64> = (0..=100).step_by(10).map(|effort| share(&model, &auto(effort), &rows)).collect();
    assert!(shares.is_sorted() && shares[0] == 0.0 && shares[10] == 1.0, "{shares:?}");
    assert!(shares[1..10].iter().any(|share| (0.1..0.9).contains(share)), "{shares:?}");
    assert!(upscale(&model, &auto(100), &rows) == upscale(&model, &base, &rows), "100 is both");
    let expected = upscale(&model, &auto(50), &rows);
    for variant in [auto(50).with_threads(3), auto(50).with_tile(Tile::Fixed(64)), auto(50).with_level(Level::SCALAR)] {
        assert!(upscale(&model, &variant, &rows) == expected, "{:?}", variant.tile);
    }
}

#[test]
fn a_file_without_thresholds_says_so() {
    for name in ["ctnet-nano-x2", "ctnet-tiny-x3"] {
        let model = Model::named(name).unwrap().unwrap();
        let options = options(32, 32, PixelFormat::Gray8).with_branches(Branches::Auto);
        let error =
            Engine::prepare(&model, &options).expect_err("it has not learnt with windows that get less").to_string();
        assert!(error.contains(name) && error.contains("thresholds"), "{error}");
    }
}

#[test]
fn effort_is_for_auto() {
    for (arguments, said) in [
        (&["--effort", "40"][..], "--effort is for --branches auto"),
        (&["--branches", "cnn", "--effort", "40"], "--effort is for --branches auto"),
        (&["--branches", "auto", "--effort", "101", "-m", "ctnet-base-x2"], "101"),
        (&["--branches", "auto", "-m", "ctnet-nano-x2"], "no thresholds"),
    ] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bifocal"));
        let output = command.args(["plan", "--size", "64x64"]).args(arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && error.contains(said), "{arguments:?}: {error}");
    }
}

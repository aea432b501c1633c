//! One picture, one hash: for every level, tile, thread count, budget and format.
//!
//! `BIFOCAL_BLESS=1` writes the hashes anew after the model or the arithmetic has changed on purpose.
//! `BIFOCAL_REQUIRE_LEVELS=NAME,NAME` fails where one of these levels is not run.
//! `BIFOCAL_EMULATED=1` leaves out the large frames, which an emulated processor takes minutes for.

mod support;

use bifocal::{Branches, Budget, Engine, Level, Model, Options, PixelFormat, PrepareError, Size, Tile, survey};
use sha2::{Digest, Sha256};
use support::{picture, run, upscale};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden.txt");
const SMALL: [(usize, usize); 4] = [(1, 1), (17, 31), (48, 16), (67, 49)];
const LARGE: [(usize, usize); 2] = [(640, 360), (641, 359)];

fn emulated() -> bool {
    std::env::var_os("BIFOCAL_EMULATED").is_some()
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn options(size: Size, format: PixelFormat) -> Options {
    Options::new(size, format).with_budget(Budget::mib(256))
}

/// Frames of the golden file, with the name of each.
fn frames() -> Vec<(String, Options, Vec<u8>)> {
    let large = LARGE.iter().filter(|_| !emulated());
    let mut frames = Vec::new();
    for &(width, height) in SMALL.iter().chain(large) {
        let size = Size::new(width, height);
        for branches in [Branches::Both, Branches::Cnn, Branches::Transformer] {
            let rows = picture("towers.png", size, PixelFormat::Gray8);
            let name = format!("{size} grey {}", branches.name());
            frames.push((name, options(size, PixelFormat::Gray8).with_branches(branches), rows));
        }
    }
    for format in [PixelFormat::GrayAlpha8, PixelFormat::Rgb8, PixelFormat::Rgba8] {
        let size = Size::new(67, 49);
        frames.push((format!("{size} {format:?}"), options(size, format), picture("balcony.png", size, format)));
    }
    frames
}

#[test]
fn every_level_gives_the_golden_bytes() {
    let model = Model::embedded().unwrap();
    let run: Vec<_> = Level::all().iter().map(|level| level.name()).collect();
    for name in
        std::env::var("BIFOCAL_REQUIRE_LEVELS").iter().flat_map(|names| names.split(',')).filter(|n| !n.is_empty())
    {
        assert!(run.contains(&name), "BIFOCAL_REQUIRE_LEVELS asks for '{name}'; run are {run:?}");
    }
    let mut lines = String::new();
    let mut cases: Vec<_> = frames().into_iter().map(|(name, options, rows)| (&model, name, options, rows)).collect();
    let others: Vec<_> = Model::EMBEDDED[1..].iter().map(|name| Model::named(name).unwrap().unwrap()).collect();
    for model in &others {
        let options = options(Size::new(67, 49), PixelFormat::Gray8);
        let rows = picture("towers.png", options.size, options.format);
        cases.push((model, format!("67x49 grey {}", model.metadata().name), options, rows));
    }
    for (model, name, options, rows) in cases {
        let mut hashes: Vec<_> = Level::all()
            .into_iter()
            .map(|level| hash(&upscale(model, &options.clone().with_level(level), &rows)))
            .collect();
        lines += &format!("{} {name}\n", hashes[0]);
        hashes.dedup();
        assert_eq!(hashes.len(), 1, "{name}: levels differ");
    }
    if std::env::var_os("BIFOCAL_BLESS").is_some() {
        std::fs::write(GOLDEN, &lines).unwrap();
    }
    let golden = std::fs::read_to_string(GOLDEN).unwrap();
    for line in lines.lines() {
        assert!(golden.lines().any(|g| g == line), "not in {GOLDEN}: {line}");
    }
}

#[test]
fn tiles_threads_and_budgets_cannot_be_seen() {
    let model = Model::embedded().unwrap();
    let sizes = if emulated() { &[(67, 49)][..] } else { &[(67, 49), (131, 97), (641, 359)] };
    for &(width, height) in sizes {
        let base = options(Size::new(width, height), PixelFormat::Rgb8);
        let rows = picture("balcony.png", base.size, base.format);
        let expected = hash(&upscale(&model, &base, &rows));
        let mut variants: Vec<Options> = Vec::new();
        for tile in [Tile::Fixed(16), Tile::Fixed(33), Tile::Fixed(64), Tile::Fixed(200)] {
            variants.push(base.clone().with_tile(tile));
        }
        for threads in 2..=4 {
            variants.push(base.clone().with_threads(threads));
            variants.push(base.clone().with_threads(threads).with_tile(Tile::Fixed(64)));
        }
        let least = survey(&model, &base).unwrap().min_budget_bytes.unwrap();
        variants.extend([0, 10, 25, 60, 120].map(|more| base.clone().with_budget(Budget(least + least * more / 100))));
        for options in variants {
            let got = hash(&upscale(&model, &options, &rows));
            let what = (options.tile, options.threads, options.budget);
            assert_eq!(got, expected, "{width}x{height}, {what:?}");
        }
    }
}

#[test]
fn the_least_budget_is_the_least() {
    let model = Model::embedded().unwrap();
    for (size, tile) in
        [(Size::new(67, 49), Tile::Auto), (Size::new(300, 20), Tile::Auto), (Size::new(300, 200), Tile::Fixed(64))]
    {
        let base = options(size, PixelFormat::Rgb8).with_tile(tile);
        let least = survey(&model, &base).unwrap().min_budget_bytes.unwrap();
        let fits = |bytes| Engine::prepare(&model, &base.clone().with_budget(Budget(bytes)));
        assert!(fits(least).is_ok(), "{size} {tile:?}: {least} is said to be enough");
        match fits(least - 1) {
            Err(PrepareError::Budget { needed, given }) => assert_eq!((needed, given), (least, least - 1)),
            other => panic!("{size} {tile:?}: a byte less gives {other:?}"),
        }
    }
}

#[test]
fn frames_do_not_influence_each_other() {
    let model = Model::embedded().unwrap();
    for tile in [Tile::Auto, Tile::Fixed(16)] {
        let options = options(Size::new(40, 35), PixelFormat::Rgb8).with_tile(tile);
        let (a, b) =
            (picture("balcony.png", options.size, options.format), picture("towers.png", options.size, options.format));
        let mut engine = Engine::prepare(&model, &options).unwrap();
        let first = run(&mut engine, &options, &a);
        run(&mut engine, &options, &b);
        assert!(run(&mut engine, &options, &a) == first, "{tile:?}: a frame remembers the one before");
        // A frame that is given up half-way leaves nothing behind either.
        let half = engine.push(&b[..options.size.width * 3], |_| Ok::<(), ()>(()));
        assert!(half.is_ok());
        engine.reset();
        assert!(run(&mut engine, &options, &a) == first, "{tile:?}: a frame remembers one that was given up");
    }
}

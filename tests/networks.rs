//! Upscalers of other families (`tests/models/make.py`): each runs in integers or in floats and comes out alike however the
//! frame is cut, within its budget, or is refused with the reason. `tests/onnxruntime/networks.py` compares them with onnxruntime.

#[path = "support/counting.rs"]
mod counting;
mod support;

use std::path::PathBuf;
use std::sync::Mutex;

use bifocal::{Branches, Budget, Engine, Level, Model, Options, PixelFormat, PrepareError, Size, Tile};
use counting::{held, take_peak};
use support::{picture, run, tiny, upscale};

/// The counters are the process's: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn files() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/models");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "onnx")).collect();
    files.sort();
    assert!(files.len() >= 30, "{} files", files.len());
    files
}

fn name(file: &std::path::Path) -> String {
    file.file_stem().unwrap().to_string_lossy().into_owned()
}

fn named(wanted: &str) -> Model {
    Model::open(&files().into_iter().find(|file| name(file) == wanted).unwrap()).unwrap()
}

/// How many samples differ, and by how much at most.
fn apart(a: &[u8], b: &[u8]) -> (usize, u8) {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(a, b)| a.abs_diff(*b));
    (differences.clone().filter(|d| *d > 0).count(), differences.max().unwrap())
}

#[test]
fn families_run_or_say_why() {
    let _alone = ALONE.lock();
    let reasons = [
        ("refused-control-flow", "(If): control flow"),
        ("refused-eight-channels", "8 channels"),
        ("refused-foreign-operator", "(BiasSplitGelu): not supported"),
        ("refused-two-inputs", "2 inputs"),
    ];
    for file in files() {
        let name = name(&file);
        if let Some((_, reason)) = reasons.iter().find(|(refused, _)| *refused == name) {
            let error = Model::open(&file).expect_err(&name).to_string();
            assert!(error.contains(reason), "{error}");
            continue;
        }
        let model = Model::open(&file).unwrap_or_else(|error| panic!("{error}"));
        let scale = model.metadata().scale;
        assert!(name.ends_with(&format!("x{scale}")) || name.contains(&format!("-x{scale}-")), "{name}: scale {scale}");
        let format = if name.contains("-y-") { PixelFormat::Gray8 } else { PixelFormat::Rgb8 };
        let options = Options::new(Size::new(61, 47), format).with_budget(Budget::mib(256));
        let rows = picture("towers.png", options.size, options.format);
        let whole = upscale(&model, &options, &rows);
        let int8 = name.starts_with("int8-");
        assert_eq!(int8, model.graph().is_some(), "{name}: {}", model.why_float());
        if int8 {
            for level in Level::all() {
                let made = upscale(&model, &options.clone().with_level(level), &rows);
                assert!(made == whole, "{name}, level {}: other bytes", level.name());
            }
        }
        for (side, threads) in [(16, 1), (32, 2)] {
            let tiles = upscale(&model, &options.clone().with_tile(Tile::Fixed(side)).with_threads(threads), &rows);
            let (differ, most) = apart(&whole, &tiles);
            let alike = if int8 { differ == 0 } else { most <= 1 && differ * 1000 <= whole.len() };
            assert!(alike, "{name}, tile {side}: {differ} differ by up to {most}");
        }
        // It is the picture, enlarged.
        let channels = format.channels();
        let nearest = |at: usize| {
            let (pixel, width) = (at / channels, scale * options.size.width);
            rows[(pixel / width / scale * options.size.width + pixel % width / scale) * channels + at % channels]
        };
        let off: usize = whole.iter().enumerate().map(|(at, v)| usize::from(v.abs_diff(nearest(at)))).sum();
        assert!(off / whole.len() < 40, "{name}: {} levels off in the mean", off / whole.len());
    }
}

#[test]
fn alpha_and_grey_pass_through_networks_of_three_colours() {
    let _alone = ALONE.lock();
    let model = named("compact-x2");
    let size = Size::new(30, 20);
    let colours =
        upscale(&model, &Options::new(size, PixelFormat::Rgb8), &picture("towers.png", size, PixelFormat::Rgb8));
    let rows = picture("towers.png", size, PixelFormat::Rgba8);
    let with_alpha = upscale(&model, &Options::new(size, PixelFormat::Rgba8), &rows);
    let filtered = upscale(&tiny(), &Options::new(size, PixelFormat::Rgba8), &rows);
    let alike = |((a, b), c): ((&[u8], &[u8]), &[u8])| a[..3] == *b && a[3] == c[3];
    assert!(with_alpha.chunks(4).zip(colours.chunks(3)).zip(filtered.chunks(4)).all(alike));
    // Grey is seen as three equal colours, and shown as their luma.
    let rows = picture("towers.png", size, PixelFormat::Gray8);
    let equal: Vec<u8> = rows.iter().flat_map(|v| [*v; 3]).collect();
    let colours = upscale(&model, &Options::new(size, PixelFormat::Rgb8), &equal);
    let grey = upscale(&model, &Options::new(size, PixelFormat::Gray8), &rows);
    let luma = |c: &[u8]| 0.299 * f64::from(c[0]) + 0.587 * f64::from(c[1]) + 0.114 * f64::from(c[2]);
    assert!(grey.iter().zip(colours.chunks(3)).all(|(v, c)| (f64::from(*v) - luma(c)).abs() < 1.0));
}

/// What tract allocates is estimated; the allocator says whether the estimate holds.
#[test]
fn budgets_hold() {
    let _alone = ALONE.lock();
    for (name, mib, threads) in [
        ("int8-compact-x2", 1, 1),
        ("int8-many-x2", 6, 2),
        ("compact-x2", 4, 1),
        ("compact-x2", 12, 2),
        ("swin-x2", 6, 1),
        ("rrdb-x4", 14, 1),
    ] {
        let model = named(name);
        let options =
            Options::new(Size::new(300, 200), PixelFormat::Rgb8).with_budget(Budget::mib(mib)).with_threads(threads);
        let rows = picture("towers.png", options.size, options.format);
        let before = held();
        take_peak();
        let mut engine = Engine::prepare(&model, &options).unwrap_or_else(|error| panic!("{name}: {error}"));
        let bytes = run(&mut engine, &options, &rows);
        let held = take_peak() - before - bytes.capacity();
        assert!(held <= options.budget.0, "{name}: {held} bytes of {} MiB", mib);
    }
}

/// While a file is read no layer's tensors are kept for later ones: a deep network takes no more than a shallow one.
#[test]
fn layers_that_are_read_are_let_go() {
    let _alone = ALONE.lock();
    let path = files().into_iter().find(|file| name(file) == "int8-compact-x2").unwrap();
    let file = std::fs::read(path).unwrap();
    let before = held();
    take_peak();
    let model = Model::parse("compact", &file).unwrap();
    let peak = take_peak() - before;
    assert!(peak < 2 << 20, "{peak} bytes at once, {} held", held() - before);
    drop(model);
}

#[test]
fn a_network_that_sees_the_whole_picture_needs_it_in_one_tile() {
    let _alone = ALONE.lock();
    let model = named("global-gate-x2");
    let options = |mib| Options::new(Size::new(640, 480), PixelFormat::Rgb8).with_budget(Budget::mib(mib));
    let error = Engine::prepare(&model, &options(4)).expect_err("too small");
    assert!(matches!(error, PrepareError::Budget { .. }), "{error}");
    Engine::prepare(&model, &options(512)).unwrap();
}

/// What the file says, what is asked for, and networks that are given an enlarged picture.
#[test]
fn metadata_and_enlarged_pictures() {
    let _alone = ALONE.lock();
    let file = |name: &str| std::fs::read(files().into_iter().find(|file| self::name(file) == name).unwrap()).unwrap();
    // metadata_props is field 14 of a model: messages of a key and a value.
    let with = |name: &str, key: &str, value: &str| {
        let entry = [&[10, key.len() as u8], key.as_bytes(), &[18, value.len() as u8], value.as_bytes()].concat();
        [file(name), vec![14 << 3 | 2, entry.len() as u8], entry].concat()
    };
    let open = |name: &str, key: &str, value: &str| Model::parse("mine", &with(name, key, value));
    let enlarged = open("srcnn-y-x1", "scale", "3").unwrap();
    assert_eq!(enlarged.metadata().scale, 3);
    let options = Options::new(Size::new(40, 31), PixelFormat::Rgb8).with_budget(Budget::mib(64));
    let rows = picture("towers.png", options.size, options.format);
    let whole = upscale(&enlarged, &options, &rows);
    assert_eq!(whole.len(), 9 * rows.len());
    let tiles = upscale(&enlarged, &options.clone().with_tile(Tile::Fixed(32)), &rows);
    assert!(apart(&whole, &tiles).1 <= 1);
    // It is near the picture enlarged, and the same network leaves the size as it is without the entry.
    let nearest = |at: usize| rows[(at / 3 / 120 / 3 * 40 + at / 3 % 120 / 3) * 3 + at % 3];
    let off: usize = whole.iter().enumerate().map(|(at, v)| usize::from(v.abs_diff(nearest(at)))).sum();
    assert!(off / whole.len() < 30, "{} levels off", off / whole.len());
    assert_eq!(upscale(&named("srcnn-y-x1"), &options, &rows).len(), rows.len());

    // Another order of colours is seen by the network, in integers and in floats.
    for model in ["int8-compact-x2", "compact-x2"] {
        let (rgb, bgr) = (named(model), open(model, "order", "bgr").unwrap());
        let swapped: Vec<u8> = rows.chunks(3).flat_map(|p| [p[2], p[1], p[0]]).collect();
        let made = upscale(&bgr, &options, &swapped);
        let back: Vec<u8> = made.chunks(3).flat_map(|p| [p[2], p[1], p[0]]).collect();
        assert!(back == upscale(&rgb, &options, &rows), "{model}");
    }
    for (model, key, value, reason) in [
        ("compact-x2", "scale", "3", "model mine: metadata: scale 3"),
        ("compact-x2", "range", "0..7", "'0..7' is not one of"),
        ("espcn-y-x2", "order", "bgr", "sees luma"),
    ] {
        let error = open(model, key, value).expect_err(key).to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn branches_are_not_there_to_choose() {
    let _alone = ALONE.lock();
    let options = Options::new(Size::new(40, 30), PixelFormat::Rgb8).with_branches(Branches::Cnn);
    let error = Engine::prepare(&named("compact-x2"), &options).expect_err("no branches").to_string();
    assert!(error.contains("cannot run the cnn branch alone"), "{error}");
}

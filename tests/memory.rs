//! Budgets and allocations, counted by the allocator.

#[path = "support/counting.rs"]
mod counting;
mod support;
#[cfg(feature = "cli")]
#[path = "support/tree.rs"]
mod tree;

use std::sync::Mutex;

use bifocal::internals::plan::Class;
use bifocal::{Budget, Engine, Options, PixelFormat, Plane, PlaneMut, Size, Tile, YuvFormat, survey};
use counting::{calls, held};
use support::{picture, tiny};

/// The counters are the process's: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn cases() -> Vec<Options> {
    let all = [(1, Tile::Auto), (3, Tile::Auto), (1, Tile::Fixed(32)), (2, Tile::Fixed(48))];
    // Emulation takes ten times as long.
    let emulated = std::env::var_os("BIFOCAL_EMULATED").is_some();
    let (wide, shapes) = if emulated { (Size::new(72, 40), &all[2..]) } else { (Size::new(200, 90), &all[..]) };
    let mut cases = Vec::new();
    for &(threads, tile) in shapes {
        for (size, format) in [(wide, PixelFormat::Rgb8), (Size::new(33, 70), PixelFormat::Gray8)] {
            let case = Options::new(size, format).with_threads(threads).with_tile(tile).with_budget(Budget::mib(64));
            let windows = size.width.div_ceil(16) * size.height.div_ceil(16);
            let classes = [Class::Full, Class::Plain, Class::Structure, Class::Plain, Class::Full];
            cases.push(case.clone().with_classes(classes.into_iter().cycle().take(windows).collect(), false));
            cases.push(case);
        }
    }
    cases
}

fn frame(engine: &mut Engine, options: &Options, rows: &[u8]) -> usize {
    let mut seen = 0;
    for row in rows.chunks(options.size.width * options.format.channels()) {
        engine
            .push(row, |out| {
                seen += out.len();
                Ok::<(), ()>(())
            })
            .unwrap();
    }
    seen
}

#[test]
fn frames_allocate_nothing() {
    let _alone = ALONE.lock();
    let model = tiny();
    for options in cases() {
        let rows = picture("towers.png", options.size, options.format);
        let mut engine = Engine::prepare(&model, &options).unwrap();
        let seen = frame(&mut engine, &options, &rows); // helper threads make their own memory before this ends
        let before = calls();
        let again = frame(&mut engine, &options, &rows);
        let calls = calls() - before;
        assert_eq!((seen, calls), (again, 0), "{:?} {} threads {:?}", options.size, options.threads, options.tile);
    }
    let before = calls();
    drop(std::hint::black_box(vec![0u8; 10]));
    assert_eq!(calls() - before, 1, "the counter counts");
}

#[test]
fn the_engine_holds_no_more_than_it_says() {
    let _alone = ALONE.lock();
    let model = tiny();
    for options in cases() {
        let before = held();
        let rows = picture("towers.png", options.size, options.format);
        let extra = held();
        let mut engine = Engine::prepare(&model, &options).unwrap();
        frame(&mut engine, &options, &rows);
        let kept = held() - extra;
        let said = engine.report().total_bytes;
        assert!(kept <= said, "{:?} {} threads: {kept} held, {said} said", options.size, options.threads);
        // Stacks are the system's, the rest is ours: the figure must not be padded beyond use.
        let stacks = (options.threads - 1) * (256 << 10);
        assert!(kept + stacks + (96 << 10) >= said, "{:?}: {kept} held, {said} said", options.size);
        drop((engine, rows));
        assert!(held() <= before + 4096, "memory is given back");
    }
}

#[test]
fn memory_does_not_grow_with_the_height() {
    let _alone = ALONE.lock();
    let model = tiny();
    let total = |height| {
        let options = Options::new(Size::new(640, height), PixelFormat::Rgb8);
        survey(&model, &options).unwrap()
    };
    let (low, high) = (total(720), total(65_536));
    assert_eq!((low.arena_bytes, low.total_bytes), (high.arena_bytes, high.total_bytes));
}

#[test]
fn the_arena_does_not_grow_unnoticed() {
    let _alone = ALONE.lock();
    let model = tiny();
    for (width, height, threads, most) in [(640, 360, 1, 3 << 20), (640, 360, 2, 4 << 20), (1920, 1080, 2, 12 << 20)] {
        let options = Options::new(Size::new(width, height), PixelFormat::Rgb8).with_threads(threads);
        let report = survey(&model, &options).unwrap();
        assert!(report.arena_bytes <= most, "{width}x{height}, {threads} threads: {} bytes", report.arena_bytes);
        assert!(report.mac_overhead <= 1.05, "{width}x{height}: {}", report.mac_overhead);
    }
}

/// Whole frames, in memory of the caller's that is made beforehand.
#[test]
fn whole_frames_allocate_nothing_and_are_counted() {
    let _alone = ALONE.lock();
    let model = tiny();
    let size = Size::new(67, 49);
    let before = held();
    let options = Options::yuv(size, YuvFormat::Nv12);
    let mut engine = Engine::prepare(&model, &options).unwrap();
    let (kept, said) = (held() - before, engine.report().total_bytes);
    assert!(kept <= said, "{kept} held, {said} said");
    let (luma, chroma) = (vec![90; 80 * 49], vec![120; 80 * 25]);
    let (mut out, mut out_chroma) = (vec![0; 134 * 98], vec![0; 134 * 49]);
    let mut frame = || {
        let before = calls();
        let input = [Plane::new(&luma, 80), Plane::new(&chroma, 80)];
        engine.upscale(&input, &mut [PlaneMut::new(&mut out, 134), PlaneMut::new(&mut out_chroma, 134)]).unwrap();
        calls() - before
    };
    frame();
    assert_eq!(frame(), 0);
}

/// The file is not kept: a model holds its weights once, and says how much that is.
#[test]
fn a_model_holds_what_it_says() {
    let _alone = ALONE.lock();
    let before = held();
    let model = tiny();
    let kept = held() - before;
    let said = survey(&model, &Options::new(Size::new(64, 48), PixelFormat::Gray8)).unwrap().model_bytes;
    assert!(said == model.bytes() && kept >= said && kept <= said + said / 2 + (16 << 10), "{kept} held, {said} said");
}

#[cfg(feature = "cli")]
#[test]
fn a_longer_measurement_allocates_no_more() {
    use bifocal::internals::bench::{self, Schedule};
    use bifocal::internals::board::Machine;

    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let tree = tree::orin();
    let sensors = Machine::look(tree.root(), None).unwrap().sensors();
    let options = Options::new(Size::new(48, 32), PixelFormat::Rgb8);
    let mut engine = Engine::prepare(&tiny(), &options).unwrap();
    let pixels = bench::scene(48, 32);
    let mut calls = |millis| {
        let limit = std::time::Duration::from_millis(millis);
        let schedule = Schedule { warmup: 1, runs: usize::MAX, limit, profile: true };
        let before = calls();
        let runs = bench::measure(&mut engine, &sensors, &pixels, 3 * 48, schedule);
        (calls() - before, runs.unwrap().timeline.whole().temperature.count())
    };
    let (short, long) = (calls(50), calls(900));
    assert!(long.1 > short.1, "sensors were read: {short:?} {long:?}");
    assert_eq!(long.0, short.0);
}

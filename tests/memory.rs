//! Budgets and allocations, counted by the allocator.

#[path = "support/counting.rs"]
mod counting;
mod support;
#[path = "support/tree.rs"]
mod tree;

use std::sync::Mutex;

use bifocal::bench::{self, Schedule};
use bifocal::board::Machine;
use bifocal::engine::{Engine, Options};
use bifocal::frame::PixelFormat;
use bifocal::geom::Size;
use bifocal::memory::Budget;
use bifocal::model::Model;
use bifocal::tile::Tile;
use counting::{calls, held};
use support::picture;

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
            cases.push(Options { threads, tile, budget: Budget::mib(64), ..Options::new(size, format) });
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
    let model = Model::embedded().unwrap();
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
    let model = Model::embedded().unwrap();
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
    let model = Model::embedded().unwrap();
    let total = |height| {
        let options = Options::new(Size::new(640, height), PixelFormat::Rgb8);
        bifocal::engine::survey(&model, &options).unwrap()
    };
    let (low, high) = (total(720), total(65_536));
    assert_eq!((low.arena_bytes, low.total_bytes), (high.arena_bytes, high.total_bytes));
}

#[test]
fn the_arena_does_not_grow_unnoticed() {
    let _alone = ALONE.lock();
    let model = Model::embedded().unwrap();
    for (width, height, threads, most) in [(640, 360, 1, 3 << 20), (640, 360, 2, 4 << 20), (1920, 1080, 2, 12 << 20)] {
        let options = Options { threads, ..Options::new(Size::new(width, height), PixelFormat::Rgb8) };
        let report = bifocal::engine::survey(&model, &options).unwrap();
        assert!(report.arena_bytes <= most, "{width}x{height}, {threads} threads: {} bytes", report.arena_bytes);
        assert!(report.mac_overhead <= 1.05, "{width}x{height}: {}", report.mac_overhead);
    }
}

#[test]
fn a_longer_measurement_allocates_no_more() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let tree = tree::orin();
    let sensors = Machine::look(tree.root(), None).unwrap().sensors();
    let options = Options::new(Size::new(48, 32), PixelFormat::Rgb8);
    let mut engine = Engine::prepare(&Model::embedded().unwrap(), &options).unwrap();
    let pixels = bench::scene(48, 32);
    let mut calls = |millis| {
        let limit = std::time::Duration::from_millis(millis);
        let schedule = Schedule { warmup: 1, runs: usize::MAX, limit, profile: true };
        let before = calls();
        let runs = bench::measure(&mut engine, &sensors, &pixels, 3 * 48, schedule);
        (calls() - before, runs.timeline.whole().temperature.count())
    };
    let (short, long) = (calls(50), calls(900));
    assert!(long.1 > short.1, "sensors were read: {short:?} {long:?}");
    assert_eq!(long.0, short.0);
}

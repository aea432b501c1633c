//! A second thread must be worth having.

mod support;

use std::time::Instant;

use bifocal::{Engine, Options, PixelFormat, Size};
use support::{picture, run, tiny};

/// Of the pace of two engines side by side that know nothing of each other; one thread alone would reach 0.5.
/// Measured on two quiet cores: 0.7 to 0.93.
const LEAST: f64 = 0.6;

#[test]
fn two_threads_are_worth_two_engines() {
    let model = tiny();
    let options = |threads| Options::new(Size::new(640, 360), PixelFormat::Gray8).with_threads(threads);
    let rows = picture("towers.png", options(1).size, PixelFormat::Gray8);
    let engine = |threads| Engine::prepare(&model, &options(threads)).unwrap();
    let (mut shared, mut left, mut right) = (engine(2), engine(1), engine(1));
    let (mut together, mut apart) = (vec![], vec![]);
    for _ in 0..21 {
        let begin = Instant::now();
        run(&mut shared, &options(2), &rows);
        run(&mut shared, &options(2), &rows);
        together.push(begin.elapsed().as_secs_f64());
        // The same two frames without anything in common, so that a busy processor slows both alike.
        let begin = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| run(&mut left, &options(1), &rows));
            run(&mut right, &options(1), &rows);
        });
        apart.push(begin.elapsed().as_secs_f64());
    }
    let [together, apart] = [together, apart].map(|mut times| {
        times.sort_unstable_by(f64::total_cmp);
        times[times.len() / 4] // what interruptions leave alone
    });
    assert!(apart / together >= LEAST, "{together:.4} s for two frames with two threads, {apart:.4} s side by side");
}

//! Deadlines: what is computed follows the time that is left; without one, nothing depends on time.

mod support;

use std::hint::spin_loop;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bifocal::{Branches, Budget, Engine, Model, Options, PixelFormat, Plane, PlaneMut, Size, Still, Tile, Tolerance};
use support::picture;

fn options() -> Options {
    Options::new(Size::new(192, 128), PixelFormat::Gray8).with_budget(Budget::mib(64)).with_branches(Branches::Auto)
}

/// Upscales pictures one after the other, each into what the one before left; gives frames, shares of the work, and efforts.
fn run(options: &Options, frames: &[Vec<u8>]) -> Vec<(Vec<u8>, f64, u8)> {
    let model = Model::named("ctnet-base-x2").unwrap().unwrap();
    let mut engine = Engine::prepare(&model, options).unwrap();
    let (from, to) = (options.size.width, engine.output_size());
    let mut out = vec![0; to.area()];
    let mut each = |frame: &Vec<u8>| {
        engine.upscale(&[Plane::new(frame, from)], &mut [PlaneMut::new(&mut out, to.width)]).unwrap();
        let work = engine.work();
        (out.clone(), work.macs_share, work.effort.unwrap())
    };
    frames.iter().map(&mut each).collect()
}

#[test]
fn time_in_plenty_changes_nothing() {
    let frames: Vec<_> =
        ["towers.png", "balcony.png"].map(|name| picture(name, options().size, PixelFormat::Gray8)).into();
    for effort in [20, 60, 100] {
        let base = options().with_effort(effort);
        for variant in [base.clone(), base.clone().with_threads(2), base.clone().with_tile(Tile::Fixed(64))] {
            let given = run(&variant.clone().with_deadline(Duration::from_secs(3600)), &frames);
            assert!(given == run(&variant, &frames), "effort {effort}");
            assert!(given.iter().all(|(_, _, given)| *given == effort));
        }
    }
}

#[test]
fn without_time_nothing_is_computed() {
    let frames = vec![picture("towers.png", options().size, PixelFormat::Gray8); 3];
    let none = run(&options().with_effort(0), &frames);
    for variant in [options(), options().with_tile(Tile::Fixed(64)), options().with_threads(2)] {
        let given = run(&variant.with_deadline(Duration::from_nanos(1)), &frames);
        assert!(given[0].1 > 0.2, "how long it takes is not known yet");
        for (given, none) in given[1..].iter().zip(&none) {
            assert_eq!((given.1, given.2), (0.0, 0));
            assert!(given.0 == none.0);
        }
    }
}

/// What got less for want of time gets the rest once it stands still; here there never is any time.
#[test]
fn debts_do_not_change_what_stands_still() {
    let frames = vec![picture("towers.png", options().size, PixelFormat::Gray8); 4];
    let still = options().with_still(Still { tolerance: Tolerance::Levels(0), refresh: 60 });
    let given = run(&still.with_deadline(Duration::from_nanos(1)), &frames);
    assert!(given[1..].iter().all(|(bytes, share, _)| *bytes == given[0].0 && *share == 0.0));
}

#[test]
fn deadlines_are_for_auto() {
    let model = support::tiny();
    let error = Engine::prepare(&model, &options().with_branches(Branches::Both).with_deadline(Duration::from_secs(1)));
    assert!(error.unwrap_err().to_string().contains("deadline"));
    for (arguments, said) in [
        (&["--branches", "both", "--deadline", "33ms"][..], "--deadline is for --branches auto"),
        (&["--deadline", "soon"], "write a time, as 33ms, or fps"),
        (&["--deadline", "33ms", "-m", "ctnet-nano-x2"], "no thresholds"),
        (&["--still", "300"], "write off, auto, or levels from 0 to 255"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bifocal"));
        let source = "test://bars?width=64&height=48&frames=2";
        let output = command.args(["live", source, "null://"]).args(arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && error.contains(said), "{arguments:?}: {error}");
    }
}

#[test]
fn statistics_say_what_was_done() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bifocal"));
    command.args([
        "live",
        "test://bars?width=128&height=96&frames=6",
        "null://",
        "--format",
        "json",
        "--deadline",
        "fps",
    ]);
    let output = command.args(["-m", "ctnet-base-x2", "--effort", "30", "--compare", "map"]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    let line = error.lines().last().unwrap();
    let json: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{error}"));
    let windows = &json["windows"];
    let sum: f64 = ["full", "structure", "plain", "kept"].iter().map(|name| windows[name].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{line}");
    assert!(json["effort"].as_f64().is_some_and(|effort| effort <= 30.0) && json["missed"].is_u64(), "{line}");
    assert!(json["macs_share"].as_f64().is_some_and(|share| (0.0..1.0).contains(&share)), "{line}");
}

/// What a clip shows at a time: the picture 2 pixels further each frame, or one grey, with a little noise.
struct Clip {
    large: Vec<u8>,
    noise: u32,
}

impl Clip {
    const SMALL: Size = Size::new(640, 360);
    const LARGE: Size = Size::new(1280, 720);

    fn truth(&self, shift: Option<usize>) -> Vec<u8> {
        let row = |y: usize| &self.large[y * Self::LARGE.width..][..Self::LARGE.width];
        match shift {
            None => vec![100; Self::LARGE.area()],
            Some(shift) => {
                let rows = (0..Self::LARGE.height).map(row);
                rows.flat_map(|row| row.iter().cycle().skip(2 * shift).take(row.len())).copied().collect()
            }
        }
    }

    fn small(&mut self, truth: &[u8]) -> Vec<u8> {
        let at = |x: usize, y: usize| u32::from(truth[y * Self::LARGE.width + x]);
        let mean = |x: usize, y: usize| (at(x, y) + at(x + 1, y) + at(x, y + 1) + at(x + 1, y + 1) + 2) / 4;
        let pixels = (0..Self::SMALL.area()).map(|i| mean(2 * (i % Self::SMALL.width), 2 * (i / Self::SMALL.width)));
        let mut noisy = |pixel: u32| {
            self.noise = self.noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (pixel as u8).saturating_add((self.noise >> 31) as u8)
        };
        pixels.map(&mut noisy).collect()
    }
}

fn psnr(truth: &[u8], made: &[u8]) -> f64 {
    let squares: u64 = truth.iter().zip(made).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    10.0 * (255.0 * 255.0 * truth.len() as f64 / squares as f64).log10()
}

/// A clip that gets difficult after a third, and a busy loop on every processor from the half to five sixths: for
/// `tests/figures deadline`, on a machine that has nothing else to do.
#[test]
#[ignore = "measures time"]
fn figure_of_frames_in_time() {
    const FRAMES: usize = 300;
    const KNOWN: usize = 10;
    let deadline = Duration::from_millis(33);
    let model = support::tiny();
    let threads = std::thread::available_parallelism().unwrap().get();
    let options = Options::new(Clip::SMALL, PixelFormat::Gray8).with_branches(Branches::Auto).with_effort(100);
    let options = options.with_budget(Budget::mib(64)).with_threads(threads).with_deadline(deadline);
    let mut engine = Engine::prepare(&model, &options).unwrap();
    let mut clip = Clip { large: picture("towers.png", Clip::LARGE, PixelFormat::Gray8), noise: 1 };
    let mut out = vec![0; Clip::LARGE.area()];
    let busy = AtomicBool::new(false);
    let (mut late, mut shares, mut psnrs) = (0, [0.0; 6], [0.0; 6]);
    std::thread::scope(|scope| {
        let mut due = Instant::now();
        for frame in 0..FRAMES {
            if frame == FRAMES / 2 {
                busy.store(true, Ordering::Relaxed);
                for _ in 0..threads {
                    scope.spawn(|| {
                        while busy.load(Ordering::Relaxed) {
                            spin_loop();
                        }
                    });
                }
            }
            if frame == FRAMES * 5 / 6 {
                busy.store(false, Ordering::Relaxed);
            }
            let truth = clip.truth((frame >= FRAMES / 3).then_some(2 * frame % 64));
            let small = clip.small(&truth);
            due = due.max(Instant::now());
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            due += deadline;
            engine
                .upscale(&[Plane::new(&small, Clip::SMALL.width)], &mut [PlaneMut::new(&mut out, Clip::LARGE.width)])
                .unwrap();
            let (work, part) = (engine.work(), frame * 6 / FRAMES);
            late += usize::from(work.missed && frame >= KNOWN);
            shares[part] += 100.0 * work.macs_share * 6.0 / FRAMES as f64;
            psnrs[part] += psnr(&truth, &out) * 6.0 / FRAMES as f64;
        }
    });
    let counted = FRAMES - KNOWN;
    println!(
        "figure: {:.1} % of {counted} frames within {} ms, {late} late, {threads} threads; by sixths (flat, flat, a picture that \
         moves, and a busy loop on every processor, and one, and none) multiply-adds {shares:.0?} % of both branches, PSNR {psnrs:.2?} dB",
        100.0 * (counted - late) as f64 / counted as f64,
        deadline.as_millis(),
    );
}

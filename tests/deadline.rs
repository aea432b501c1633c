//! Deadlines: what is computed follows the time that is left; without one, nothing depends on time.

mod support;

use std::process::Command;
use std::time::Duration;

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

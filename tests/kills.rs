//! Kills at random moments: nothing half-written has a final name, nothing that was finished is lost, and the next run removes
//! what was left. `BIFOCAL_KILLS` is how many; `tests/figures` sets a thousand.

#![cfg(unix)]

#[path = "support/dice.rs"]
mod dice;
#[path = "support/scope.rs"]
mod scope;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dice::Dice;

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bifocal"));
    command.args(args).stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::null()).current_dir(folder);
    command
}

/// Names of a folder without temporary files, and how many of these there are.
fn names(folder: &Path) -> (Vec<String>, usize) {
    let all = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let (partial, mut final_): (Vec<String>, Vec<String>) = all.partition(|name| name.ends_with(".partial"));
    final_.sort();
    (final_, partial.len())
}

fn is_whole_picture(path: &Path) -> bool {
    image::open(path).is_ok_and(|picture| (picture.width(), picture.height()) == (128, 96))
}

fn is_whole_video(path: &Path, frame: usize) -> bool {
    let video = fs::read(path).unwrap();
    let header = video.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    header > 0 && (video.len() - header).is_multiple_of(6 + frame) && video.len() > header
}

#[test]
fn kills_at_random_moments() {
    let kills: usize = std::env::var("BIFOCAL_KILLS").map_or(scope::size(12, 60), |n| n.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::create_dir(at.join("in")).unwrap();
    for number in 0..6u32 {
        let picture =
            image::RgbImage::from_fn(64, 48, |x, y| image::Rgb([x as u8 * 3, y as u8 * 5, number as u8 * 40]));
        picture.save(at.join(format!("in/{number}.png"))).unwrap();
    }
    let jobs: [&[&str]; 4] = [
        &["upscale", "in", "out"],
        &["upscale", "in/0.png", "out/single.png"],
        &["live", "in/%d.png", "out/s%d.png"],
        &["live", "test://bars?width=64&height=48&fps=0&frames=60&format=gray", "out/clip.y4m"],
    ];
    // How long each takes when it is left alone.
    let usual = jobs.map(|job| {
        fs::create_dir_all(at.join("out")).unwrap();
        let begin = Instant::now();
        assert!(command(at, job).status().unwrap().success(), "{job:?}");
        begin.elapsed()
    });
    let mut dice = Dice(kills as u64);
    let (mut in_time, mut left_behind) = (0, 0);
    for round in 0..kills {
        let (job, usual) = (jobs[round % 4], usual[round % 4]);
        // What is there already is either replaced by a whole one or stays.
        if dice.roll(2) == 0 {
            fs::remove_dir_all(at.join("out")).unwrap();
            fs::create_dir_all(at.join("out")).unwrap();
        }
        let (before, _) = names(&at.join("out"));
        let mut child = command(at, job).spawn().unwrap();
        std::thread::sleep(usual.mul_f64(dice.roll(1000) as f64 / 900.0).max(Duration::from_millis(1)));
        in_time += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        let (after, partial) = names(&at.join("out"));
        left_behind += partial;
        assert!(
            before.iter().all(|name| after.contains(name)),
            "round {round}: a finished file is lost: {before:?}, {after:?}"
        );
        for name in &after {
            let path = at.join("out").join(name);
            let whole = if name.ends_with(".y4m") { is_whole_video(&path, 128 * 96) } else { is_whole_picture(&path) };
            assert!(whole, "round {round}, {job:?}: {name} is half-written");
        }
    }
    // One run that ends well leaves no temporary file.
    assert!(command(at, jobs[0]).status().unwrap().success());
    assert_eq!(names(&at.join("out")).1, 0);
    assert!(in_time * 4 > kills, "{in_time} of {kills} kills came before the end: the moments are chosen badly");
    println!(
        "figure: {kills} kills, {in_time} of them in time: 0 half files, 0 files lost, {left_behind} temporary files left and removed"
    );
}

/// Runs the program through a shell that sets a limit.
fn limited(folder: &Path, limit: &str, args: &[&str]) -> Option<i32> {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{limit}; exec \"$@\""), "sh", env!("CARGO_BIN_EXE_bifocal")]).args(args);
    command.stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::null()).current_dir(folder);
    command.status().unwrap().code()
}

#[test]
fn writes_and_memory_that_fail_at_random() {
    let failures: usize = std::env::var("BIFOCAL_FAILURES").map_or(scope::size(30, 120), |n| n.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let picture = image::RgbImage::from_fn(64, 48, |x, y| image::Rgb([(x * y) as u8, y as u8 * 5, x as u8 * 4]));
    picture.save(at.join("in.png")).unwrap();
    let bars = "test://bars?width=64&height=48&fps=0&frames=9&format=gray";
    let one = ["-m", "ctnet-nano-x2", "-j", "1", "--mem", "8MiB"];
    let (mut dice, mut refused) = (Dice(failures as u64), 0);
    for round in 0..failures {
        let target = ["out.png", "out.tif", "out.webp", "out.jpg", "out.gif", "out.y4m"][round % 6];
        let job: &[&str] = if target == "out.y4m" { &["live", bars, target] } else { &["upscale", "in.png", target] };
        let limit = match dice.roll(2) {
            0 => format!("ulimit -f {}", dice.roll(240)),
            _ => format!("ulimit -v {}", 44_000 + dice.roll(60_000)),
        };
        let code = limited(at, &limit, &[job, &one].concat());
        let path = at.join(target);
        assert!(matches!(code, Some(0 | 1 | 3)), "round {round}, {limit}, {target}: {code:?}");
        refused += usize::from(code != Some(0));
        if path.exists() {
            let whole = if target == "out.y4m" { is_whole_video(&path, 128 * 96) } else { code == Some(0) };
            assert!(whole, "round {round}, {limit}: {target} is half-written");
            assert!(
                target.ends_with("y4m")
                    || target.ends_with("webp")
                    || target.ends_with("gif")
                    || is_whole_picture(&path)
            );
            fs::remove_file(&path).unwrap();
        }
        assert_eq!(names(at), (vec!["in.png".to_string()], 0), "round {round}, {limit}, {target}: {code:?}");
    }
    assert!(refused > failures / 12 && refused < failures, "{refused} of {failures}");
    println!(
        "figure: {failures} limits on writes and memory, {refused} of them reached: 0 half files, 0 left behind, 0 crashes"
    );
}

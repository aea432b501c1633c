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

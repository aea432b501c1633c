//! Runs that are killed, ended by signals or by damage, and what goes on with them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::dice::Dice;
use super::{alone, bifocal, copied, make, runs, said, scope, times, tool};

/// A movie of several parts.
fn long(at: &Path, name: &str) {
    let source = "-f lavfi -i testsrc2=s=48x32:r=30:d=36 -f lavfi -i sine=d=36";
    make(at, &format!("{source} -c:v libx264 -preset ultrafast -bf 2 -c:a aac {name}"));
}

/// Time stamps and hashes of all frames and of the sound.
fn everything(at: &Path, file: &str) -> (String, String) {
    (tool(at, "ffmpeg", &format!("-i {file} -map 0:v -fps_mode passthrough -copyts -f framemd5 -")), copied(at, file))
}

#[test]
fn killed_runs_go_on_to_what_one_at_once_makes() {
    let Some(_alone) = alone("video that is killed and resumed") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    long(at, "in.mp4");
    let begin = Instant::now();
    runs(at, "video in.mp4 wanted.mp4");
    let usual = begin.elapsed();
    let wanted = everything(at, "wanted.mp4");
    assert_eq!(times(at, "wanted.mp4"), times(at, "in.mp4"));
    let kills = scope::size(10, 40);
    let (mut dice, mut in_time) = (Dice(7), 0);
    for round in 0..kills {
        let mut child = bifocal(at, "video --resume in.mp4 out.mp4").stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(usual.mul_f64(dice.roll(1000) as f64 / 1500.0));
        in_time += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        if at.join("out.mp4").exists() {
            assert_eq!(everything(at, "out.mp4"), wanted, "round {round}");
            fs::remove_file(at.join("out.mp4")).unwrap();
        }
    }
    assert!(in_time * 3 > kills, "{in_time} of {kills} kills came before the end");
    runs(at, "video --resume in.mp4 out.mp4");
    assert_eq!(everything(at, "out.mp4"), wanted);
    assert!(!at.join("out.mp4.parts").exists());
    // What is finished stays as it is.
    let made = |file: &str| fs::metadata(at.join(file)).unwrap().modified().unwrap();
    let before = made("out.mp4");
    let output = bifocal(at, "video --resume in.mp4 out.mp4 --format json").output().unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!((&summary["frames"], &summary["complete"]), (&0.into(), &true.into()), "{}", said(&output));
    assert_eq!(made("out.mp4"), before);
}

/// Waits until there is something in `folder` whose name begins and ends so.
fn wait_for(folder: &Path, name: &str) {
    let (first, last) = name.split_once('*').unwrap_or((name, ""));
    let begin = Instant::now();
    let is_there = || {
        let mut names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.any(|name| name.to_string_lossy().starts_with(first) && name.to_string_lossy().ends_with(last))
    };
    while !is_there() {
        assert!(begin.elapsed() < Duration::from_secs(300), "{name} is not made");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn send(child: &Child, signal: &str) {
    assert!(Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap().success());
}

/// The command with an ffmpeg that reads in real time and takes `rest` before it joins parts, which `joining` tells.
fn slowly(at: &Path, words: &str, rest: &str) -> Command {
    let script = format!(
        "#!/bin/sh\nPATH=${{PATH#*:}}\ncase \" $* \" in\n*' rawvideo '*) exec ffmpeg -re \"$@\";;\n\
         *' -movie_timescale '*) touch joining; sleep {rest};;\nesac\nexec ffmpeg \"$@\"\n"
    );
    let _ = fs::create_dir(at.join("bin"));
    fs::write(at.join("bin/ffmpeg"), script).unwrap();
    fs::set_permissions(at.join("bin/ffmpeg"), fs::Permissions::from_mode(0o755)).unwrap();
    let _ = fs::remove_file(at.join("joining"));
    let mut command = bifocal(at, words);
    command.env("PATH", format!("{}:{}", at.join("bin").display(), std::env::var("PATH").unwrap()));
    command.stderr(Stdio::piped()).stdout(Stdio::piped());
    command
}

#[test]
fn signals_say_that_a_film_is_not_whole() {
    let Some(_alone) = alone("video that is ended by signals") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    make(at, "-f lavfi -i testsrc2=s=48x32:r=60:d=4 -c:v libx264 -preset ultrafast long.mp4");
    make(at, "-f lavfi -i testsrc2=s=48x32:r=30:d=0.3 -c:v libx264 -bf 2 short.mp4");
    let begun = |words: &str, rest: &str| {
        let child = slowly(at, words, rest).spawn().unwrap();
        wait_for(&at.join("out.mp4.parts"), "000000*.unfinished");
        std::thread::sleep(Duration::from_millis(100));
        child
    };
    let mut before = String::new();
    for (signal, number) in [("TERM", 15), ("HUP", 1)] {
        let child = begun("video long.mp4 out.mp4 --format json", "0");
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(number), "{signal}: {}", said(&output));
        let frames = times(at, "out.mp4").len();
        let line = format!("bifocal: out.mp4 has the first {frames} frames, ");
        assert!(frames > 0 && frames < 250 && said(&output).contains(&line), "{frames}: {}", said(&output));
        assert_eq!(said(&output).lines().count(), 1, "{}", said(&output));
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
        assert_eq!((&summary["frames"], &summary["complete"]), (&frames.into(), &false.into()));
        // Less of the same film is replaced.
        let about = fs::metadata(at.join("out.mp4")).unwrap();
        let about = format!("{} {:?}", about.len(), about.modified());
        assert!(before != about, "{signal}: nothing was written");
        before = about;
    }
    fs::remove_file(at.join("out.mp4")).unwrap();
    // The second signal ends at once, also while the parts of the first are joined.
    let child = begun("video long.mp4 out.mp4", "5");
    send(&child, "TERM");
    wait_for(at, "joining");
    send(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(15), "{}", said(&output));
    assert!(said(&output).contains("--resume") && !at.join("out.mp4").exists(), "{}", said(&output));
    assert!(at.join("out.mp4.parts/last.nut").exists());
    let names = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.contains("out.mp4")).count(), 1);
    // One that comes while the whole film is joined comes too late.
    fs::remove_dir_all(at.join("out.mp4.parts")).unwrap();
    let child = slowly(at, "video short.mp4 out.mp4", "0.3").spawn().unwrap();
    wait_for(at, "joining");
    send(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), said(&output).as_str()), (Some(0), ""));
    assert_eq!(times(at, "out.mp4").len(), 9);
    assert!(!at.join("out.mp4.parts").exists());
}

#[test]
fn a_source_that_fails_replaces_no_film() {
    let Some(_alone) = alone("video that fails on the way") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // Times that stand still end a run.
    let times_of = "setpts=if(between(N\\,10\\,12)\\,PREV_OUTPTS\\,PTS)";
    make(at, &format!("-f lavfi -i testsrc2=s=64x48:r=25:d=1,{times_of} -fps_mode passthrough -c:v ffv1 in.mkv"));
    fs::write(at.join("out.mkv"), "somebody's film").unwrap();
    let output = bifocal(at, "video in.mkv out.mkv").output().unwrap();
    assert_eq!((output.status.code(), said(&output).lines().count()), (Some(2), 1), "{}", said(&output));
    assert_eq!(fs::read_to_string(at.join("out.mkv")).unwrap(), "somebody's film");
    assert!(!at.join("out.mkv.parts").exists());
    // Without one there is what came before.
    fs::remove_file(at.join("out.mkv")).unwrap();
    let output = bifocal(at, "video in.mkv out.mkv").output().unwrap();
    assert_eq!((output.status.code(), said(&output).lines().count()), (Some(2), 2), "{}", said(&output));
    assert!(said(&output).contains("out.mkv has the first 11 frames"), "{}", said(&output));
    assert_eq!(times(at, "out.mkv").len(), 11);
}

#[test]
fn ctrl_c_leaves_a_playable_file_and_the_rest_for_later() {
    let Some(_alone) = alone("video that is ended early") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // One that does not begin at 0.
    long(at, "-output_ts_offset 50000 in.ts");
    let child = bifocal(at, "video in.ts out.mp4").stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&at.join("out.mp4.parts"), "000000.nut");
    send(&child, "INT");
    let output = child.wait_with_output().unwrap();
    let start = tool(at, "ffprobe", "-show_entries format=start_time -of csv=p=0 in.ts");
    let start = (start.trim().parse::<f64>().unwrap() * 90e3).round() as i64;
    let given: Vec<i64> = times(at, "in.ts").iter().map(|time| time - start).collect();
    let kept = times(at, "out.mp4");
    assert!(kept.len() >= 250 && kept == given[..kept.len()], "{} frames: {}", kept.len(), said(&output));
    if kept.len() == given.len() {
        scope::skip("the rest of a video that is ended early", "it was complete before the signal");
        return;
    }
    assert_eq!(output.status.signal(), Some(2), "{}", said(&output));
    let line = format!("out.mp4 has the first {} frames, ", kept.len());
    assert!(said(&output).contains(&line) && said(&output).contains("--resume goes on after "), "{}", said(&output));
    let seconds = |kind: &str| -> f64 {
        let text =
            tool(at, "ffprobe", &format!("-select_streams {kind} -show_entries packet=pts_time -of csv=p=0 out.mp4"));
        text.split([',', '\n']).filter_map(|word| word.trim().parse().ok()).fold(0.0, f64::max)
    };
    assert!((seconds("a") - seconds("v")).abs() < 0.2, "sound ends with the picture");
    // Nobody loses what is there by a wrong word.
    let output = bifocal(at, "video in.ts out.mp4").output().unwrap();
    assert!(output.status.code() == Some(2) && said(&output).contains("--resume"), "{}", said(&output));
    let output = bifocal(at, "video --resume in.ts out.mp4 --codec x265").output().unwrap();
    assert!(output.status.code() == Some(2) && said(&output).contains("other options"), "{}", said(&output));
    runs(at, "video --resume in.ts out.mp4");
    runs(at, "video in.ts wanted.mp4");
    assert_eq!(everything(at, "out.mp4"), everything(at, "wanted.mp4"));
}

#[test]
fn a_damaged_end_keeps_what_came_before() {
    let Some(_alone) = alone("damaged video") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    make(at, "-f lavfi -i testsrc2=s=64x48:r=25:d=4 -c:v libx264 -g 10 whole.mkv");
    let whole = fs::read(at.join("whole.mkv")).unwrap();
    fs::write(at.join("cut.mkv"), &whole[..whole.len() / 2]).unwrap();
    let output = bifocal(at, "video cut.mkv out.mkv").output().unwrap();
    assert!(output.status.code() == Some(2) && said(&output).contains("it ends at"), "{}", said(&output));
    let (kept, given) = (times(at, "out.mkv"), times(at, "whole.mkv"));
    assert!(kept.len() > 20 && kept.len() < given.len() && kept == given[..kept.len()], "{} frames", kept.len());
}

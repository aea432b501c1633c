//! What `live` keeps when something goes wrong, and what it says.

#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bifocal"));
    command.args(args).env_remove("RUST_LOG").stdin(Stdio::null()).current_dir(folder);
    command
}

fn live(folder: &Path, args: &[&str]) -> Output {
    command(folder, &[&["live"], args].concat()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn fails(output: &Output, code: i32, reason: &str) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(reason), "{said}");
}

const SIZE: (usize, usize) = (16, 12);
const FRAME: usize = SIZE.0 * SIZE.1 * 3 / 2;

fn frames(count: usize) -> Vec<u8> {
    (0..count * FRAME).map(|i| (i * 7 % 251) as u8).collect()
}

fn y4m(count: usize) -> Vec<u8> {
    let mut video = format!("YUV4MPEG2 W{} H{} F25:1 C420jpeg\n", SIZE.0, SIZE.1).into_bytes();
    frames(count).chunks(FRAME).for_each(|frame| video.extend([b"FRAME\n", frame].concat()));
    video
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn whole_frames_are_kept_when_the_source_is_cut_short() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("whole.y4m"), y4m(2)).unwrap();
    let cut = y4m(3);
    fs::write(at.join("cut.y4m"), &cut[..cut.len() - 10]).unwrap();
    assert!(live(at, &["whole.y4m", "wanted.y4m"]).status.success());
    fails(&live(at, &["cut.y4m", "out.y4m"]), 2, "frame 2 is cut short");
    assert!(fs::read(at.join("out.y4m")).unwrap() == fs::read(at.join("wanted.y4m")).unwrap());
    assert_eq!(names(at), ["cut.y4m", "out.y4m", "wanted.y4m", "whole.y4m"], "no temporary file");
}

#[test]
fn a_camera_that_goes_leaves_the_recording() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("frames.yuv"), frames(3)).unwrap();
    let raw = format!("frames.yuv?format=yuv420p&range=full&fps=30&width={}&height={}", SIZE.0, SIZE.1);
    assert!(live(at, &[&raw, "wanted.y4m"]).status.success());
    let uri = format!("csi://0?width={}&height={}&command=cat frames.yuv", SIZE.0, SIZE.1);
    let output = live(at, &["--drop", "never", "--reconnect", "0s", &uri, "out.y4m"]);
    fails(&output, 1, "did not return");
    assert!(fs::read(at.join("out.y4m")).unwrap() == fs::read(at.join("wanted.y4m")).unwrap());
}

/// A picture of numbers that are nobody else's.
fn picture(path: &Path, grey: bool, number: usize) {
    let (magic, samples) = if grey { ("P5", SIZE.0 * SIZE.1) } else { ("P6", 3 * SIZE.0 * SIZE.1) };
    let header = format!("{magic} {} {} 255\n", SIZE.0, SIZE.1);
    let pixels: Vec<u8> = (0..samples).map(|i| ((i + number) * 5 % 253) as u8).collect();
    fs::write(path, [header.as_bytes(), &pixels].concat()).unwrap();
}

#[test]
fn a_hole_in_a_sequence_is_an_error_and_the_end_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for number in [3, 4, 6] {
        picture(&at.join(format!("{number:03}.ppm")), false, number);
    }
    fails(&live(at, &["%03d.ppm", "out.y4m"]), 2, "005.ppm: this picture is missing, and number 6 follows");
    picture(&at.join("005.ppm"), false, 5);
    let output = live(at, &["%03d.ppm", "out.y4m"]);
    assert!(output.status.success(), "{}", said(&output));
    let frame = 3 * 4 * SIZE.0 * SIZE.1 + 6;
    assert_eq!(fs::metadata(at.join("out.y4m")).unwrap().len() as usize / frame, 4);
}

#[test]
fn grey_among_colour_is_colour() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    picture(&at.join("1.ppm"), false, 1);
    picture(&at.join("2.ppm"), true, 2);
    picture(&at.join("grey.ppm"), true, 2);
    let output = live(at, &["%d.ppm", "out-%d.ppm"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(command(at, &["upscale", "grey.ppm", "wanted.ppm"]).output().unwrap().status.success());
    assert!(fs::read(at.join("out-2.ppm")).unwrap() == fs::read(at.join("wanted.ppm")).unwrap());
}

#[test]
fn percent_signs_of_folders_are_letters_and_sequences_of_one_folder_may_differ() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::create_dir(at.join("50% done")).unwrap();
    picture(&at.join("50% done/1.ppm"), false, 1);
    let output = live(at, &["50% done/%d.ppm", "50% done/big%d.ppm"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(names(&at.join("50% done")), ["1.ppm", "big1.ppm"]);
    fails(&live(at, &["50% done/%d.ppm", "50% done/%03d.ppm"]), 2, "never overwritten");
}

#[test]
fn a_header_without_frames_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("empty.y4m"), y4m(0)).unwrap();
    fails(&live(folder.path(), &["empty.y4m", "null://"]), 2, "no frames");
}

#[test]
fn video_without_a_rate_gets_one_that_players_understand() {
    let folder = tempfile::tempdir().unwrap();
    let output = live(folder.path(), &["test://bars?width=44&height=4&fps=0&frames=1", "out.y4m"]);
    assert!(output.status.success(), "{}", said(&output));
    let video = fs::read(folder.path().join("out.y4m")).unwrap();
    assert!(video.windows(8).any(|word| word == b" F25:1 I"), "{}", String::from_utf8_lossy(&video[..60]));
}

#[test]
fn a_reader_that_stands_still_does_not_hold_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let source = "test://bars?width=320&height=180&fps=0";
    let mut child = command(folder.path(), &["live", "-q", source, "-", "--duration", "300ms"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let patience = Instant::now() + Duration::from_secs(120);
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < patience, "it waits for its reader for ever");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn a_folder_keeps_its_originals_and_waits_for_no_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::create_dir(at.join("album")).unwrap();
    fs::create_dir(at.join("out")).unwrap();
    picture(&at.join("album/a.ppm"), false, 1);
    picture(&at.join("album/b.ppm"), false, 2);
    fs::copy(at.join("album/a.ppm"), at.join("album/c.jfif")).unwrap();
    assert!(Command::new("mkfifo").arg(at.join("album/pipe.png")).status().unwrap().success());
    // What a.ppm becomes would go through the link into b.ppm.
    std::os::unix::fs::symlink("../album/b.ppm", at.join("out/a.ppm")).unwrap();
    let before = fs::read(at.join("album/b.ppm")).unwrap();
    let output = command(at, &["upscale", "album", "out"]).output().unwrap();
    fails(&output, 1, "is one of the pictures that are read");
    fails(&output, 1, "pipe.png");
    assert!(fs::read(at.join("album/b.ppm")).unwrap() == before);
    assert_eq!(names(&at.join("out")), ["a.ppm", "b.ppm", "c.jfif"]);
}

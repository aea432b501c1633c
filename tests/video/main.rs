//! `bifocal video`, and `live` from files and streams that ffmpeg reads. ffmpeg makes the sources and ffprobe judges; without
//! them these tests say that they are skipped.

#![cfg(unix)]

#[path = "../support/dice.rs"]
mod dice;
#[path = "../support/scope.rs"]
mod scope;
#[path = "../support/server.rs"]
mod server;

mod ends;
mod live;
mod mistakes;
mod pictures;
mod streams;
mod timing;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most tests take all processors: one at a time. `None`: there is no ffmpeg.
fn alone(what: &str) -> Option<MutexGuard<'static, ()>> {
    static ALONE: Mutex<()> = Mutex::new(());
    let there = ["ffmpeg", "ffprobe"].iter().all(|name| Command::new(name).arg("-version").output().is_ok());
    if !there {
        scope::skip(what, "ffmpeg is missing (apt-get install ffmpeg)");
        return None;
    }
    Some(ALONE.lock().unwrap_or_else(PoisonError::into_inner))
}

fn bifocal(folder: &Path, words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bifocal"));
    command.args(words.split(' ')).env_remove("RUST_LOG").stdin(Stdio::null()).current_dir(folder);
    command.args(["-m", "ctnet-nano-x2"]);
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn runs(folder: &Path, words: &str) {
    let output = bifocal(folder, words).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{words}: {}", said(&output));
}

#[track_caller]
fn tool(folder: &Path, program: &str, words: &str) -> String {
    let mut command = Command::new(program);
    command.args(["-v", "error"]).args(words.split(' ')).stdin(Stdio::null()).current_dir(folder);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{program} {words}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Makes a file.
#[track_caller]
fn make(folder: &Path, words: &str) {
    tool(folder, "ffmpeg", &format!("-y {words}"));
}

/// Time stamps of the frames, in ticks.
fn times(folder: &Path, file: &str) -> Vec<i64> {
    let text = tool(folder, "ffprobe", &format!("-select_streams v:0 -show_entries frame=pts -of csv=p=0 {file}"));
    text.split([',', '\n']).filter_map(|word| word.trim().parse().ok()).collect()
}

/// What is said of the video, line by line.
fn facts(folder: &Path, file: &str, names: &str) -> String {
    tool(folder, "ffprobe", &format!("-select_streams v:0 -show_entries stream={names} -of default=nw=1 {file}"))
}

const FLAGS: &str = "sample_aspect_ratio,field_order,color_range,color_space,color_transfer,color_primaries,chroma_location,\
                     time_base:stream_side_data=rotation:stream_disposition=default,forced";

/// Each stream that is no video: kind and hash of its packets.
fn copied(folder: &Path, file: &str) -> String {
    tool(folder, "ffmpeg", &format!("-i {file} -map 0 -map -0:v -c copy -f streamhash -"))
}

/// Hash of all frames.
fn pixels(folder: &Path, file: &str) -> String {
    tool(folder, "ffmpeg", &format!("-noautorotate -i {file} -map 0:v:0 -fps_mode passthrough -f md5 -"))
}

/// What `live` makes of the frames of `file`, as ffmpeg hands them on.
fn pixels_by_live(folder: &Path, file: &str) -> String {
    let to = "-map 0:v:0 -fps_mode passthrough -strict -1 -f yuv4mpegpipe in.y4m";
    make(folder, &format!("-i {file} {to}"));
    if facts(folder, file, "chroma_location").contains("left") {
        // ffmpeg takes all of full range for JPEG, whose chroma lies elsewhere.
        let video = fs::read(folder.join("in.y4m")).unwrap();
        let end = video.iter().position(|byte| *byte == b'\n').unwrap();
        let header = String::from_utf8_lossy(&video[..end]).replace("C420jpeg", "C420mpeg2");
        fs::write(folder.join("in.y4m"), [header.as_bytes(), &video[end..]].concat()).unwrap();
    }
    runs(folder, "live in.y4m out.y4m -q");
    pixels(folder, "out.y4m")
}

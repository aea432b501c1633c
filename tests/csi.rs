//! `csi://`: frames of programs that stand in for those of Raspberry Pi and Jetson; the programs end with the run.

#![cfg(unix)]

#[path = "support/counting.rs"]
mod counting;
#[path = "support/scope.rs"]
mod scope;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use bifocal::internals::io::{FrameSource, SourceUri};
use counting::own_calls;

/// A folder with programs in it, on the path before all others.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn uri(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_string()
    }

    /// A shell script that first notes its process and how it was called.
    fn program(&self, name: &str, script: &str) {
        let folder = self.folder.path().display();
        let text = format!("#!/bin/sh\ncd '{folder}'\necho $$ >> pids\necho \"{name} $*\" >> calls\n{script}\n");
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn live(&self, source: &str, sink: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bifocal"));
        let path = format!("{}:{}", self.folder.path().display(), std::env::var("PATH").unwrap());
        command.args(["live", source, sink]).args(more).env("PATH", path).env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn pids(&self) -> Vec<u32> {
        let text = fs::read_to_string(self.path("pids")).unwrap_or_default();
        text.lines().map(|line| line.trim().parse().unwrap()).collect()
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.path("calls")).unwrap_or_default()
    }

    /// None of the programs runs any more.
    fn nothing_is_left(&self) {
        let patience = Instant::now() + Duration::from_secs(10);
        let mut pids: Vec<u32> = self.pids();
        assert!(!pids.is_empty(), "it was started");
        while !pids.is_empty() && Instant::now() < patience {
            pids.retain(|pid| runs(*pid));
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(pids.is_empty(), "{pids:?} still run");
    }
}

/// Does a process run? What a program started and left to the system may be dead and not yet waited for.
fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn wait_for(path: &Path, bytes: u64) {
    let patience = Instant::now() + Duration::from_secs(30);
    while fs::metadata(path).map_or(0, |about| about.len()) < bytes {
        assert!(Instant::now() < patience, "{} does not grow", path.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn kill(child: &Child, signal: &str) {
    assert!(Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap().success());
}

const SIZE: (usize, usize) = (64, 48);
const FRAME: usize = SIZE.0 * SIZE.1 * 3 / 2;

/// Noise, so that a byte that is lost or doubled shows.
fn noise(bytes: usize) -> Vec<u8> {
    let mut grain = 0x2545_f491_u32;
    let mut next = || {
        grain ^= grain << 13;
        grain ^= grain >> 17;
        grain ^= grain << 5;
        (grain >> 8) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

/// What `live` makes of the same frames from a file.
fn expected(bench: &Bench, frames: &[u8], colour: &str) -> Vec<u8> {
    fs::write(bench.path("plain.yuv"), frames).unwrap();
    let source = format!("{}?format=yuv420p&width={}&height={}{colour}", bench.uri("plain.yuv"), SIZE.0, SIZE.1);
    let output = bench.live(&source, "-", &["-q"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    output.stdout
}

/// Y4M without its first line, which has the rate.
fn frames(y4m: &[u8]) -> &[u8] {
    &y4m[y4m.iter().position(|byte| *byte == b'\n').unwrap()..]
}

#[test]
fn frames_of_a_raspberry_pi_arrive_exact_and_the_program_ends() {
    let bench = Bench::new();
    fs::write(bench.path("frames.yuv"), noise(5 * FRAME)).unwrap();
    bench.program("rpicam-vid", "echo 'hello from the camera' >&2\ncat frames.yuv\nexec sleep 1000");
    let uri = format!("csi://1?width={}&height={}&fps=25", SIZE.0, SIZE.1);
    let output = bench.live(&uri, "-", &["--frames", "5", "--drop", "never", "-v"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let wanted = expected(&bench, &noise(5 * FRAME), "&range=full");
    assert!(frames(&output.stdout) == frames(&wanted), "{} bytes", output.stdout.len());
    assert!(String::from_utf8_lossy(&output.stdout).contains("COLORRANGE=FULL"));
    let call = "rpicam-vid --camera 1 --codec yuv420 --width 64 --height 48 --framerate 25 --timeout 0 --nopreview \
                --flush -o -";
    assert_eq!(bench.calls().trim(), call);
    assert!(said(&output).contains(call) && said(&output).contains("hello from the camera"), "{}", said(&output));
    bench.nothing_is_left();
}

#[test]
fn rows_with_padding_lose_it() {
    let bench = Bench::new();
    let (plain, mut padded) = (noise(3 * FRAME), Vec::new());
    for frame in plain.chunks(FRAME) {
        let (luma, chroma) = frame.split_at(SIZE.0 * SIZE.1);
        for (plane, width, padding) in [(luma, SIZE.0, 70), (chroma, SIZE.0 / 2, 35)] {
            plane.chunks(width).for_each(|row| padded.extend(row.iter().chain(&vec![0xee; padding])));
        }
    }
    fs::write(bench.path("padded.yuv"), padded).unwrap();
    let uri = format!("csi://0?width={}&height={}&stride=134&command=", SIZE.0, SIZE.1);
    let command = format!("cat '{}' && exec sleep 1000", bench.uri("padded.yuv"));
    let output = bench.live(&(uri + &command), "-", &["--frames", "3", "--drop", "never", "-q"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(frames(&output.stdout) == frames(&expected(&bench, &plain, "&range=full")));
}

#[test]
fn a_command_may_be_a_pipeline_and_all_of_it_ends() {
    let bench = Bench::new();
    fs::write(bench.path("frames.yuv"), noise(2 * FRAME)).unwrap();
    bench.program("endless", "cat frames.yuv; exec sleep 1000");
    let uri = format!("csi://0?width={}&height={}&range=limited&command=endless | cat & wait", SIZE.0, SIZE.1);
    let output = bench.live(&uri, "-", &["--frames", "2", "--drop", "never", "-q"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(frames(&output.stdout) == frames(&expected(&bench, &noise(2 * FRAME), "&range=limited")));
    bench.nothing_is_left();
}

#[test]
fn messages_on_standard_output_do_not_get_between_the_frames_of_a_jetson() {
    let bench = Bench::new();
    fs::write(bench.path("frames.yuv"), noise(4 * FRAME)).unwrap();
    let script = "echo 'GST_ARGUS: Creating output stream'\ncat frames.yuv >&3\necho 'more'\nexec sleep 1000";
    bench.program("gst-launch-1.0", script);
    let size = format!("width={}&height={}", SIZE.0, SIZE.1);
    let uri = format!("csi://0?{size}&range=limited&command=exec gst-launch-1.0 -q x fdsink fd=3 3>&1 1>&2");
    let mut command = bench.live(&uri, "-", &["--frames", "4", "--drop", "never", "-v"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let wanted = expected(&bench, &noise(4 * FRAME), "");
    assert!(frames(&output.stdout) == frames(&wanted));
    assert!(said(&output).contains("GST_ARGUS"), "{}", said(&output));
    bench.nothing_is_left();
    // Where the program of Raspberry Pi is installed, that would be taken.
    let other = Command::new("sh").args(["-c", "command -v rpicam-vid libcamera-vid"]).output().unwrap();
    if !other.stdout.is_empty() || Path::new("/proc/device-tree/compatible").exists() {
        scope::skip(
            "csi:// by a Jetson's own program",
            "this machine has the program of a Raspberry Pi, or is a board",
        );
        return;
    }
    let uri = format!("csi://2?{size}&fps=30000/1001");
    let output = bench.live(&uri, "-", &["--frames", "4", "--drop", "never", "-v"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(frames(&output.stdout) == frames(&wanted), "limited range");
    let call = "gst-launch-1.0 -q nvarguscamerasrc sensor-id=2 ! video/x-raw(memory:NVMM),format=NV12,width=64,height=48,\
                framerate=30000/1001 ! nvvidconv ! video/x-raw,format=I420 ! fdsink fd=3 sync=false";
    assert!(bench.calls().contains(call), "{}", bench.calls());
    bench.nothing_is_left();
}

/// Fills `frame` with the next one.
fn next(source: &mut dyn FrameSource, frame: &mut [u8]) {
    while !source.read(frame).unwrap().is_frame() {}
}

#[test]
fn frames_allocate_nothing() {
    let bench = Bench::new();
    let given = noise(50 * FRAME);
    fs::write(bench.path("frames.yuv"), &given).unwrap();
    let command = format!("while :; do cat '{}'; done", bench.uri("frames.yuv"));
    // Rows without padding, and the same bytes as rows with a padding of two.
    for (size, stride) in [(SIZE, ""), ((62, 48), "&stride=64")] {
        let uri = format!("csi://0?width={}&height={}{stride}&command={command}", size.0, size.1);
        let mut source = uri.parse::<SourceUri>().unwrap().open().unwrap();
        let mut frame = vec![0; size.0 * size.1 * 3 / 2];
        next(&mut *source, &mut frame);
        let before = own_calls();
        for number in 1..200 {
            next(&mut *source, &mut frame);
            let row = &given[number % 50 * FRAME + FRAME - 32..][..size.0 / 2];
            assert!(frame.ends_with(row), "{stride} frame {number}");
        }
        assert_eq!(own_calls() - before, 0, "{stride}");
    }
}

/// Gives three frames and a half, and ends; it is started again, and the half frame counts as damaged.
#[test]
fn a_program_that_ends_is_started_again() {
    let bench = Bench::new();
    fs::write(bench.path("frames.yuv"), noise(3 * FRAME + FRAME / 2)).unwrap();
    bench.program("rpicam-vid", "cat frames.yuv\necho 'ERROR: *** camera unplugged ***' >&2\nexit 255");
    let uri = format!("csi://?width={}&height={}", SIZE.0, SIZE.1);
    let output = bench.live(&uri, "-", &["--frames", "9", "--drop", "never", "--format", "json"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let wanted = expected(&bench, &noise(3 * FRAME).repeat(3), "&range=full");
    assert!(frames(&output.stdout) == frames(&wanted), "{}", said(&output));
    let summary: serde_json::Value = serde_json::from_str(said(&output).lines().last().unwrap()).unwrap();
    assert_eq!(summary["source"]["reconnects"], 2, "{summary}");
    assert_eq!(summary["source"]["damaged"], 2, "{summary}");
    assert_eq!(bench.pids().len(), 3);
    assert!(said(&output).contains("exit status: 255): ERROR: *** camera unplugged ***"), "{}", said(&output));
    bench.nothing_is_left();
}

#[test]
fn patience_has_an_end() {
    let bench = Bench::new();
    fs::write(bench.path("frames.yuv"), noise(FRAME)).unwrap();
    bench.program("rpicam-vid", "[ -e seen ] && exit 1\ntouch seen\ncat frames.yuv");
    let uri = format!("csi://0?width={}&height={}", SIZE.0, SIZE.1);
    for limit in ["0s", "700ms"] {
        let _ = fs::remove_file(bench.path("seen"));
        let output = bench.live(&uri, "null://", &["--reconnect", limit]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("it is gone"), "{}", said(&output));
    }
    // Started again with pauses that grow: 0.1, 0.2 and 0.4 s.
    assert!((3..=6).contains(&bench.pids().len()), "{:?}", bench.pids());
    bench.nothing_is_left();
}

#[test]
fn however_a_run_ends_the_program_ends_too() {
    for (signals, code) in [(1, Some(0)), (2, Some(1))] {
        let bench = Bench::new();
        fs::write(bench.path("frames.yuv"), noise(FRAME)).unwrap();
        // It does not listen to the first request.
        bench.program("rpicam-vid", "trap '' TERM\nwhile :; do cat frames.yuv; sleep 0.02; done");
        let uri = format!("csi://0?width={}&height={}", SIZE.0, SIZE.1);
        let out = bench.path("out.yuv");
        let sink = format!("{}?format=yuv420p", out.display());
        // A slow sink holds frames back that a second signal does not wait for.
        let sink = if signals == 1 { sink } else { "null://?delay=1s".into() };
        let child = bench.live(&uri, &sink, &["-q"]).spawn().unwrap();
        wait_for(&bench.path("pids"), 1);
        std::thread::sleep(Duration::from_millis(1500));
        (0..signals).for_each(|_| {
            kill(&child, "INT");
            std::thread::sleep(Duration::from_millis(150));
        });
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), code, "{}", said(&output));
        // It has gone when the run has gone, not a moment later.
        let pid = bench.pids()[0];
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{pid} outlived the run");
        bench.nothing_is_left();
    }
    // A sink that fails ends the run, and the program with it.
    let bench = Bench::new();
    fs::write(bench.path("frames.yuv"), noise(FRAME)).unwrap();
    bench.program("rpicam-vid", "while :; do cat frames.yuv; sleep 0.02; done");
    let uri = format!("csi://0?width={}&height={}", SIZE.0, SIZE.1);
    let output = bench.live(&uri, "/dev/full?format=yuv420p", &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    bench.nothing_is_left();
}

#[test]
fn a_program_without_a_frame_is_ended_by_a_signal_too() {
    let bench = Bench::new();
    bench.program("rpicam-vid", "exec sleep 1000");
    let child = bench.live("csi://0", "null://", &[]).spawn().unwrap();
    wait_for(&bench.path("pids"), 1);
    kill(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("rpicam-vid gave no frame for 10s"), "{}", said(&output));
    bench.nothing_is_left();
}

#[test]
fn mistakes_are_one_line_and_exit_2() {
    let bench = Bench::new();
    bench.program("failing", "echo 'ERROR: *** no cameras available ***' >&2\nexit 255");
    bench.program(
        "other",
        "echo 'INFO Camera camera.cpp:1215 configuring streams: (0) 1296x972-YUV420/sYCC' >&2\nsleep 0.3\nyes",
    );
    for (uri, reason) in [
        ("csi://left", "csi://0"),
        ("csi://0?width=641", "640x360"),
        ("csi://0?stride=100&command=x", "at least the width (640)"),
        ("csi://0?fps=0&command=x", "fps=0"),
        ("csi://0?command=", "empty"),
        ("csi://0?colour=red", "colour"),
        ("csi://0?command=failing", "the command gave no frame; it ended (exit status: 255): ERROR: *** no cameras"),
        ("csi://0?command=nonexistent-camera-program", "nonexistent-camera-program"),
        ("csi://0?command=exec other", "gives frames of 1296x972 and not 640x360"),
    ] {
        let output = bench.live(uri, "null://", &[]).output().unwrap();
        let said = said(&output);
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{uri}: {said}");
        assert!(said.contains(reason), "{uri}: {said}");
    }
    let mut command = bench.live("csi://0", "null://", &[]);
    let output = command.env("PATH", "/nonexistent").output().unwrap();
    let said = said(&output);
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("rpicam-vid") && said.contains("apt install"), "{said}");
}

//! `--info-text` and the temperature in `--stats`.

#[path = "support/counting.rs"]
mod counting;
#[path = "support/live.rs"]
mod scene;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bifocal::internals::engine::{self, Engine};
use bifocal::internals::frame::FrameFormat;
use bifocal::internals::io::{FrameSink, Shown, SourceUri, WriteError};
use bifocal::internals::live::{self, Upscaler, Wish};
use bifocal::internals::model::Model;
use counting::calls;
use scene::{OPTIONS, alone};

fn bifocal(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bifocal"));
    command.args(args).env_remove("RUST_LOG").stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The text is on the lower left of every frame, in the format of the sink; the rest of the frame is as without it.
#[test]
fn the_text_is_on_every_frame_and_the_rest_is_untouched() {
    let _alone = alone();
    for (pixels, sink) in [("yuv420p", "yuv420p"), ("gray", "gray"), ("rgb24", "rgb24"), ("yuv422p", "rgb24")] {
        let run = |more: &[&str]| {
            let source = format!("test://bars?width=160&height=90&fps=0&frames=3&format={pixels}");
            let sink = format!("-?format={sink}");
            let output = bifocal(&[&["live", &source, &sink, "-q"], more].concat());
            assert!(output.status.success(), "{}", said(&output));
            output.stdout
        };
        let (plain, marked, other) = (run(&[]), run(&["--info-text", "100%%"]), run(&["--info-text", "100%% "]));
        assert_eq!(plain.len(), marked.len());
        let channels = if sink == "rgb24" { 3 } else { 1 };
        let (row, bytes) = (320 * channels, plain.len() / 3);
        for frame in 0..3 {
            let [plain, marked, other] = [&plain, &marked, &other].map(|video| &video[frame * bytes..][..row * 180]);
            // A box of 48 x 28 pixels, 4 pixels from the corner; with one letter more it is 10 wider.
            let (mut changed, mut wider, mut white) = (0, 0, 0);
            for i in 0..row * 180 {
                let (x, y) = (i % row / channels, i / row);
                let inside = (4..52).contains(&x) && (148..176).contains(&y);
                assert!(inside || plain[i] == marked[i], "{pixels} to {sink}, frame {frame}: {x}, {y}");
                changed += usize::from(plain[i] != marked[i]);
                wider += usize::from(plain[i] != other[i]);
                white += usize::from(inside && marked[i] >= 235);
            }
            assert!(changed > 300 && wider > changed, "{pixels} to {sink}: {changed} {wider}");
            assert!((80 * channels..600 * channels).contains(&white), "{white} white samples");
        }
    }
}

#[test]
fn mistakes_are_one_line_and_exit_2() {
    let _alone = alone();
    for (text, reason) in
        [("%fps %frames", "'%frames' is unknown"), ("50% off", "'%'"), (&*"x".repeat(99), "99 letters")]
    {
        let output = bifocal(&["live", "test://bars", "null://", "--info-text", text]);
        let said = said(&output);
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{text}: {said}");
        assert!(said.contains(reason) && said.contains("--info-text"), "{said}");
    }
}

#[test]
fn the_temperature_is_told_and_drawn() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let zone = folder.path().join("sys/class/thermal/thermal_zone0");
    fs::create_dir_all(&zone).unwrap();
    fs::write(zone.join("type"), "cpu-thermal\n").unwrap();
    let root = folder.path().to_str().unwrap();
    let at = |thousandths: &str, more: &[&str]| {
        fs::write(zone.join("temp"), thousandths).unwrap();
        let source = "test://bars?width=160&height=90&fps=0&frames=2&format=gray";
        let output = bifocal(&[&["live", source, "-?format=gray", "--root", root], more].concat());
        assert!(output.status.success(), "{}", said(&output));
        output
    };
    let json = at("48600", &["--format", "json"]);
    let summary: serde_json::Value = serde_json::from_str(said(&json).lines().last().unwrap()).unwrap();
    assert_eq!(summary["temperature_c"], 48.6, "{summary}");
    assert!(said(&at("48600", &[])).trim_end().ends_with(", 48.6 °C"), "{}", said(&json));
    let drawn = |degrees| at(degrees, &["--info-text", "%temp"]).stdout;
    assert!(drawn("48600") == drawn("49400"), "both are 49");
    assert!(drawn("48600") != drawn("61000"));
    fs::remove_dir_all(&zone).unwrap();
    fs::create_dir_all(&zone).unwrap();
    let none = bifocal(&["live", "test://bars?frames=1&fps=0", "null://", "--root", root, "--format", "json"]);
    let summary: serde_json::Value = serde_json::from_str(said(&none).lines().last().unwrap()).unwrap();
    assert!(summary["temperature_c"].is_null(), "{summary}");
}

/// Takes frames, and notes the allocations until then.
struct Marks(Arc<Mutex<Vec<usize>>>);

impl FrameSink for Marks {
    fn write(&mut self, _: &[u8]) -> Result<Shown, WriteError> {
        std::thread::sleep(Duration::from_millis(4));
        self.0.lock().unwrap().push(calls());
        Ok(Shown::Now)
    }

    fn finish(self: Box<Self>) -> Result<(), WriteError> {
        Ok(())
    }
}

#[test]
fn frames_with_text_allocate_nothing() {
    let _alone = alone();
    const FRAMES: usize = 400;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("temp");
    fs::write(&file, "48600").unwrap();
    let model = Model::embedded().unwrap();
    let uri = format!("test://bars?width=96&height=48&fps=0&frames={FRAMES}");
    let source = uri.parse::<SourceUri>().unwrap().open().unwrap();
    let from = source.clip().format;
    let to = FrameFormat { size: from.size.scaled(2), ..from };
    let options = OPTIONS;
    let engine = Engine::prepare(&model, &engine::Options::new(from.size, live::engine_format(&from))).unwrap();
    let read = Arc::new(AtomicUsize::new(0));
    let (own, path) = (Arc::clone(&read), file.clone());
    let thermometer = Box::new(move || {
        own.fetch_add(1, Ordering::Relaxed);
        degrees(&path)
    });
    let text = "%fps %lat %temp %drop".parse().unwrap();
    let upscaler = Upscaler::new(engine, from, to, false).with_info(text, thermometer);
    let marks = Arc::new(Mutex::new(Vec::with_capacity(FRAMES)));
    let sink = Box::new(Marks(Arc::clone(&marks)));
    let stats = live::run(&options, upscaler, source, sink, |_| Wish::Run).unwrap();
    assert_eq!(stats.shown, FRAMES as u64);
    let marks = marks.lock().unwrap();
    assert_eq!(marks[FRAMES - 20] - marks[20], 0, "allocations");
    // The numbers changed meanwhile.
    assert!(read.load(Ordering::Relaxed) >= 3, "{read:?}");
}

fn degrees(path: &Path) -> Option<f64> {
    use std::io::Read;
    let mut digits = [0; 16];
    let read = fs::File::open(path).ok()?.read(&mut digits).ok()?;
    Some(std::str::from_utf8(&digits[..read]).ok()?.trim().parse::<f64>().ok()? / 1e3)
}

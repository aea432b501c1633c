//! `bifocal live` and the room behind it: bytes, order, bounds, allocations, ends.

#[path = "support/counting.rs"]
mod counting;
#[path = "support/scope.rs"]
mod scope;
#[path = "support/live.rs"]
mod support;

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bifocal::internals::frame::{FrameFormat, Layout};
use bifocal::internals::geom::Size;
use bifocal::internals::io::{
    Arrival, Clip, FrameSink, FrameSource, ReadError, Shown, SinkUri, SourceUri, WriteError, Y4mSource, read_counter,
};
use bifocal::internals::live::{self, DropPolicy, Options, Wish};
use bifocal::internals::model::Model;
use bifocal::{Still, Tolerance};
use counting::{calls, held};
use support::{Look, OPTIONS, alone, bifocal, expected, frames_of, prepare, run, y4m};

#[test]
fn y4m_is_upscaled_plane_by_plane() {
    let _alone = alone();
    let model = Model::embedded().unwrap();
    for kind in ["420jpeg", "420mpeg2", "420paldv", "422", "444", "mono"] {
        for size in [Size::new(33, 17), Size::new(48, 32), Size::new(1, 1)] {
            let header = format!("YUV4MPEG2 W{} H{} C{kind}\n", size.width, size.height);
            let from = Y4mSource::open(header.as_bytes(), "x").unwrap().clip().format;
            let input = y4m(kind, &from, 4);
            let mut child = bifocal(&["live", "-", "-"]).stdin(Stdio::piped()).spawn().unwrap();
            let mut stdin = child.stdin.take().unwrap();
            let bytes = input.clone();
            let feeder = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
            let output = child.wait_with_output().unwrap();
            feeder.join().unwrap();
            assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
            let (clip, frames) = frames_of(&output.stdout);
            assert!(output.stdout.starts_with(b"YUV4MPEG2 ") && clip.format.size == size.scaled(2));
            assert_eq!(clip.format.siting, from.siting);
            let (_, given) = frames_of(&input);
            assert_eq!(frames.len(), given.len());
            for (number, (frame, given)) in frames.iter().zip(&given).enumerate() {
                assert!(*frame == expected(&model, &from, given), "C{kind} {size}, frame {number}");
            }
        }
    }
}

#[test]
fn the_counter_is_read_from_upscaled_frames_in_order() {
    let _alone = alone();
    let size = Size::new(88, 24);
    let numbers = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&numbers);
    let look = move |frame: &[u8]| seen.lock().unwrap().push(read_counter(frame, size, 2).expect("a counter"));
    let uri = "test://bars?width=88&height=24&fps=0&frames=60";
    let stats = run(&OPTIONS, uri, Box::new(Look(look, Duration::ZERO)));
    assert_eq!(*numbers.lock().unwrap(), (0..60).collect::<Vec<u16>>());
    assert_eq!((stats.captured, stats.shown, stats.dropped.total()), (60, 60, 0));
}

#[test]
fn a_slow_sink_bounds_latency_and_drops_are_counted() {
    let _alone = alone();
    let delay = Duration::from_millis(20);
    for (queue, policy) in [(1, DropPolicy::Oldest), (4, DropPolicy::Oldest), (2, DropPolicy::Newest)] {
        let options = Options { queue, drop: policy, frames: Some(300), ..OPTIONS };
        let numbers = Arc::new(Mutex::new(Vec::with_capacity(400)));
        let seen = Arc::clone(&numbers);
        // The slowest frame time that was: the system's timer and other programs add to the sink's own.
        let slowest = Arc::new(AtomicUsize::new(0));
        let (mut last, gaps) = (Instant::now(), Arc::clone(&slowest));
        let look = move |frame: &[u8]| {
            seen.lock().unwrap().push(read_counter(frame, Size::new(48, 16), 2).unwrap());
            gaps.fetch_max(last.elapsed().as_micros() as usize, Ordering::Relaxed);
            last = Instant::now();
        };
        let stats = run(&options, "test://bars?width=48&height=16&fps=200", Box::new(Look(look, delay)));
        let numbers = numbers.lock().unwrap();
        assert!(numbers.is_sorted() && numbers.len() as u64 == stats.shown, "{policy:?}: {numbers:?}");
        assert_eq!(stats.captured, 300);
        assert_eq!(stats.shown + stats.dropped.total(), stats.captured);
        assert_eq!(stats.dropped.ended, 0, "what is on its way is shown");
        assert!(stats.dropped.total() > 100);
        let times = (queue + 2) as f64;
        let (usual, slowest) = (times * stats.stage_ms.sink, times * slowest.load(Ordering::Relaxed) as f64 / 1e3);
        assert!(stats.latency_ms.p50 <= usual * 1.1 + 3.0, "{policy:?} {queue}: {stats} over {usual}");
        assert!(stats.latency_ms.max <= slowest + 5.0, "{policy:?} {queue}: {stats} over {slowest}");
    }
}

/// Allocations and memory between frame 20 and the last but 20, before threads end.
fn steady(source: Box<dyn FrameSource>, mut sink: Box<dyn FrameSink>, to: FrameFormat, compare: bool, frames: u64) {
    let still = Still { tolerance: Tolerance::Noise, refresh: 50 };
    let options = Options { compare, still: (!compare).then_some(still), frames: Some(frames), ..OPTIONS };
    let from = source.clip().format;
    let before = held();
    let (upscaler, said) = prepare(&options, from, to);
    let marks = Arc::new([const { AtomicUsize::new(0) }; 5]);
    let own = Arc::clone(&marks);
    let count = move |frame: &[u8]| {
        sink.write(frame).unwrap();
        let number = own[4].fetch_add(1, Ordering::Relaxed);
        for (at, mark) in [(20, 0), (frames as usize - 20, 2)] {
            if number == at {
                own[mark].store(calls(), Ordering::Relaxed);
                own[mark + 1].store(held(), Ordering::Relaxed);
            }
        }
    };
    let sink = Box::new(Look(count, Duration::ZERO));
    let stats = live::run(&options, upscaler, source, sink, |_| Wish::Run).unwrap();
    assert_eq!(stats.shown, frames);
    let [calls, held, last_calls, last_held, _] = marks.each_ref().map(|m| m.load(Ordering::Relaxed));
    assert_eq!((last_calls - calls, last_held), (0, held), "{from:?} to {to:?}");
    assert!(last_held - before <= said, "{} held, {said} said", last_held - before);
}

#[test]
fn frames_allocate_nothing() {
    let _alone = alone();
    let open = |uri: &str| uri.parse::<SourceUri>().unwrap().open().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (query, sink) in
        [("yuv420p", "out.y4m"), ("yuv444p", "out.y4m"), ("rgb24", "out.y4m"), ("yuv422p", "o?format=rgb24")]
    {
        let source = open(&format!("test://bars?width=51&height=19&fps=0&frames=400&format={query}"));
        let clip = *source.clip();
        let uri: SinkUri = folder.path().join(sink).to_str().unwrap().parse().unwrap();
        let bars: SourceUri = "test://bars".parse().unwrap();
        let to = uri.takes(&FrameFormat { size: clip.format.size.scaled(2), ..clip.format }, &bars).unwrap();
        let sink = uri.create(&Clip { format: to, ..clip }, &clip.format).unwrap();
        steady(source, sink, to, query == "yuv444p", 400);
    }
    let from = FrameFormat { layout: Layout::Yuv420, ..FrameFormat::picture(Size::new(48, 32), Layout::Yuv420) };
    let path = folder.path().join("in.y4m");
    std::fs::write(&path, y4m("420jpeg", &from, 300)).unwrap();
    let source = open(path.to_str().unwrap());
    let to = FrameFormat { size: from.size.scaled(2), ..source.clip().format };
    let null = "null://".parse::<SinkUri>().unwrap().create(source.clip(), &from).unwrap();
    steady(source, null, to, false, 300);
}

#[test]
#[ignore = "needs devices: tests/hardware runs it in an emulated machine, and names them"]
fn frames_of_devices_allocate_nothing() {
    let _alone = alone();
    let [source, sink] = ["BIFOCAL_TEST_SOURCE", "BIFOCAL_TEST_SINK"]
        .map(|name| std::env::var(name).unwrap_or_else(|_| panic!("{name} names no device")));
    let from: SourceUri = source.parse().unwrap();
    let source = from.open().unwrap();
    let clip = *source.clip();
    let uri: SinkUri = sink.parse().unwrap();
    let to = uri.takes(&FrameFormat { size: clip.format.size.scaled(2), ..clip.format }, &from).unwrap();
    let sink = uri.create(&Clip { format: to, ..clip }, &clip.format).unwrap();
    steady(source, sink, to, false, 150);
}

/// Fails like a bug after some frames.
struct Broken(Box<dyn FrameSource>, usize);

impl FrameSource for Broken {
    fn clip(&self) -> &Clip {
        self.0.clip()
    }

    fn read(&mut self, frame: &mut [u8]) -> Result<Arrival, ReadError> {
        self.1 = self.1.checked_sub(1).expect("a bug");
        self.0.read(frame)
    }
}

/// Something that has to be put right, such as the text of a console, after some time.
struct Fragile(Arc<AtomicUsize>, Arc<AtomicUsize>);

impl FrameSink for Fragile {
    fn write(&mut self, _: &[u8]) -> Result<Shown, WriteError> {
        Ok(Shown::Now)
    }

    fn finish(self: Box<Self>) -> Result<(), WriteError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        std::thread::sleep(Duration::from_millis(200));
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn sinks_are_put_right_before_a_run_ends_badly() {
    let _alone = alone();
    let [dropped, finished] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    for (frames, wish) in [(5, Wish::Run), (usize::MAX, Wish::Abandon)] {
        let source = "test://bars?width=44&height=4&fps=100".parse::<SourceUri>().unwrap().open().unwrap();
        let from = source.clip().format;
        let (upscaler, _) = prepare(&OPTIONS, from, FrameFormat { size: from.size.scaled(2), ..from });
        let sink = Box::new(Fragile(Arc::clone(&dropped), Arc::clone(&finished)));
        let source = Box::new(Broken(source, frames));
        let run = || live::run(&OPTIONS, upscaler, source, sink, |_| wish);
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        assert!(if wish == Wish::Run { ended.is_err() } else { ended.unwrap().is_err() });
        // Whatever ends a run, what was written before is kept.
        assert_eq!((dropped.swap(0, Ordering::SeqCst), finished.swap(0, Ordering::SeqCst)), (1, 1), "{wish:?}");
    }
}

#[test]
fn compare_shows_the_filter_on_the_left() {
    let _alone = alone();
    let pictures = Arc::new(Mutex::new(Vec::<Vec<u8>>::new()));
    for compare in [false, true] {
        let seen = Arc::clone(&pictures);
        let look = move |frame: &[u8]| seen.lock().unwrap().push(frame.to_vec());
        let options = Options { compare, ..OPTIONS };
        run(
            &options,
            "test://bars?width=50&height=20&fps=0&frames=1&format=gray",
            Box::new(Look(look, Duration::ZERO)),
        );
    }
    let pictures = pictures.lock().unwrap();
    let half = |picture: usize, right: bool| -> Vec<u8> {
        pictures[picture]
            .chunks(100)
            .flat_map(|row| if right { row[50..].to_vec() } else { row[..50].to_vec() })
            .collect()
    };
    assert_eq!(half(0, true), half(1, true));
    assert_ne!(half(0, false), half(1, false));
}

#[test]
fn a_reader_that_leaves_ends_the_run() {
    let _alone = alone();
    let mut child = bifocal(&["live", "test://bars?width=64&height=32&fps=0", "-"]).spawn().unwrap();
    let mut some = [0; 50_000];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut some).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[cfg(unix)]
#[test]
fn signals_end_cleanly_and_the_file_is_whole() {
    let _alone = alone();
    for signal in ["INT", "TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out.y4m");
        let args = ["live", "test://bars?width=64&height=32&fps=50", out.to_str().unwrap(), "--format", "json"];
        let child = bifocal(&args).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(700));
        assert!(!out.exists(), "the file has its name once it is complete");
        let kill = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        let summary: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        let (_, frames) = frames_of(&std::fs::read(&out).unwrap());
        let written = summary["shown"].as_u64().unwrap() + summary["filled"].as_u64().unwrap();
        assert_eq!(written, frames.len() as u64);
        assert!(frames.len() > 5 && std::fs::read_dir(folder.path()).unwrap().count() == 1);
    }
}

/// `script`, which every Debian has, makes the terminal.
#[cfg(target_os = "linux")]
#[test]
fn q_ends_cleanly_and_the_terminal_is_as_before() {
    let _alone = alone();
    let program = env!("CARGO_BIN_EXE_bifocal");
    let line = format!("stty -a; {program} live test://bars?fps=50 null:// --stats 100ms; echo ended $?; stty -a");
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut child) = script.spawn() else {
        scope::skip("live at a terminal", "the command 'script' is missing (apt-get install bsdutils)");
        return;
    };
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut said = Vec::new();
    // Once it says something of its own it listens.
    while !String::from_utf8_lossy(&said).contains(" fps") {
        let mut some = [0; 4096];
        let read = stdout.read(&mut some).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&said));
        said.extend(&some[..read]);
    }
    stdin.write_all(b"q").unwrap();
    stdout.read_to_end(&mut said).unwrap();
    drop(stdin);
    child.wait().unwrap();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("ended 0"), "{said}");
    let settings: Vec<&str> = said.lines().filter(|line| line.contains("icanon")).map(str::trim).collect();
    assert!(settings.len() == 2 && settings[0] == settings[1] && !settings[0].contains("-icanon"), "{said}");
}

#[test]
fn a_source_that_never_gives_a_frame_does_not_hold_the_end() {
    let _alone = alone();
    let begin = Instant::now();
    let mut child = bifocal(&["live", "-", "null://", "--duration", "300ms"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"YUV4MPEG2 W48 H32 Cmono\nFRAME\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn pictures_and_raw_video_travel() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let go = |source: &str, sink: &str| {
        let output = bifocal(&["live", source, sink, "-q"]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{source}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let bars = "test://bars?width=52&height=20&fps=0&frames=3";
    go(bars, &at("a/%03d.png"));
    let first = image::open(at("a/001.png")).unwrap();
    assert_eq!((first.width(), first.height()), (104, 40));
    go(&at("a/%03d.png"), &at("b/%d.png"));
    assert_eq!(image::open(at("b/3.png")).unwrap().width(), 208);
    go(&at("a/%03d.png"), &at("c.y4m"));
    assert_eq!(frames_of(&std::fs::read(at("c.y4m")).unwrap()).0.format.layout, Layout::Yuv444);
    go(bars, &at("n?format=nv12"));
    assert_eq!(std::fs::metadata(at("n")).unwrap().len(), 3 * 104 * 40 * 3 / 2);
    go(&at("n?format=nv12&width=104&height=40"), &at("p?format=yuv420p"));
}

#[test]
fn mistakes_are_one_line_and_exit_2() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.y4m");
    std::fs::write(&text, "no video\n").unwrap();
    let text = text.to_str().unwrap();
    for (source, sink, reason) in [
        ("gopher://x", "null://", "not supported"),
        ("test://dots", "null://", "test://bars"),
        ("test://bars?widht=3", "null://", "widht"),
        ("test://bars?width=10", "null://", "44x4"),
        ("file://missing.y4m", "null://", "missing.y4m"),
        ("file://missing/%05d.png", "null://", "no picture"),
        ("-?format=nv12", "null://", "width="),
        ("-?format=p010&width=4&height=4", "null://", "nv12"),
        (text, "null://", "ffmpeg"),
        (text, text, "not a Y4M"),
        ("test://bars", "out.mp4", ".y4m"),
        ("test://bars", "null://?delay=soon", "soon"),
        ("test://bars?format=gray", "-?format=nv12", "4:2:0"),
    ] {
        let output = bifocal(&["live", source, sink]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        if source == sink {
            assert!(said.contains("never overwritten"), "{said}");
        } else {
            assert!(said.contains(reason), "{source}: {said}");
        }
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{source} {sink}: {said}");
    }
    let output = bifocal(&["live", "test://bars", "null://", "--mem", "1MiB"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    let least = said.trim().rsplit(' ').next().unwrap();
    let output = bifocal(&["live", "test://bars?fps=0", "null://", "--frames", "1", "--mem", least]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

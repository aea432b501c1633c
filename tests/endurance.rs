//! `bifocal live` for long, and often: nothing grows, nothing is left behind, nothing is lost.

#[path = "support/counting.rs"]
mod counting;
#[path = "support/scope.rs"]
mod scope;
#[path = "support/live.rs"]
mod support;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bifocal::internals::engine::{self, Engine};
use bifocal::internals::frame::{FrameFormat, Layout};
use bifocal::internals::geom::Size;
use bifocal::internals::io::{Arrival, Clip, FrameSource, ReadError, SinkUri, SourceUri, read_counter};
use bifocal::internals::live::{self, DropPolicy, Options, Upscaler, Wish};
use bifocal::internals::model::Model;
use counting::{calls, held};
use support::{Look, OPTIONS, alone, bifocal, expected, frames_of, prepare, y4m};

/// How many frames the sink had shown when a frame had been handed to the queue; `usize::MAX` before.
type Handed = Arc<[AtomicUsize]>;

/// Gives the frames of another source at a pace, and notes when each was handed on: when the next is asked for.
struct Paced {
    source: Box<dyn FrameSource>,
    pace: Duration,
    handed: Handed,
    shown: Arc<AtomicUsize>,
    given: usize,
}

impl FrameSource for Paced {
    fn clip(&self) -> &Clip {
        self.source.clip()
    }

    fn read(&mut self, frame: &mut [u8]) -> Result<Arrival, ReadError> {
        if self.given > 0 {
            self.handed[self.given - 1].store(self.shown.load(Ordering::SeqCst), Ordering::SeqCst);
        }
        std::thread::sleep(self.pace);
        let arrival = self.source.read(frame)?;
        self.given += usize::from(arrival.is_frame());
        Ok(arrival)
    }
}

#[test]
fn thousands_of_frames_into_a_slow_sink_stay_bounded() {
    let _alone = alone();
    let frames: usize = scope::size(2000, 10_000);
    for (queue, drop) in [(1, DropPolicy::Oldest), (3, DropPolicy::Newest)] {
        let options = Options { queue, drop, ..OPTIONS };
        let source = format!("test://bars?width=44&height=4&fps=0&frames={frames}&format=gray");
        let source = source.parse::<SourceUri>().unwrap().open().unwrap();
        let from = source.clip().format;
        let handed: Handed = (0..frames).map(|_| AtomicUsize::new(usize::MAX)).collect();
        let shown = Arc::new(AtomicUsize::new(0));
        let pace = Duration::from_micros(100);
        let source = Paced { source, pace, handed: Arc::clone(&handed), shown: Arc::clone(&shown), given: 0 };
        let (upscaler, _) = prepare(&options, from, FrameFormat { size: from.size.scaled(2), ..from });
        let marks = Arc::new([const { AtomicUsize::new(0) }; 3]);
        let (own, count) = (Arc::clone(&marks), Arc::clone(&shown));
        let mut first = None;
        // Latency is counted in frames of the sink, which sets the pace: no clock is asked.
        let look = move |frame: &[u8]| {
            let number = usize::from(read_counter(frame, from.size, 2).expect("a counter"));
            let done = count.fetch_add(1, Ordering::SeqCst) + 1;
            let before = handed[number].load(Ordering::SeqCst);
            if before != usize::MAX {
                own[0].fetch_max(done - before, Ordering::SeqCst);
                own[1].fetch_add(1, Ordering::SeqCst);
            }
            // Threads whose work is done free what is theirs before the last frames are shown.
            if done > 50 && number + 50 < frames {
                let memory = (calls(), held());
                let changed = *first.get_or_insert(memory) != memory;
                own[2].fetch_add(usize::from(changed), Ordering::SeqCst);
            }
        };
        let sink = Box::new(Look(look, Duration::from_millis(1)));
        let stats = live::run(&options, upscaler, Box::new(source), sink, |_| Wish::Run).unwrap();
        let [latency, compared, changes] = marks.each_ref().map(|mark| mark.load(Ordering::SeqCst));
        assert_eq!(stats.captured, frames as u64);
        assert_eq!(stats.shown, shown.load(Ordering::SeqCst) as u64);
        assert_eq!((stats.shown + stats.dropped.total(), stats.dropped.ended), (stats.captured, 0));
        assert!(stats.dropped.total() > frames as u64 / 4, "the sink is slower: {stats}");
        assert!(compared as u64 > stats.shown / 2, "{compared} of {stats}");
        assert!((2..=queue + 2).contains(&latency), "{drop:?} {queue}: {latency} frame times");
        assert_eq!(changes, 0, "memory is constant");
    }
}

/// Open files and threads of this process.
#[cfg(target_os = "linux")]
fn held_by_the_system() -> [usize; 2] {
    ["/proc/self/fd", "/proc/self/task"].map(|folder| std::fs::read_dir(folder).unwrap().count())
}

#[cfg(target_os = "linux")]
#[test]
fn a_thousand_runs_leave_nothing_behind() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let format = FrameFormat::picture(Size::new(16, 8), Layout::Gray);
    std::fs::write(path("in.y4m"), y4m("mono", &format, 3)).unwrap();
    let model = Model::embedded().unwrap();
    let cycle = |number: usize| {
        let source = path("in.y4m").parse::<SourceUri>().unwrap().open().unwrap();
        let from = source.clip().format;
        let to = FrameFormat { size: from.size.scaled(2), ..from };
        let sink = path("out.y4m").parse::<SinkUri>().unwrap();
        let sink = sink.create(&Clip { format: to, ..*source.clip() }, &source.clip().format).unwrap();
        let mut wanted = engine::Options::new(from.size, live::engine_format(&from));
        wanted.threads = 2;
        let engine = Engine::prepare(&model, &wanted).unwrap();
        let upscaler = Upscaler::new(engine, from, to, false);
        // To the end, ended cleanly, and at once.
        let wish = [Wish::Run, Wish::Stop, Wish::Abandon][number % 3];
        let done = live::run(&OPTIONS, upscaler, source, sink, |_| wish);
        assert!(done.is_ok() || wish == Wish::Abandon, "{done:?}");
        let _ = std::fs::remove_file(path("out.y4m"));
    };
    (0..20).for_each(cycle);
    let (before, [files, threads]) = (held(), held_by_the_system());
    (0..1000).for_each(cycle);
    // Threads that nobody waits for end a moment later.
    let patience = Instant::now() + Duration::from_secs(5);
    while held_by_the_system()[1] > threads && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(10));
    }
    let [files_now, threads_now] = held_by_the_system();
    let grown = held() as isize - before as isize;
    // The harness has threads and notes of its own; a leak in each run would be a thousand of them.
    assert!(grown < 32 << 10, "{grown} bytes more are held");
    assert!(files_now <= files + 4 && threads_now <= threads + 4, "{files_now} files, {threads_now} threads");
}

#[test]
fn every_frame_passes_between_two_ffmpegs() {
    let _alone = alone();
    let ffmpeg = |args: &[&str]| {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin"]).args(args).stdout(Stdio::piped());
        command
    };
    if ffmpeg(&["-version"]).output().is_err() {
        scope::skip("live between two ffmpegs", "ffmpeg is missing (apt-get install ffmpeg)");
        return;
    }
    let model = Model::embedded().unwrap();
    for pixels in ["yuv420p", "yuv422p", "yuv444p", "gray"] {
        let make = ["-f", "lavfi", "-i", "testsrc2=size=66x50:rate=25", "-frames:v", "40", "-pix_fmt", pixels];
        let make = [&make[..], &["-f", "yuv4mpegpipe", "-"]].concat();
        let (clip, given) = frames_of(&ffmpeg(&make).output().unwrap().stdout);
        let mut maker = ffmpeg(&make).spawn().unwrap();
        let feed = maker.stdout.take().unwrap();
        let mut upscaler = bifocal(&["live", "-", "-"]).stdin(feed).spawn().unwrap();
        let upscaled = upscaler.stdout.take().unwrap();
        let reader = ffmpeg(&["-f", "yuv4mpegpipe", "-i", "-", "-fps_mode", "passthrough", "-f", "rawvideo", "-"])
            .stdin(upscaled)
            .spawn()
            .unwrap();
        let read = reader.wait_with_output().unwrap();
        let said = upscaler.wait_with_output().unwrap();
        assert_eq!(said.status.code(), Some(0), "{}", String::from_utf8_lossy(&said.stderr));
        assert!(maker.wait().unwrap().success() && read.status.success());
        let to = FrameFormat { size: clip.format.size.scaled(2), ..clip.format };
        let frames: Vec<&[u8]> = read.stdout.chunks(to.bytes()).collect();
        assert_eq!((frames.len(), given.len()), (40, 40), "{pixels}");
        for (number, (frame, given)) in frames.iter().zip(&given).enumerate() {
            assert!(*frame == expected(&model, &clip.format, given), "{pixels}, frame {number}");
        }
    }
}

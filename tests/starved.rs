//! Memory that ends at every large allocation, and at small ones chosen at random; files that may not grow beyond every size:
//! one line, the exit code of README, nothing half-written, no temporary file. Nothing aborts.
//!
//! This test starts itself as the program: `BIFOCAL_STARVED` says at which allocation the system begins to give no more than it
//! has given by then, `BIFOCAL_LONGEST` how long a file may be. `BIFOCAL_FAILURES` is how many failures of each kind a job gets, or
//! `all`; `tests/figures` sets that.

#[path = "support/dice.rs"]
mod dice;
#[path = "support/originals.rs"]
mod originals;
#[path = "support/scope.rs"]
mod scope;

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bifocal::internals::memory::ProgramAllocator;
use dice::Dice;

/// Bytes from which an allocation is a large one.
const LARGE: usize = 64 << 10;

/// The system, with an end to its memory.
struct Ending;

#[global_allocator]
static ALLOCATOR: ProgramAllocator<Ending> = ProgramAllocator(Ending);

static HELD: AtomicUsize = AtomicUsize::new(0);
/// Allocations of at least [`FROM`] bytes so far, and at which of them the memory ends.
static COUNT: AtomicUsize = AtomicUsize::new(0);
static FROM: AtomicUsize = AtomicUsize::new(usize::MAX);
static AT: AtomicUsize = AtomicUsize::new(usize::MAX);
/// What may be held from then on.
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);

impl Ending {
    /// May `bytes` be held in the place of `before`?
    fn gives(&self, bytes: usize, before: usize) -> bool {
        if bytes >= FROM.load(Relaxed) {
            if COUNT.fetch_add(1, Relaxed) + 1 == AT.load(Relaxed) {
                LIMIT.store(HELD.load(Relaxed), Relaxed);
            }
            if bytes > before && HELD.load(Relaxed) + bytes - before > LIMIT.load(Relaxed) {
                return false;
            }
        }
        HELD.fetch_add(bytes, Relaxed);
        HELD.fetch_sub(before, Relaxed);
        true
    }
}

#[allow(unsafe_code)]
// SAFETY: every call is passed on to the system's allocator as it came, or answered as the system answers when it has no memory.
unsafe impl GlobalAlloc for Ending {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract, which is the same.
        if self.gives(layout.size(), 0) { unsafe { System.alloc(layout) } } else { std::ptr::null_mut() }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        if self.gives(layout.size(), 0) { unsafe { System.alloc_zeroed(layout) } } else { std::ptr::null_mut() }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        match self.gives(size, layout.size()) {
            // SAFETY: as above.
            true => unsafe { System.realloc(pointer, layout, size) },
            false => std::ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn number(variable: &str) -> Option<usize> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

/// The program, starved. Where the memory never ends, its last line tells how many allocations there were.
fn program() -> ExitCode {
    let longest = number("BIFOCAL_LONGEST");
    if let Some(bytes) = longest {
        let limit = rustix::process::Rlimit { current: Some(bytes as u64), maximum: Some(bytes as u64) };
        rustix::process::setrlimit(rustix::process::Resource::Fsize, limit).expect("a limit");
    }
    let (from, at) = (number("BIFOCAL_FROM").unwrap_or(0), number("BIFOCAL_STARVED").unwrap_or(0));
    AT.store(at, Relaxed);
    FROM.store(from, Relaxed);
    let code = bifocal::command();
    if at == 0 && longest.is_none() {
        eprintln!("{}", COUNT.load(Relaxed));
    }
    code
}

struct Ended {
    code: Option<i32>,
    said: String,
}

fn start(folder: &Path, job: &Job, set: &[(&str, usize)]) -> Ended {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(job.args).args(["-m", job.model, "-j", "1"]);
    command.env("BIFOCAL_PROGRAM", "1").envs(set.iter().map(|(name, value)| (name, value.to_string())));
    let out = command.stdin(Stdio::null()).current_dir(folder).output().unwrap();
    Ended { code: out.status.code(), said: String::from_utf8_lossy(&out.stderr).into_owned() }
}

struct Job {
    model: &'static str,
    args: &'static [&'static str],
    out: &'static str,
}

const fn job(args: &'static [&'static str], out: &'static str) -> Job {
    Job { model: "ctnet-nano-x2", args, out }
}

const BARS: &str = "test://bars?width=96&height=64&fps=0&frames=12&format=yuv420p";

const JOBS: [Job; 17] = [
    job(&["upscale", "in.png", "out.png"], "out.png"),
    job(&["upscale", "in.png", "out.jpg"], "out.jpg"),
    job(&["upscale", "in.png", "out.webp"], "out.webp"),
    job(&["upscale", "in.png", "out.tif"], "out.tif"),
    job(&["upscale", "in.png", "out.gif"], "out.gif"),
    job(&["upscale", "in.png", "out.bmp"], "out.bmp"),
    job(&["upscale", "in.jpg", "out.ppm"], "out.ppm"),
    job(&["upscale", "in.webp", "out.png"], "out.png"),
    job(&["upscale", "deep.tif", "out.tif"], "out.tif"),
    job(&["upscale", "deep.png", "out.png"], "out.png"),
    job(&["upscale", "moving.gif", "out.gif"], "out.gif"),
    job(&["upscale", "moving.png", "out.png"], "out.png"),
    job(&["upscale", "picture.jxl", "out.png"], "out.png"),
    job(&["live", BARS, "out.y4m"], "out.y4m"),
    job(&["live", BARS, "-?format=rgb24"], ""),
    Job { model: "other.onnx", args: &["upscale", "in.png", "out.png", "--mem", "8MiB"], out: "out.png" },
    Job { model: "int8.onnx", args: &["upscale", "in.png", "out.png"], out: "out.png" },
];

fn prepare(at: &Path) {
    for (name, bytes) in originals::originals() {
        std::fs::write(at.join(name), bytes).unwrap();
    }
    let picture = image::RgbImage::from_fn(160, 120, |x, y| image::Rgb([(x * y) as u8, y as u8 * 2, x as u8]));
    for name in ["in.png", "in.jpg", "in.webp"] {
        picture.save(at.join(name)).unwrap();
    }
    let deep = image::DynamicImage::from(picture).to_rgb16();
    for name in ["deep.png", "deep.tif"] {
        deep.save(at.join(name)).unwrap();
    }
    std::fs::write(at.join("other.onnx"), include_bytes!("models/compact-x2.onnx")).unwrap();
    std::fs::write(at.join("int8.onnx"), include_bytes!("models/int8-compact-x2.onnx")).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Some of `1..=most`: all, or spread evenly with one at random in each part.
fn some(dice: &mut Dice, most: usize, wanted: usize) -> Vec<usize> {
    match wanted >= most {
        true => (1..=most).collect(),
        false => (0..wanted).map(|i| 1 + i * most / wanted + dice.roll(most / wanted)).collect(),
    }
}

/// One line, and nothing left.
fn failed_well(folder: &Path, before: &[String], job: &Job, ended: &Ended, codes: &[i32], what: &str) {
    let Job { args, .. } = job;
    let Ended { code, said } = ended;
    assert!(code.is_some_and(|code| codes.contains(&code)), "{args:?}, {what}: {code:?}, {said}");
    let line = said.strip_suffix('\n').unwrap_or_default();
    assert!(line.starts_with("bifocal: ") && !line.contains('\n'), "{args:?}, {what}: not one line: {said:?}");
    assert_eq!(names(folder), before, "{args:?}, {what}: {said}");
}

fn main() -> ExitCode {
    if std::env::var_os("BIFOCAL_PROGRAM").is_some() {
        return program();
    }
    let wanted = match std::env::var("BIFOCAL_FAILURES") {
        Ok(all) if all == "all" => usize::MAX,
        Ok(wanted) => wanted.parse().expect("a number, or all"),
        Err(_) => scope::size(6, 40),
    };
    // Of small allocations there are too many for all.
    let few = wanted.min(100);
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepare(at);
    let before = names(at);
    let mut dice = Dice(1);
    let (mut large, mut small, mut long, mut enough) = (0, 0, 0, 0);
    for job in &JOBS {
        let whole = start(at, job, &[("BIFOCAL_FROM", LARGE)]);
        assert_eq!(whole.code, Some(0), "{:?}: {}", job.args, whole.said);
        // What goes to a pipe has no size.
        let made = std::fs::read(at.join(job.out)).unwrap_or_default();
        let size = made.len();
        let _ = std::fs::remove_file(at.join(job.out));
        let all = start(at, job, &[]);
        let _ = std::fs::remove_file(at.join(job.out));
        let count = |ended: &Ended| ended.said.lines().last().unwrap().parse::<usize>().unwrap();
        for (from, most, wanted) in [(LARGE, count(&whole), wanted), (0, count(&all), few)] {
            for number in some(&mut dice, most, wanted) {
                let ended = start(at, job, &[("BIFOCAL_FROM", from), ("BIFOCAL_STARVED", number)]);
                let what = format!("allocation {number} of {most} of {from} bytes or more");
                if ended.code == Some(0) {
                    // Memory was given back in time.
                    enough += 1;
                    let _ = std::fs::remove_file(at.join(job.out));
                    continue;
                }
                // The last allocations come when the file has its name.
                if std::fs::read(at.join(job.out)).is_ok_and(|kept| kept == made) {
                    std::fs::remove_file(at.join(job.out)).unwrap();
                }
                failed_well(at, &before, job, &ended, &[3], &what);
                assert!(ended.said.contains("memory"), "{what}: {}", ended.said);
                *(if from > 0 { &mut large } else { &mut small }) += 1;
            }
        }
        for longest in some(&mut dice, size, few.min(size)) {
            let ended = start(at, job, &[("BIFOCAL_LONGEST", longest - 1)]);
            let what = format!("{longest} of {size} bytes");
            if job.out.ends_with("y4m") && at.join(job.out).exists() {
                let kept = std::fs::read(at.join(job.out)).unwrap();
                let header = kept.iter().position(|byte| *byte == b'\n').unwrap() + 1;
                assert!(kept.len() < longest && (kept.len() - header).is_multiple_of(6 + 192 * 128 * 3 / 2), "{what}");
                std::fs::remove_file(at.join(job.out)).unwrap();
            }
            failed_well(at, &before, job, &ended, &[1], &what);
            long += 1;
        }
    }
    assert!(enough * 4 < large + small, "memory that ends is enough too often: {enough} times");
    println!(
        "figure: {} jobs: {large} times memory ended at an allocation of 64 KiB or more, {small} times at any, {long} times a write failed: 0 aborts, 0 half files, 0 left behind, one line each ({enough} times memory was given back in time)",
        JOBS.len()
    );
    ExitCode::SUCCESS
}

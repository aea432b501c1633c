//! Damage in great numbers, over every kind of input: no panic, no hang, no memory beyond the limits. `BIFOCAL_DAMAGED` is how
//! many files are damaged in all; `tests/figures` sets a million.

#![cfg(target_os = "linux")]

#[path = "support/bodies.rs"]
mod bodies;
#[path = "support/counting.rs"]
mod counting;
#[path = "support/dice.rs"]
mod dice;
#[path = "support/originals.rs"]
mod originals;
#[path = "support/scope.rs"]
mod scope;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bifocal::Budget;
use counting::{held, take_asked, take_peak};
use dice::Dice;
use originals::originals;

/// What a damaged file may take beside what is held before: eight times its size, what the engine has as its budget, and what was
/// asked for before it was taken, which pictures that must be held whole do.
fn most(file: &[u8]) -> usize {
    8 * file.len() + Budget::default().0 + take_asked()
}

/// Of the processor: what else runs on the machine does not count.
const LONGEST: Duration = Duration::from_secs(10);

/// What this thread has had of the processor.
fn worked() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Flips bits, sets bytes, repeats and removes pieces, cuts.
fn damage(dice: &mut Dice, original: &[u8]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..=dice.roll(4) {
        if bytes.is_empty() {
            break;
        }
        // What a file says of itself stands at its front.
        let within = if dice.roll(2) == 0 { bytes.len().min(64) } else { bytes.len() };
        let (at, length) = (dice.roll(within), dice.roll(24));
        let end = (at + length).min(bytes.len());
        match dice.roll(7) {
            0 | 1 => bytes[at] ^= 1 << dice.roll(8),
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][dice.roll(5)],
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..end)),
            5 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => bytes[at..end].iter_mut().for_each(|byte| *byte = dice.roll(256) as u8),
        }
    }
    bytes
}

/// Reads bytes; did it take them?
type Body = fn(&[u8]) -> bool;

const TEXTS: [(&str, &[u8], Body); 11] = [
    (
        "y4m",
        b"YUV4MPEG2 W7 H5 F30000:1001 Ip A1:1 Cmono XCOLORRANGE=FULL\nFRAME Ip\n01234567890123456789012345678901234",
        bodies::y4m,
    ),
    ("y4m", b"YUV4MPEG2 W2 H2 F25:1 Ip C420mpeg2 XYSCSS=420MPEG2\nFRAME\n012345FRAME\n012345", bodies::y4m),
    ("uri", b"-?format=nv12&width=640&height=360&range=full&matrix=bt709&fps=30000/1001", bodies::uri),
    ("uri", b"file://frames/100%25%3F%05d.png?start=7&fps=25", bodies::uri),
    (
        "uri",
        b"spi://0.1?panel=st7789&width=240&height=240&offset=0,80&dc=24&rotate=90&fit=contain&order=bgr",
        bodies::uri,
    ),
    ("uri", b"csi://1?width=640&height=360&fps=30&stride=640&command=cat frames | tee copy", bodies::uri),
    (
        "request",
        b"GET /pictures?x&token=0123456789abcdef HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nSec-Fetch-Site: same-origin\r\n\r\n",
        bodies::request,
    ),
    (
        "request",
        b"HEAD / HTTP/1.1\r\nHost: [::1]:8080\r\nCookie: a=b; bifocal-8080=0123456789abcdef\r\nAccept: */*\r\n\r\n",
        bodies::request,
    ),
    (
        "toml",
        b"source = \"v4l2:///dev/video0\"\nsink = 'drm://'\nmemory = \"32MiB\"\nthreads = 4\ndrop = \"oldest\"\n",
        bodies::toml,
    ),
    ("toml", include_bytes!("../boards/rpi4.toml"), bodies::toml),
    ("device tree", b"raspberrypi,4-model-b\0brcm,bcm2711\0", bodies::device_tree),
];

/// The counters are those of the process.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn damage_of_every_kind() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    bodies::silence_fenced_panics();
    let wanted: usize = std::env::var("BIFOCAL_DAMAGED").map_or(scope::size(20_000, 200_000), |n| n.parse().unwrap());
    let seed: u64 = std::env::var("BIFOCAL_SEED").map_or(1, |n| n.parse().unwrap());
    let mut corpus: Vec<(String, Vec<u8>, Body)> = Vec::new();
    for (name, bytes) in originals() {
        let kind = name.rsplit('.').next().unwrap_or(name).to_string();
        if kind == "jpg" && bodies::picture(&bytes) {
            corpus.push(("mjpeg".into(), jpeg_of_camera(), bodies::mjpeg));
            corpus.push(("v4l2".into(), webcam_of_jpeg(), bodies::v4l2));
        }
        corpus.push((kind, bytes, bodies::picture));
    }
    corpus.push(("v4l2".into(), webcam(), bodies::v4l2));
    corpus.extend(TEXTS.iter().map(|(kind, bytes, body)| (kind.to_string(), bytes.to_vec(), *body)));
    for (kind, bytes, body) in &corpus {
        assert!(body(bytes), "{kind}: the sound file is refused");
    }
    let models = models();
    let mut dice = Dice(seed);
    let (mut held_up, mut slowest, mut largest) = (0usize, (Duration::ZERO, String::new()), (0, String::new()));
    for round in 0..wanted {
        // A model takes as long as hundreds of the others.
        let (kind, bytes, body) = if round % 200 == 199 {
            let (name, model) = &models[round / 200 % models.len()];
            (name.as_str(), damage(&mut dice, model), bodies::model as Body)
        } else {
            let (kind, original, body) = &corpus[round % corpus.len()];
            (kind.as_str(), damage(&mut dice, original), *body)
        };
        let (before, begin) = (held(), worked());
        take_peak();
        take_asked();
        held_up += usize::from(body(&bytes));
        let (time, limit) = (worked() - begin, most(&bytes));
        let bytes = take_peak().saturating_sub(before);
        if time > slowest.0 {
            slowest = (time, format!("{kind}, round {round} of seed {seed}"));
        }
        if bytes > largest.0 {
            largest = (bytes, format!("{kind}, round {round} of seed {seed}"));
        }
        assert!(time < LONGEST, "{kind}, round {round} of seed {seed}: {time:?}");
        assert!(bytes < limit, "{kind}, round {round} of seed {seed}: {bytes} bytes, {limit} are allowed");
    }
    assert!(held_up > wanted / 50 && held_up < wanted * 9 / 10, "damage of both kinds: {held_up} of {wanted}");
    let crates = bodies::FENCED.lock().unwrap();
    let fenced: usize = crates.values().sum();
    let by = crates.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ");
    // What `tests/figures` writes down.
    println!(
        "figure: {wanted} damaged files: 0 panics reached a user ({fenced} fenced: {by}), slowest {:.2} s ({}), most memory {} MiB ({}), {held_up} still read",
        slowest.0.as_secs_f64(),
        slowest.1,
        largest.0 >> 20,
        largest.1
    );
}

fn jpeg_of_camera() -> Vec<u8> {
    let picture = image::RgbImage::from_fn(48, 32, |x, y| image::Rgb([x as u8 * 5, y as u8 * 7, 90]));
    let mut whole = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut whole, 80).encode_image(&picture).unwrap();
    whole
}

/// A webcam with one format, 16 x 8 pixels of YUYV, as `io/sys/v4l2/replies.rs` reads it: what it can do; no inputs; its format; its
/// formats and their end; no list of sizes, nor of rates; the format as asked for; no rates to set. Then the frame.
fn webcam() -> Vec<u8> {
    let calls: [&[u8]; 7] = [
        b"\x03\x02\x54\x01\x57\x04",
        b"\0",
        b"\x03\x02\x08\x10\x0c\x08",
        b"\x03\x04\x2cY\x2dU\x2eY\x2fV",
        b"\0",
        b"\0\0",
        b"\x01\0",
    ];
    [calls.concat(), (0..=255).collect()].concat()
}

/// One that gives Motion JPEG of 48 x 32 pixels, says which sizes and rates it has, and takes a rate.
fn webcam_of_jpeg() -> Vec<u8> {
    let calls: [&[u8]; 13] = [
        b"\x03\x02\x54\x01\x57\x04",
        b"\x01",
        b"\x01",
        b"\0",
        b"\x03\x02\x08\x30\x0c\x20",
        b"\x03\x04\x2cM\x2dJ\x2eP\x2fG",
        b"\0",
        b"\x03\x03\x08\x01\x0c\x30\x10\x20",
        b"\0",
        b"\x03\x03\x10\x01\x14\x01\x18\x1e",
        b"\0",
        b"\x01",
        b"\x03\x01\x05\x10\x01",
    ];
    [calls.concat(), jpeg_of_camera()].concat()
}

/// Networks of many families, small, and the smallest of ours; those that are read.
fn models() -> Vec<(String, Vec<u8>)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let others = std::fs::read_dir(folder.join("tests/models")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = others.filter(|path| path.extension().is_some_and(|e| e == "onnx")).collect();
    files.push(folder.join("models/ctnet-nano-x2.onnx"));
    files.sort();
    let all =
        files.iter().map(|path| (path.file_name().unwrap().to_string_lossy().into(), std::fs::read(path).unwrap()));
    let all: Vec<_> = all.filter(|(_, bytes)| bodies::model(bytes)).collect();
    assert!(all.len() > 25, "{} networks", all.len());
    all
}

/// The counters see what they count.
#[test]
fn panics_and_memory_are_seen() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    bodies::silence_fenced_panics();
    let whole: &'static [u8] = originals().into_iter().find(|(name, _)| *name == "colour.png").unwrap().1.leak();
    let error = bodies::mistake_behind(&whole[..200]).expect("it panics");
    assert!(error.contains("cannot make sense"), "{error}");
    let seen = bodies::FENCED.lock().unwrap().remove("bodies.rs");
    assert_eq!(seen, Some(1), "{:?}", bodies::FENCED);
    take_peak();
    let before = held();
    drop(std::hint::black_box(vec![1u8; 3 << 20]));
    assert!(take_peak() - before >= 3 << 20);
    assert!(bifocal::internals::memory::can_get(5 << 20));
    assert!(take_peak() - before < 5 << 20, "what is only asked for is not held");
}

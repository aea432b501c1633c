//! Damaged Y4M, by the thousand: frames or an error in one line, never a panic.

#[path = "support/cases.rs"]
mod cases;

use bifocal::internals::io::{FrameSource, Y4mSource};
use cases::{damaged, each, flip, put};
use proptest::prelude::*;
use proptest::sample::select;

fn original(kind: &str) -> Vec<u8> {
    let samples = match kind {
        "mono" => 35,
        "422" => 35 + 40,
        "444" => 105,
        _ => 35 + 24,
    };
    let mut bytes = format!("YUV4MPEG2 W7 H5 F30000:1001 Ip A1:1 C{kind} XCOLORRANGE=FULL\n").into_bytes();
    for frame in 0..3 {
        bytes.extend(b"FRAME Ip\n");
        bytes.extend((0..samples).map(|i| (i * 7 + frame) as u8));
    }
    bytes
}

/// Frames read, or the message.
fn read(bytes: &[u8]) -> Result<usize, String> {
    let result = drain(bytes);
    if let Err(message) = &result {
        assert!(message.starts_with("clip: ") && !message.contains('\n'), "{message:?}");
    }
    result
}

fn drain(bytes: &[u8]) -> Result<usize, String> {
    let mut source = Y4mSource::open(bytes, "clip").map_err(|e| e.to_string())?;
    let needed = source.clip().format.bytes();
    if needed > 1 << 20 {
        return Ok(0); // a budget would refuse it
    }
    let mut frame = vec![0; needed];
    let mut frames = 0;
    while source.read(&mut frame).map_err(|e| e.to_string())?.is_frame() {
        frames += 1;
    }
    Ok(frames)
}

const KINDS: [&str; 7] = ["420jpeg", "420mpeg2", "420paldv", "420", "422", "444", "mono"];

#[test]
fn sound_and_cut() {
    for kind in KINDS {
        let bytes = original(kind);
        assert_eq!(read(&bytes), Ok(3), "{kind}");
        let frame = (bytes.len() - bytes.iter().position(|b| *b == b'\n').unwrap() - 1) / 3;
        for end in 0..bytes.len() {
            // A header alone is no video.
            let whole = (bytes.len() - end).is_multiple_of(frame) && (bytes.len() - end) / frame < 3;
            assert_eq!(read(&bytes[..end]).is_ok(), whole, "{kind}: {end} of {}", bytes.len());
        }
    }
}

#[test]
fn flipped_bits_and_noise_never_panic() {
    let telling = || put(select(&b" 0123456789:WHFIACX\n"[..]));
    // Most of the damage where it matters: in the text.
    let within = prop_oneof![2 => Just(80), 1 => Just(usize::MAX)];
    let damage = prop::collection::vec(prop_oneof![flip(), telling()], 1..=4);
    each(28_000, (select(&KINDS[..]), within, damage), |(kind, within, damage)| {
        let _ = read(&damaged(&original(kind), within, &damage));
    });
    let noise = prop::collection::vec(any::<u8>(), 0..2000);
    each(2000, (select(&KINDS[..]), 0..90usize, noise), |(kind, keep, noise)| {
        let _ = read(&[&original(kind)[..keep], &noise].concat());
    });
}

//! Damaged Y4M, by the thousand: frames or an error in one line, never a panic.

#[path = "support/dice.rs"]
mod dice;

use bifocal::internals::io::{FrameSource, Y4mSource};
use dice::Dice;

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
    for kind in KINDS {
        let bytes = original(kind);
        let mut dice = Dice(bytes.len() as u64);
        for round in 0..4000 {
            let mut damaged = bytes.clone();
            for _ in 0..=round % 4 {
                // Most of the damage where it matters: in the text.
                let within = if round % 3 == 0 { damaged.len() } else { 80 };
                let at = dice.roll(within);
                damaged[at] = if round % 2 == 0 {
                    damaged[at] ^ (1 << dice.roll(8))
                } else {
                    b" 0123456789:WHFIACX\n"[dice.roll(20)]
                };
            }
            let _ = read(&damaged);
            let keep = dice.roll(90);
            let mut noise = bytes[..keep].to_vec();
            noise.extend((0..2000).map(|_| dice.roll(256) as u8));
            let _ = read(&noise);
        }
    }
}

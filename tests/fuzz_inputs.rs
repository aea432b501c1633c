//! Damaged pictures, by the hundred: an error in one line or a picture, never a panic, and never half a picture
//! that passes for whole.

#[path = "support/cases.rs"]
mod cases;
#[path = "support/originals.rs"]
mod originals;

use std::io::Cursor;

use bifocal::internals::io::open_stream;
use cases::{damaged, each, flip};
use originals::{originals, picture};
use proptest::prelude::*;
use proptest::sample::select;

/// All pixels, or the message.
fn read(name: &str, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    let result = drain(name, bytes);
    if let Err(message) = &result {
        assert!(message.starts_with(name), "no file name: {message}");
        assert!(!message.contains('\n') && message.len() > name.len() + 2, "not one line: {message:?}");
    }
    result
}

fn drain(name: &str, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    let mut source = open_stream(Cursor::new(bytes), name).map_err(|e| e.to_string())?;
    let (size, row_bytes) = (source.size(), source.size().width * source.format().channels());
    // Damage may make a small file promise a large picture, which streaming sources deliver as far as they can.
    let mut pixels = Vec::new();
    for frame in 1.. {
        while let Some(row) = source.next_row().map_err(|e| e.to_string())? {
            assert_eq!(row.len(), row_bytes, "{name}: {size}");
            pixels.extend_from_slice(row);
            let deep = source.deep_row().len();
            assert_eq!(deep, if source.metadata().deep { row_bytes } else { 0 }, "{name}: 16 bits");
        }
        assert_eq!(pixels.len(), frame * row_bytes * size.height, "{name}: rows are missing without an error");
        if !source.next_frame().map_err(|e| e.to_string())? {
            break;
        }
    }
    Ok(pixels)
}

/// Panics inside a decoder are errors of the file, and silent as in the program.
fn silence_fenced_panics() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !bifocal::internals::io::decoding() {
            default(info);
        }
    }));
}

#[test]
fn sound_files_are_read() {
    for (name, bytes) in originals() {
        let pixels = read(name, bytes).unwrap();
        assert!(pixels.len() >= 8, "{name}");
    }
    let expected = picture(3).into_bytes();
    for (name, bytes) in
        originals().into_iter().filter(|(name, _)| name.starts_with("colour") && !name.ends_with("jpg"))
    {
        assert_eq!(read(name, bytes).unwrap(), expected, "{name}");
    }
}

#[test]
fn files_cut_short_are_refused() {
    silence_fenced_panics();
    for (name, bytes) in originals() {
        // What ends a file after its pixels may be missing: IEND of PNG, the filler of WebP, the newline of plain PPM.
        let needed = match name {
            _ if name.ends_with(".png") => bytes.len() - 12,
            "moving.gif" => bytes.len() - 1,
            // Its last bits may be padding.
            "picture.jxl" => bytes.len() - 2,
            "alpha.webp" => bytes.len() - 1,
            "plain.ppm" => bytes.len() - 2,
            _ => bytes.len(),
        };
        for end in (0..needed).rev().step_by((needed / 300).max(1)) {
            let result = read(name, bytes[..end].to_vec());
            assert!(result.is_err(), "{name}: {end} of {} bytes pass for a whole picture", bytes.len());
        }
    }
}

#[test]
fn flipped_bits_never_panic() {
    silence_fenced_panics();
    each(4000, (select(originals()), prop::collection::vec(flip(), 1..=4)), |((name, bytes), damage)| {
        let _ = read(name, damaged(&bytes, usize::MAX, &damage));
    });
}

/// PNG has checksums: damage up to the last pixel must show.
#[test]
fn a_flipped_bit_in_a_png_is_found() {
    silence_fenced_panics();
    let originals: Vec<_> = originals().into_iter().filter(|(name, _)| name.ends_with(".png")).collect();
    each(1500, (select(originals), flip()), |((name, bytes), flip)| {
        let damaged = damaged(&bytes, bytes.len() - 12, &[flip]);
        assert!(read(name, damaged).is_err(), "{name}: the bit goes unseen");
    });
}

#[test]
fn noise_is_refused() {
    silence_fenced_panics();
    let noise = prop::collection::vec(any::<u8>(), 400);
    each(100, (select(originals()), select(&[0, 2, 8, 12, 16, 30][..]), noise), |((name, bytes), keep, noise)| {
        let _ = read(name, [&bytes[..bytes.len().min(keep)], &noise].concat());
    });
    for (name, _) in originals() {
        assert!(read(name, b"neither one nor the other".to_vec()).is_err());
    }
}

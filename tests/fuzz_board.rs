//! Damaged board files, configs, device trees and sensor words, by the thousand: a value or an error in one line,
//! never a panic.

#[path = "support/dice.rs"]
mod dice;

use bifocal::internals::board::{self, Board, Config, Throttling, recognise};
use dice::Dice;

/// Characters that mean something.
const TELLING: &[u8] = b"\"'[]{}=.,#\n\\0-9eu\0";

/// Flips bits, swaps in characters that mean something, cuts, repeats.
fn damage(dice: &mut Dice, original: &[u8]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..=dice.roll(4) {
        if bytes.is_empty() {
            break;
        }
        let at = dice.roll(bytes.len());
        match dice.roll(4) {
            0 => bytes[at] ^= 1 << dice.roll(8),
            1 => bytes[at] = TELLING[dice.roll(TELLING.len())],
            2 => bytes.truncate(at),
            _ => {
                let end = (at + dice.roll(40)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

const CONFIG: &str = "# a card\nsource = \"v4l2:///dev/video0?width=640\"\nsink = 'drm://'\nmodel = \"ctnet-tiny-x2\"\nmemory = \"32MiB\"\n\
    threads = 4\nqueue = 1\ndrop = \"oldest\"\ncompare = \"split\"\ninfo-text = \"%fps %temp\"\nstats = \"10s\"\nlevel = \"neon\"\nbranches = \"both\"\nboard = \"rpi4\"\n";

#[track_caller]
fn one_line(error: &impl std::fmt::Display, file: &str) {
    let text = error.to_string();
    assert!(text.starts_with(&format!("{file}:")) && !text.contains('\n'), "{text:?}");
}

#[test]
fn damaged_files() {
    let files: Vec<String> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/boards"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    assert_eq!(files.len(), board::names().count(), "each file is a board");
    let (mut dice, mut sound) = (Dice(7), 0);
    assert!(Config::parse("c", CONFIG).is_ok());
    for round in 0..6000 {
        let file = String::from_utf8_lossy(&damage(&mut dice, files[round % files.len()].as_bytes())).into_owned();
        match Board::parse("b", &file) {
            Ok(_) => sound += 1,
            Err(error) => {
                one_line(&error, "boards/b.toml");
                assert!((1..=file.lines().count() + 1).contains(&error.line), "{error} of {file:?}");
            }
        }
        let config = String::from_utf8_lossy(&damage(&mut dice, CONFIG.as_bytes())).into_owned();
        if let Err(error) = Config::parse("c", &config) {
            one_line(&error, "c");
            assert!((1..=config.lines().count() + 1).contains(&error.line), "{error} of {config:?}");
        }
    }
    assert!(sound > 100 && sound < 5900, "damage of both kinds: {sound}");
    // Depth is bounded, too.
    for opening in ["[", "{a=", "a."] {
        assert!(Config::parse("c", &format!("source = {}", opening.repeat(20_000))).is_err());
        assert!(Config::parse("c", &opening.repeat(20_000)).is_err());
    }
}

#[test]
fn damaged_device_trees_and_words() {
    let mut dice = Dice(11);
    let tree = b"raspberrypi,4-model-b\0brcm,bcm2711\0";
    for _ in 0..20_000 {
        let bytes = damage(&mut dice, tree);
        // Damage may well name another board; it must be one that is named.
        let named = |id: &String| bytes.split(|byte| *byte == 0).any(|part| part.trim_ascii() == id.as_bytes());
        let plain = bytes.iter().all(|byte| *byte == 0 || byte.is_ascii_graphic());
        assert!(!plain || recognise(&bytes, "").is_none_or(|board| board.compatible.iter().any(named)), "{bytes:?}");
        let model = String::from_utf8_lossy(&damage(&mut dice, b"Raspberry Pi 4 Model B Rev 1.4")).into_owned();
        let _ = recognise(b"", &model);
        let word = String::from_utf8_lossy(&damage(&mut dice, b"throttled=0x50005")).into_owned();
        let _ = Throttling::of_firmware(&word);
    }
}

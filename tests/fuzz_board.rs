//! Damaged board files, configs, device trees and sensor words, by the thousand: a value or an error in one line,
//! never a panic.

#[path = "support/cases.rs"]
mod cases;

use std::cell::Cell;

use bifocal::internals::board::{self, Board, Config, Throttling, recognise};
use cases::{Damage, cut, damaged, each, flip, put, repeat};
use proptest::prelude::*;
use proptest::sample::select;

/// Characters that mean something.
const TELLING: &[u8] = b"\"'[]{}=.,#\n\\0-9eu\0";

/// Flips bits, swaps in characters that mean something, cuts, repeats.
fn damage() -> impl Strategy<Value = Vec<Damage>> {
    prop::collection::vec(prop_oneof![flip(), put(select(TELLING)), cut(), repeat()], 1..=4)
}

/// The text with that damage.
fn text(original: &str, damage: &[Damage]) -> String {
    String::from_utf8_lossy(&damaged(original.as_bytes(), usize::MAX, damage)).into_owned()
}

const CONFIG: &str = "# a card\nsource = \"v4l2:///dev/video0?width=640\"\nsink = 'drm://'\nmodel = \"ctnet-tiny-x2\"\nmemory = \"32MiB\"\n\
    threads = 4\nqueue = 1\ndrop = \"oldest\"\nstill = \"auto\"\ndeadline = \"33ms\"\ncompare = \"split\"\ninfo-text = \"%fps %temp\"\nstats = \"10s\"\nlevel = \"neon\"\nbranches = \"both\"\nboard = \"rpi4\"\n";

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
    assert!(Config::parse("c", CONFIG).is_ok());
    let sound = Cell::new(0);
    each(6000, (select(files), damage(), damage()), |(file, damage, config_damage)| {
        let file = text(&file, &damage);
        match Board::parse("b", &file) {
            Ok(_) => sound.set(sound.get() + 1),
            Err(error) => {
                one_line(&error, "boards/b.toml");
                assert!((1..=file.lines().count() + 1).contains(&error.line), "{error} of {file:?}");
            }
        }
        let config = text(CONFIG, &config_damage);
        if let Err(error) = Config::parse("c", &config) {
            one_line(&error, "c");
            assert!((1..=config.lines().count() + 1).contains(&error.line), "{error} of {config:?}");
        }
    });
    let sound = sound.get();
    assert!(sound > 100 && sound < 5900, "damage of both kinds: {sound}");
    // Depth is bounded, too.
    for opening in ["[", "{a=", "a."] {
        assert!(Config::parse("c", &format!("source = {}", opening.repeat(20_000))).is_err());
        assert!(Config::parse("c", &opening.repeat(20_000)).is_err());
    }
}

#[test]
fn damaged_device_trees_and_words() {
    let tree = b"raspberrypi,4-model-b\0brcm,bcm2711\0";
    each(20_000, [damage(), damage(), damage()], |[tree_damage, model_damage, word_damage]| {
        let bytes = damaged(tree, usize::MAX, &tree_damage);
        // Damage may well name another board; it must be one that is named.
        let named = |id: &String| bytes.split(|byte| *byte == 0).any(|part| part.trim_ascii() == id.as_bytes());
        let plain = bytes.iter().all(|byte| *byte == 0 || byte.is_ascii_graphic());
        assert!(!plain || recognise(&bytes, "").is_none_or(|board| board.compatible.iter().any(named)), "{bytes:?}");
        let _ = recognise(b"", &text("Raspberry Pi 4 Model B Rev 1.4", &model_damage));
        let _ = Throttling::of_firmware(&text("throttled=0x50005", &word_damage));
    });
}

//! What is refused, and the words for it.

use std::fs;
use std::process::Command;

use super::{alone, bifocal, make, said};

#[test]
fn mistakes_are_one_line_and_found_before_the_work() {
    let Some(_alone) = alone("mistakes with video") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    make(at, "-f lavfi -i testsrc2=s=64x48:r=25:d=0.4 -c:v libx264 in.mkv");
    make(at, "-f lavfi -i sine=d=0.4 sound.mkv");
    make(at, "-f lavfi -i testsrc2=s=64x48:r=25:d=0.4 -c:v ffv1 -pix_fmt gbrp rgb.mkv");
    make(at, "-f lavfi -i testsrc2=s=64x48:r=25:d=2 -c:v libx264 late.ts");
    // Without what the first picture begins with, and there is no other to begin at.
    fs::write(at.join("late.ts"), &fs::read(at.join("late.ts")).unwrap()[8 * 188..]).unwrap();
    fs::write(at.join("text.mkv"), "no video\n").unwrap();
    fs::write(at.join("list.mkv"), "ffconcat version 1.0\nfile http://127.0.0.1:1/x\n").unwrap();
    for (words, reason) in [
        ("in.mkv in.mkv", "never overwritten"),
        ("in.mkv out.txt", ".mkv"),
        ("in.mkv out", ".mkv"),
        ("missing.mkv out.mkv", "missing.mkv"),
        ("text.mkv out.mkv", "no video"),
        ("sound.mkv out.mkv", "no video"),
        ("rgb.mkv out.mkv", "yuv444p10le"),
        ("list.mkv out.mkv", "list.mkv"),
        ("late.ts out.mkv", "no picture of its video can be decoded"),
        ("in.mkv out.mp4 --codec ffv1", "ffv1"),
        ("in.mkv out.mkv --ffmpeg-out '", "--ffmpeg-out"),
        ("in.mkv out.mkv --ffmpeg-out -nonsense", "nonsense"),
    ] {
        let output = bifocal(at, &format!("video {words}")).output().unwrap();
        let said = said(&output);
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{words}: {said}");
        assert!(said.contains(reason) && said.matches("late.ts").count() < 2, "{words}: {said}");
        assert!(!at.join("out.mkv").exists() && !at.join("out.mkv.parts").exists(), "{words}");
    }
    // What would wait for ever for somebody else.
    assert!(Command::new("mkfifo").arg(at.join("pipe.mkv")).status().unwrap().success());
    for words in ["video in.mkv pipe.mkv", "video pipe.mkv out.mkv"] {
        let output = bifocal(at, words).output().unwrap();
        assert!(
            output.status.code() == Some(2) && said(&output).contains("pipe.mkv: this is no file"),
            "{}",
            said(&output)
        );
    }
    let output = bifocal(at, "video in.mkv out.mkv --mem 64k").output().unwrap();
    assert!(output.status.code() == Some(3) && !at.join("out.mkv.parts").exists(), "{}", said(&output));
    let output = bifocal(at, "video in.mkv out.mkv").env("PATH", "/nonexistent").output().unwrap();
    assert!(output.status.code() == Some(2) && said(&output).contains("package 'ffmpeg'"), "{}", said(&output));
    // Names are names.
    fs::copy(at.join("in.mkv"), at.join("-y.mkv")).unwrap();
    fs::copy(at.join("in.mkv"), at.join("concat:a|b.mkv")).unwrap();
    for words in ["video -- -y.mkv -out.mkv", "video concat:a|b.mkv pipe:1.mkv"] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_bifocal")).args(words.split(' ')).current_dir(at).output().unwrap();
        assert!(output.status.success(), "{words}: {}", said(&output));
        assert!(at.join(words.rsplit(' ').next().unwrap()).exists());
    }
    let output = bifocal(at, "video in.mkv out.mkv --ffmpeg-out=-bitexact --format json").output().unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!((&summary["frames"], &summary["complete"]), (&10.into(), &true.into()), "{}", said(&output));
}

//! `upscale` on folders and without a name for its output: what is entered, what is left out, and what is made.

#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

fn run(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bifocal"));
    command.args(args).env_remove("RUST_LOG").stdin(Stdio::null()).current_dir(folder);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn works(folder: &Path, args: &[&str]) -> serde_json::Value {
    let output = run(folder, &[args, &["--format", "json"]].concat());
    assert!(output.status.success(), "{args:?}: {}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn fails(folder: &Path, args: &[&str], code: i32, reason: &str) {
    let output = run(folder, args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}", said(&output));
    assert!(said(&output).contains(reason), "{}", said(&output));
}

fn picture(path: &Path, number: usize) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let pixels: Vec<u8> = (0..3 * 9 * 7).map(|i| ((i + number) * 5 % 253) as u8).collect();
    fs::write(path, [b"P6 9 7 255\n", &pixels[..]].concat()).unwrap();
}

/// All files below a folder, sorted.
fn files(folder: &Path) -> Vec<String> {
    fn below(folder: &Path, top: &Path, all: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if fs::symlink_metadata(&path).unwrap().is_dir() {
                below(&path, top, all);
            } else {
                all.push(path.strip_prefix(top).unwrap().to_path_buf());
            }
        }
    }
    let mut all = Vec::new();
    below(folder, folder, &mut all);
    all.sort();
    all.iter().map(|path| path.display().to_string()).collect()
}

#[test]
fn folders_inside_are_entered_once_each() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (number, name) in ["a.ppm", "2024/b.ppm", "2024/may/c.ppm", ".hidden/d.ppm", "2025/b.ppm"].iter().enumerate() {
        picture(&at.join("album").join(name), number);
    }
    fs::write(at.join("album/2024/notes.txt"), "no picture").unwrap();
    // In circles, twice to one folder, and out of the album.
    std::os::unix::fs::symlink("..", at.join("album/2024/up")).unwrap();
    std::os::unix::fs::symlink("2025", at.join("album/link")).unwrap();
    std::os::unix::fs::symlink("nowhere", at.join("album/broken")).unwrap();
    let done = works(at, &["upscale", "album", "out"]);
    assert_eq!((done["images"].as_array().unwrap().len(), files(&at.join("out"))), (1, vec!["a.ppm".to_string()]));
    // An output inside the input is no input.
    for out in ["large", "album/large", "album/large"] {
        let done = works(at, &["upscale", "--recursive", "album", out]);
        assert_eq!(done["images"].as_array().unwrap().len(), 4, "{out}");
        let made = files(&at.join(out));
        assert_eq!(made.len(), 4, "{made:?}");
        assert!(made.contains(&"2024/may/c.ppm".to_string()) && made.contains(&"a.ppm".to_string()), "{made:?}");
        assert_eq!(made.iter().filter(|name| name.ends_with("b.ppm")).count(), 2, "{made:?}");
    }
    fails(at, &["upscale", "-r", "album/a.ppm", "x.ppm"], 2, "--recursive is for folders");
    fails(at, &["upscale", "-r", "album", "album"], 2, "input folder");
}

#[test]
fn names_come_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    picture(&at.join("album/a.ppm"), 1);
    picture(&at.join("b.ppm"), 1);
    fs::copy(at.join("b.ppm"), at.join("without")).unwrap();
    for (args, made) in [
        (&["b.ppm"][..], "b-x2.ppm"),
        (&["without"], "without-x2.png"),
        (&["b.ppm", "-f", "tif"], "b-x2.tif"),
        (&["-i", "b.ppm", "-s", "3"], "b-x3.ppm"),
        (&["album"], "album-x2/a.ppm"),
        (&["album/", "-f", "png"], "album-x2/a.png"),
        (&["./album/a.ppm"], "album/a-x2.ppm"),
    ] {
        works(at, &[&["upscale"], args].concat());
        assert!(at.join(made).is_file(), "{args:?}: {:?}", files(at));
    }
    fails(&at.join("album"), &["upscale", ".."], 2, "name an output");
    let output = Command::new(env!("CARGO_BIN_EXE_bifocal"))
        .args(["upscale", "-"])
        .stdin(fs::File::open(at.join("b.ppm")).unwrap())
        .output();
    assert_eq!(output.unwrap().status.code(), Some(2));
}

fn set_time(path: &Path, ago: u64) {
    let time = SystemTime::now() - Duration::from_secs(ago);
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn what_is_finished_is_left_out_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let names = ["fine", "older", "half", "other-size", "no-picture", "missing"];
    for (number, name) in names.iter().enumerate() {
        picture(&at.join("in/deep").join(format!("{name}.ppm")), number);
        set_time(&at.join("in/deep").join(format!("{name}.ppm")), 100);
    }
    works(at, &["upscale", "-r", "in", "out"]);
    let wanted: Vec<Vec<u8>> =
        names.iter().map(|name| fs::read(at.join("out/deep").join(format!("{name}.ppm"))).unwrap()).collect();
    let damage = || {
        let out = |name: &str| at.join("out/deep").join(format!("{name}.ppm"));
        set_time(&out("older"), 200);
        fs::write(out("half"), &wanted[2][..300]).unwrap();
        fs::copy(at.join("in/deep/other-size.ppm"), out("other-size")).unwrap();
        fs::write(out("no-picture"), "what?").unwrap();
        fs::remove_file(out("missing")).unwrap();
    };
    damage();
    let fine = at.join("out/deep/fine.ppm");
    let before = fs::metadata(&fine).unwrap().modified().unwrap();
    let done = works(at, &["upscale", "-r", "in", "out", "--resume"]);
    assert_eq!(
        (done["images"].as_array().unwrap().len(), done["finished"].as_array().unwrap().len()),
        (5, 1),
        "{done}"
    );
    assert_eq!(fs::metadata(&fine).unwrap().modified().unwrap(), before);
    for (name, wanted) in names.iter().zip(&wanted) {
        assert!(fs::read(at.join("out/deep").join(format!("{name}.ppm"))).unwrap() == *wanted, "{name}");
    }
    let done = works(at, &["upscale", "-r", "in", "out", "--resume"]);
    assert_eq!(done["finished"].as_array().unwrap().len(), 6);
    // One picture, by the same rule.
    let done = works(at, &["upscale", "in/deep/fine.ppm", "out/deep/fine.ppm", "--resume"]);
    assert_eq!(done["finished"].as_array().unwrap().len(), 1);
    let done = works(at, &["upscale", "-s", "3", "in/deep/fine.ppm", "out/deep/fine.ppm", "--resume"]);
    assert_eq!(done["images"].as_array().unwrap().len(), 1, "another scale");
    fails(at, &["upscale", "in/deep/fine.ppm", "-", "--resume"], 2, "--resume needs files");
}

#[test]
fn sequences_are_resumed_by_the_same_rule() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for number in 3..9 {
        picture(&at.join(format!("in/{number}.ppm")), number);
        set_time(&at.join(format!("in/{number}.ppm")), 100);
    }
    let live = |args: &[&str]| run(at, &[&["live", "in/%d.ppm", "out/%d.ppm", "--format", "json"], args].concat());
    assert!(live(&[]).status.success());
    let wanted = fs::read(at.join("out/5.ppm")).unwrap();
    fs::write(at.join("out/5.ppm"), &wanted[..200]).unwrap();
    fs::remove_file(at.join("out/8.ppm")).unwrap();
    for made in [2, 0] {
        let output = live(&["--resume"]);
        let words = said(&output);
        let summary: serde_json::Value = serde_json::from_str(words.lines().last().unwrap()).unwrap();
        assert_eq!((output.status.code(), summary["shown"].as_u64()), (Some(0), Some(made)), "{words}");
    }
    assert!(fs::read(at.join("out/5.ppm")).unwrap() == wanted);
    assert_eq!(files(&at.join("out")), ["3.ppm", "4.ppm", "5.ppm", "6.ppm", "7.ppm", "8.ppm"]);
    fails(at, &["live", "in/%d.ppm", "out.y4m", "--resume"], 2, "--resume is for numbered pictures");
    fails(at, &["live", "in/%d.ppm", "out/%d.ppm?start=1", "--resume"], 2, "start=");
}

#[test]
fn errors_are_skipped_or_end_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for name in ["a", "c"] {
        picture(&at.join(format!("in/{name}.ppm")), 1);
    }
    fs::write(at.join("in/b.png"), "no picture").unwrap();
    for (how, made) in [(&[][..], 2), (&["--on-error", "skip"], 2), (&["--on-error", "stop"], 1)] {
        let _ = fs::remove_dir_all(at.join("out"));
        let output = run(at, &[&["upscale", "in", "out"], how].concat());
        assert_eq!(output.status.code(), Some(if made == 2 { 1 } else { 2 }), "{}", said(&output));
        assert_eq!(files(&at.join("out")).len(), made, "{how:?}");
        assert!(said(&output).contains("b.png"));
    }
    fails(at, &["upscale", "in/a.ppm", "x.ppm", "--on-error", "stop"], 2, "--on-error is for folders");
}

//! What becomes of files that are there already, of links, and of files that could not be completed.

#![cfg(unix)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bifocal"));
    command.args(args).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

fn upscale(input: &Path, output: &Path) -> Output {
    command(&["upscale", input.to_str().unwrap(), output.to_str().unwrap()]).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder and a picture in it.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("in.ppm");
    let pixels: Vec<u8> = (0..3 * 8 * 6).collect();
    fs::write(&picture, [b"P6 8 6 255\n", &pixels[..]].concat()).unwrap();
    (folder, picture)
}

/// Names of a folder, sorted; temporary files begin with a dot.
fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn a_private_picture_stays_private() {
    let (folder, picture) = folder();
    for mode in [0o600, 0o640, 0o444, 0o666] {
        let target = folder.path().join("out.png");
        let _ = fs::remove_file(&target);
        fs::write(&target, "old").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(mode)).unwrap();
        let output = upscale(&picture, &target);
        assert!(output.status.success(), "{}", said(&output));
        let about = fs::metadata(&target).unwrap();
        assert_eq!(about.mode() & 0o7777, mode, "{mode:o}");
        assert!(about.len() > 3);
    }
    assert_eq!(names(folder.path()), ["in.ppm", "out.png"]);
}

#[test]
fn the_owner_of_a_target_is_kept() {
    let (folder, picture) = folder();
    let target = folder.path().join("out.png");
    fs::write(&target, "old").unwrap();
    // Only root can give a file away; for others the owner is the same before and after.
    let other = std::os::unix::fs::chown(&target, Some(4321), Some(1234)).is_ok();
    let before = fs::metadata(&target).unwrap();
    assert!(upscale(&picture, &target).status.success());
    let after = fs::metadata(&target).unwrap();
    assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
    assert!(!other || after.uid() == 4321);
    assert_ne!(after.ino(), before.ino(), "it was replaced");
}

#[test]
fn links_are_followed_and_never_replaced() {
    let (folder, picture) = folder();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("far")).unwrap();
    fs::write(path("far/real.png"), "old").unwrap();
    symlink("far/real.png", path("link.png")).unwrap();
    symlink("far/new.png", path("dangling.png")).unwrap();
    symlink("dangling.png", path("chain.png")).unwrap();
    symlink("nowhere/new.png", path("lost.png")).unwrap();
    symlink("loop-b.png", path("loop-a.png")).unwrap();
    symlink("loop-a.png", path("loop-b.png")).unwrap();
    for (name, real) in [("link.png", "far/real.png"), ("dangling.png", "far/new.png"), ("chain.png", "far/new.png")] {
        let output = upscale(&picture, &path(name));
        assert!(output.status.success(), "{name}: {}", said(&output));
        assert!(fs::read(path(real)).unwrap().starts_with(b"\x89PNG"), "{name}");
        fs::write(path(real), "old").unwrap();
    }
    for name in ["lost.png", "loop-a.png"] {
        let output = upscale(&picture, &path(name));
        assert_eq!((output.status.code(), said(&output).lines().count()), (Some(1), 1), "{name}: {}", said(&output));
    }
    for name in ["link.png", "dangling.png", "chain.png", "lost.png", "loop-a.png", "loop-b.png"] {
        assert!(fs::symlink_metadata(path(name)).unwrap().is_symlink(), "{name}");
    }
    assert_eq!(names(&path("far")), ["new.png", "real.png"]);
}

/// A run that waits for the rest of its picture, once its temporary file is there.
#[expect(clippy::zombie_processes, reason = "who calls it waits for the child")]
fn half_done(folder: &Path) -> (Child, PathBuf) {
    let mut child = command(&["upscale", "-q", "-", folder.join("out.png").to_str().unwrap()])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.as_mut().unwrap().write_all(b"P6 8 4000 255\n").unwrap();
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(name) = names(folder).into_iter().find(|name| name.ends_with(".partial")) {
            assert!(name.contains(&format!("-{}.", child.id())), "{name} tells its process");
            return (child, folder.join(name));
        }
        assert!(Instant::now() < patience, "no temporary file");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn send(child: &Child, signal: &str) {
    assert!(Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn signals_leave_nothing_behind() {
    for (signal, number) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        let (folder, _) = folder();
        let (mut child, partial) = half_done(folder.path());
        // Held open: waiting would close it, and the picture would end before the signal does its work.
        let stdin = child.stdin.take();
        send(&child, signal);
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(number), "{signal}: {status:?}");
        drop(stdin);
        assert!(!partial.exists(), "{signal}");
        assert_eq!(names(folder.path()), ["in.ppm"]);
    }
}

#[test]
fn the_next_run_removes_what_a_killed_one_left_and_nothing_else() {
    let (folder, picture) = folder();
    let (mut killed, left) = half_done(folder.path());
    send(&killed, "KILL");
    killed.wait().unwrap();
    assert!(left.exists(), "nobody can clean up after SIGKILL at once");
    let (mut living, held) = half_done_beside(folder.path(), &left);
    let foreign = folder.path().join(".other.partial");
    fs::write(&foreign, "not ours").unwrap();
    assert!(upscale(&picture, &folder.path().join("next.png")).status.success());
    assert!(!left.exists(), "left behind");
    assert!(held.exists(), "its program lives");
    assert!(foreign.exists());
    living.kill().unwrap();
    living.wait().unwrap();
}

/// As [`half_done`], while another temporary file lies there; this run removes that file too, so it is put back.
fn half_done_beside(folder: &Path, other: &Path) -> (Child, PathBuf) {
    fs::rename(other, folder.join("aside")).unwrap();
    let begun = half_done(folder);
    fs::rename(folder.join("aside"), other).unwrap();
    begun
}

#[test]
fn signals_that_are_ignored_stay_so() {
    let (folder, picture) = folder();
    let target = folder.path().join("out.png");
    let script = "trap '' HUP; exec \"$@\"";
    let mut child = Command::new("sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_bifocal"), "upscale", "-q", "-"])
        .arg(&target)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let bytes = fs::read(&picture).unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&bytes[..40]).unwrap();
    let patience = Instant::now() + Duration::from_secs(60);
    while !names(folder.path()).iter().any(|name| name.ends_with(".partial")) {
        assert!(Instant::now() < patience, "no temporary file");
        std::thread::sleep(Duration::from_millis(5));
    }
    send(&child, "HUP");
    std::thread::sleep(Duration::from_millis(50));
    stdin.write_all(&bytes[40..]).unwrap();
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(target.exists());
}

/// Runs the program through a shell that does something before.
fn shell(before: &str, after: &str, args: &[&str]) -> Output {
    let script = format!("{before} exec \"$@\" {after}");
    let program = env!("CARGO_BIN_EXE_bifocal");
    Command::new("sh").args(["-c", &script, "sh", program]).args(args).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_closed_standard_output_is_an_error() {
    let (folder, picture) = folder();
    let picture = picture.to_str().unwrap();
    for args in [&["upscale", picture, "-"][..], &["plan", "--size", "64x48"], &["live", "test://bars?frames=1", "-"]] {
        let output = shell("", ">&-", args);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", said(&output));
        assert!(said(&output).contains("closed"), "{}", said(&output));
    }
    // A file needs none, and who throws the output away may.
    let target = folder.path().join("out.png");
    assert!(shell("", ">&-", &["upscale", picture, target.to_str().unwrap()]).status.success());
    for redirection in [">/dev/null", "1<>/dev/null"] {
        assert!(shell("", redirection, &["upscale", picture, "-"]).status.success(), "{redirection}");
    }
}

#[test]
fn a_limit_on_files_is_an_error_and_leaves_what_was_whole() {
    let (folder, _) = folder();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    fs::write(
        at("large.ppm"),
        [b"P6 300 300 255\n".to_vec(), (0..270_000u32).map(|i| ((i * i) >> 3) as u8).collect()].concat(),
    )
    .unwrap();
    // Blocks of 512 bytes.
    for name in ["out.png", "out.tif", "out.webp", "out.jpg", "out.ppm"] {
        let output = shell("ulimit -f 20;", "", &["upscale", "-q", &at("large.ppm"), &at(name)]);
        assert_eq!(output.status.code(), Some(1), "{name}: {}", said(&output));
        assert!(said(&output).contains("too large"), "{name}: {}", said(&output));
        assert_eq!(names(folder.path()), ["in.ppm", "large.ppm"], "{name}");
    }
    let bars = "test://bars?width=64&height=32&fps=0&frames=9&format=gray";
    let output = shell("ulimit -f 60;", "", &["live", "-q", bars, &at("out.y4m")]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let header = fs::read(at("out.y4m")).unwrap().iter().position(|b| *b == b'\n').unwrap() + 1;
    let frames = (60 * 512 - header) / (6 + 128 * 64);
    assert!(frames > 1);
    assert_eq!(fs::metadata(at("out.y4m")).unwrap().len() as usize, header + frames * (6 + 128 * 64));
    assert_eq!(names(folder.path()), ["in.ppm", "large.ppm", "out.y4m"]);
}

#[test]
fn names_cannot_command_the_terminal() {
    let (folder, picture) = folder();
    let strange = folder.path().join("a\u{1b}[2J\n.ppm");
    fs::write(&strange, "no picture").unwrap();
    let output = upscale(&strange, &folder.path().join("out.png"));
    let words = said(&output);
    assert!(words.contains("a\\u{1b}[2J") && !words.contains('\u{1b}'), "{words:?}");
    assert_eq!((output.status.code(), words.lines().count()), (Some(2), 1));
    drop(picture);
    let words = said(&command(&["upscale", "a.png", "b.png", "-f", "x\u{1b}[2J"]).output().unwrap());
    assert!(!words.contains('\u{1b}') && words.contains("--format-out"), "{words:?}");
}

/// Decoders and encoders of other crates end the program where they get no memory: it must be asked for before.
#[test]
fn too_little_memory_is_an_error_and_leaves_nothing() {
    let (folder, _) = folder();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let pixels: Vec<u8> = (0..1200 * 1200 * 3u32).map(|i| ((i * 7) >> 5) as u8).collect();
    fs::write(at("in.ppm"), [b"P6 1200 1200 255\n", &pixels[..]].concat()).unwrap();
    let colour = image::RgbImage::from_raw(1200, 1200, pixels).unwrap();
    for name in ["in.jpg", "in.tif", "in.webp", "in.png", "in.bmp"] {
        colour.save(at(name)).unwrap();
    }
    let mut codes = std::collections::BTreeSet::new();
    let before = names(folder.path());
    for (input, output) in [
        ("in.jpg", "out.png"),
        ("in.webp", "out.png"),
        ("in.tif", "out.png"),
        ("in.ppm", "out.tif"),
        ("in.ppm", "out.webp"),
        ("in.ppm", "out.jpg"),
        ("in.ppm", "out.gif"),
    ] {
        for mib in [48, 56, 64, 72, 80, 88, 96, 112, 128, 160] {
            let limit = format!("ulimit -v {};", mib << 10);
            let run = shell(
                &limit,
                "",
                &["upscale", "-q", "-m", "ctnet-nano-x2", "-j", "1", "--mem", "8MiB", &at(input), &at(output)],
            );
            let said = said(&run);
            match run.status.code() {
                Some(0) => fs::remove_file(at(output)).unwrap(),
                Some(1 | 3) => assert_eq!(said.lines().count(), 1, "{input} {output} {mib}: {said}"),
                other => panic!("{input} {output} in {mib} MiB: {other:?}, {:?}: {said}", run.status.signal()),
            }
            codes.insert(run.status.code());
            assert_eq!(names(folder.path()), before, "{input} {output} {mib}: {said}");
        }
    }
    assert!(codes.contains(&Some(0)) && codes.contains(&Some(3)), "{codes:?}");
}

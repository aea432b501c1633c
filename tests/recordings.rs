//! What `live` keeps when something goes wrong, and what it says.

#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bifocal"));
    command.args(args).env_remove("RUST_LOG").stdin(Stdio::null()).current_dir(folder);
    command
}

fn live(folder: &Path, args: &[&str]) -> Output {
    command(folder, &[&["live"], args].concat()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn fails(output: &Output, code: i32, reason: &str) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(reason), "{said}");
}

const SIZE: (usize, usize) = (16, 12);
const FRAME: usize = SIZE.0 * SIZE.1 * 3 / 2;

fn frames(count: usize) -> Vec<u8> {
    (0..count * FRAME).map(|i| (i * 7 % 251) as u8).collect()
}

fn y4m(count: usize) -> Vec<u8> {
    let mut video = format!("YUV4MPEG2 W{} H{} F25:1 C420jpeg\n", SIZE.0, SIZE.1).into_bytes();
    frames(count).chunks(FRAME).for_each(|frame| video.extend([b"FRAME\n", frame].concat()));
    video
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn whole_frames_are_kept_when_the_source_is_cut_short() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("whole.y4m"), y4m(2)).unwrap();
    let cut = y4m(3);
    fs::write(at.join("cut.y4m"), &cut[..cut.len() - 10]).unwrap();
    assert!(live(at, &["whole.y4m", "wanted.y4m"]).status.success());
    fails(&live(at, &["cut.y4m", "out.y4m"]), 2, "frame 2 is cut short");
    assert!(fs::read(at.join("out.y4m")).unwrap() == fs::read(at.join("wanted.y4m")).unwrap());
    assert_eq!(names(at), ["cut.y4m", "out.y4m", "wanted.y4m", "whole.y4m"], "no temporary file");
}

#[test]
fn a_camera_that_goes_leaves_the_recording() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("frames.yuv"), frames(3)).unwrap();
    let raw = format!("frames.yuv?format=yuv420p&range=full&fps=30&width={}&height={}", SIZE.0, SIZE.1);
    assert!(live(at, &[&raw, "wanted.y4m"]).status.success());
    let uri = format!("csi://0?width={}&height={}&command=cat frames.yuv", SIZE.0, SIZE.1);
    let output = live(at, &["--drop", "never", "--reconnect", "0s", &uri, "out.y4m"]);
    fails(&output, 1, "it is gone");
    assert!(fs::read(at.join("out.y4m")).unwrap() == fs::read(at.join("wanted.y4m")).unwrap());
}

/// A picture of numbers that are nobody else's.
fn picture(path: &Path, grey: bool, number: usize) {
    let (magic, samples) = if grey { ("P5", SIZE.0 * SIZE.1) } else { ("P6", 3 * SIZE.0 * SIZE.1) };
    let header = format!("{magic} {} {} 255\n", SIZE.0, SIZE.1);
    let pixels: Vec<u8> = (0..samples).map(|i| ((i + number) * 5 % 253) as u8).collect();
    fs::write(path, [header.as_bytes(), &pixels].concat()).unwrap();
}

#[test]
fn a_hole_in_a_sequence_is_an_error_and_the_end_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for number in [3, 4, 6] {
        picture(&at.join(format!("{number:03}.ppm")), false, number);
    }
    fails(&live(at, &["%03d.ppm", "out.y4m"]), 2, "005.ppm: this picture is missing, and number 6 follows");
    picture(&at.join("005.ppm"), false, 5);
    let output = live(at, &["%03d.ppm", "out.y4m"]);
    assert!(output.status.success(), "{}", said(&output));
    let frame = 3 * 4 * SIZE.0 * SIZE.1 + 6;
    assert_eq!(fs::metadata(at.join("out.y4m")).unwrap().len() as usize / frame, 4);
}

#[test]
fn grey_among_colour_is_colour() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    picture(&at.join("1.ppm"), false, 1);
    picture(&at.join("2.ppm"), true, 2);
    picture(&at.join("grey.ppm"), true, 2);
    let output = live(at, &["%d.ppm", "out-%d.ppm"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(command(at, &["upscale", "grey.ppm", "wanted.ppm"]).output().unwrap().status.success());
    assert!(fs::read(at.join("out-2.ppm")).unwrap() == fs::read(at.join("wanted.ppm")).unwrap());
}

#[test]
fn percent_signs_of_folders_are_letters_and_sequences_of_one_folder_may_differ() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::create_dir(at.join("50% done")).unwrap();
    picture(&at.join("50% done/1.ppm"), false, 1);
    let output = live(at, &["50% done/%d.ppm", "50% done/big%d.ppm"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(names(&at.join("50% done")), ["1.ppm", "big1.ppm"]);
    fails(&live(at, &["50% done/%d.ppm", "50% done/%03d.ppm"]), 2, "never overwritten");
}

#[test]
fn a_header_without_frames_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("empty.y4m"), y4m(0)).unwrap();
    fails(&live(folder.path(), &["empty.y4m", "null://"]), 2, "no frames");
}

#[test]
fn video_without_a_rate_gets_one_that_players_understand() {
    let folder = tempfile::tempdir().unwrap();
    let output = live(folder.path(), &["test://bars?width=44&height=4&fps=0&frames=1", "out.y4m"]);
    assert!(output.status.success(), "{}", said(&output));
    let video = fs::read(folder.path().join("out.y4m")).unwrap();
    assert!(video.windows(8).any(|word| word == b" F25:1 I"), "{}", String::from_utf8_lossy(&video[..60]));
}

#[test]
fn a_reader_that_stands_still_does_not_hold_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let source = "test://bars?width=320&height=180&fps=0";
    let mut child = command(folder.path(), &["live", "-q", source, "-", "--duration", "300ms"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let patience = Instant::now() + Duration::from_secs(120);
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < patience, "it waits for its reader for ever");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn a_folder_keeps_its_originals_and_waits_for_no_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::create_dir(at.join("album")).unwrap();
    fs::create_dir(at.join("out")).unwrap();
    picture(&at.join("album/a.ppm"), false, 1);
    picture(&at.join("album/b.ppm"), false, 2);
    fs::copy(at.join("album/a.ppm"), at.join("album/c.jfif")).unwrap();
    assert!(Command::new("mkfifo").arg(at.join("album/pipe.png")).status().unwrap().success());
    // What a.ppm becomes would go through the link into b.ppm.
    std::os::unix::fs::symlink("../album/b.ppm", at.join("out/a.ppm")).unwrap();
    let before = fs::read(at.join("album/b.ppm")).unwrap();
    let output = command(at, &["upscale", "album", "out"]).output().unwrap();
    fails(&output, 1, "is one of the pictures that are read");
    fails(&output, 1, "pipe.png");
    assert!(fs::read(at.join("album/b.ppm")).unwrap() == before);
    assert_eq!(names(&at.join("out")), ["a.ppm", "b.ppm", "c.jfif"]);
}

fn header_and_frames(path: &Path, frame: usize) -> (String, usize) {
    let video = fs::read(path).unwrap();
    let header = video.iter().position(|b| *b == b'\n').unwrap() + 1;
    let rest = video.len() - header;
    assert_eq!(rest % (6 + frame), 0, "whole frames");
    (String::from_utf8_lossy(&video[..header]).into_owned(), rest / (6 + frame))
}

fn summary(output: &Output) -> serde_json::Value {
    serde_json::from_str(said(output).lines().last().unwrap()).unwrap()
}

/// A network that takes longer than a frame of the source lasts: the recording must last as long as the run.
#[test]
fn a_recording_lasts_as_long_as_what_it_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let source = "test://bars?width=320&height=180&fps=200&frames=600&format=gray";
    for sink in ["out.y4m", "out.gray?format=gray"] {
        let output = live(at, &["-m", "ctnet-small-x2", "-j", "1", source, sink, "--format", "json"]);
        let summary = summary(&output);
        let number = |field: &serde_json::Value| field.as_u64().unwrap();
        let (shown, filled) = (number(&summary["shown"]), number(&summary["filled"]));
        let file = at.join(sink.split('?').next().unwrap());
        let frames = if sink.contains('?') {
            fs::metadata(&file).unwrap().len() as usize / (640 * 360)
        } else {
            header_and_frames(&file, 640 * 360).1
        };
        assert_eq!(frames as u64, shown + filled, "{summary}");
        assert!(number(&summary["dropped"]["replaced"]) > 0, "nothing was dropped, so nothing is shown: {summary}");
        // The source makes up for no frame, so its own clock is that of the run.
        let recorded = frames as f64 / 200.0;
        let seconds = summary["seconds"].as_f64().unwrap();
        assert!((recorded - seconds).abs() < 0.1 * seconds + 0.5, "{recorded} s of {seconds} s: {summary}");
    }
    // Of a file every frame is there once, and a source that waits loses none.
    let output = live(
        at,
        &["--drop", "never", "test://bars?width=44&height=4&fps=500&frames=50", "all.y4m", "--format", "json"],
    );
    assert_eq!((summary(&output)["shown"].as_u64(), summary(&output)["filled"].as_u64()), (Some(50), Some(0)));
}

fn interrupted(folder: &Path, args: &[&str], signals: usize) -> Output {
    let child = command(folder, args).stderr(Stdio::piped()).spawn().unwrap();
    let patience = Instant::now() + Duration::from_secs(60);
    while !names(folder).iter().any(|name| name.ends_with(".partial")) {
        assert!(Instant::now() < patience, "nothing is recorded");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(700));
    for _ in 0..signals {
        let _ = Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status();
        std::thread::sleep(Duration::from_millis(120));
    }
    child.wait_with_output().unwrap()
}

#[test]
fn a_second_signal_loses_nothing_that_was_recorded() {
    let folder = tempfile::tempdir().unwrap();
    // Frames of a second or so: the second signal comes while one is made.
    let args =
        ["live", "-j", "1", "-m", "ctnet-small-x2", "test://bars?width=640&height=360&fps=30&format=gray", "out.y4m"];
    let output = interrupted(folder.path(), &args, 2);
    let code = output.status.code();
    assert!(code == Some(1) || code == Some(0), "{}", said(&output));
    assert_eq!(names(folder.path()), ["out.y4m"], "{}", said(&output));
    assert!(header_and_frames(&folder.path().join("out.y4m"), 1280 * 720).1 > 0);
}

#[test]
fn without_a_frame_there_is_no_file_and_the_old_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("out.y4m"), "old").unwrap();
    let short = &y4m(1)[..100];
    fs::write(at.join("cut.y4m"), short).unwrap();
    fails(&live(at, &["cut.y4m", "out.y4m"]), 2, "frame 0 is cut short");
    assert_eq!(fs::read(at.join("out.y4m")).unwrap(), b"old");
    assert_eq!(names(at), ["cut.y4m", "out.y4m"]);
}

#[test]
fn what_cannot_be_read_is_skipped_or_repeated_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let frame = 3 * 4 * SIZE.0 * SIZE.1;
    for number in [2, 3, 6, 8] {
        picture(&at.join(format!("{number}.ppm")), false, number);
    }
    fs::write(at.join("7.ppm"), "P6 16 12 255\nshort").unwrap();
    fails(&live(at, &["%d.ppm", "out.y4m", "--on-error", "stop"]), 2, "4.ppm: this picture is missing");
    assert_eq!(header_and_frames(&at.join("out.y4m"), frame).1, 2, "what came before is kept");
    for (how, frames) in [("skip", 4), ("repeat", 7)] {
        let output = live(at, &["%d.ppm", "out.y4m", "--on-error", how, "--format", "json"]);
        let words = said(&output);
        assert!(output.status.success(), "{words}");
        let summary = summary(&output);
        assert_eq!(
            (summary["source"]["damaged"].as_u64(), summary["source"]["missed"].as_u64()),
            (Some(1), Some(2)),
            "{words}"
        );
        assert!(words.contains("4.ppm") && words.contains("7.ppm"), "{words}");
        assert_eq!(header_and_frames(&at.join("out.y4m"), frame).1, frames, "{how}");
    }
    // The numbers of what is repeated are those of what is missing.
    assert!(live(at, &["%d.ppm", "out/%d.ppm", "--on-error", "repeat"]).status.success());
    assert_eq!(names(&at.join("out")), ["2.ppm", "3.ppm", "4.ppm", "5.ppm", "6.ppm", "7.ppm", "8.ppm"]);
    assert_eq!(fs::read(at.join("out/3.ppm")).unwrap(), fs::read(at.join("out/5.ppm")).unwrap());
    // Not even the first must be sound, and the end of a video need not be.
    fs::write(at.join("1.ppm"), "P6 16 12 255\nshort").unwrap();
    fs::write(at.join("0.ppm"), "nothing").unwrap();
    assert!(!live(at, &["%d.ppm", "out.y4m"]).status.success());
    let output = live(at, &["%d.ppm", "out.y4m", "--on-error", "skip", "--format", "json"]);
    assert_eq!(summary(&output)["source"]["damaged"].as_u64(), Some(3), "{}", said(&output));
    assert_eq!(header_and_frames(&at.join("out.y4m"), frame).1, 4);
    let cut = y4m(3);
    fs::write(at.join("cut.y4m"), &cut[..cut.len() - 10]).unwrap();
    let output = live(at, &["cut.y4m", "out.y4m", "--on-error", "skip"]);
    assert!(output.status.success() && said(&output).contains("1 damaged"), "{}", said(&output));
    fails(&live(at, &["test://bars?frames=1", "null://", "--on-error", "skip"]), 2, "--on-error is for files");
    fails(&live(at, &["cut.y4m", "null://", "--reconnect", "2s"]), 2, "--reconnect is for cameras");
}

#[test]
fn colour_may_follow_grey_and_alpha_that_hides_nothing_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (number, grey) in [(1, true), (2, true), (3, false), (4, true)] {
        picture(&at.join(format!("{number}.ppm")), grey, number);
    }
    let output = live(at, &["%d.ppm", "out/%d.png"]);
    assert!(output.status.success(), "{}", said(&output));
    picture(&at.join("single.ppm"), false, 3);
    assert!(command(at, &["upscale", "single.ppm", "wanted.png"]).output().unwrap().status.success());
    let read = |name: &str| image::open(at.join(name)).unwrap();
    assert!(read("out/3.png").into_rgb8() == read("wanted.png").into_rgb8());
    assert_eq!(read("out/1.png").color(), image::ColorType::Rgb8);
    // All of them grey stay grey.
    fs::remove_file(at.join("3.ppm")).unwrap();
    fs::remove_file(at.join("4.ppm")).unwrap();
    assert!(live(at, &["%d.ppm", "grey/%d.png"]).status.success());
    assert_eq!(read("grey/1.png").color(), image::ColorType::L8);
    let alpha = |value: u8| image::RgbaImage::from_fn(16, 12, |x, y| image::Rgba([x as u8 * 9, y as u8 * 9, 7, value]));
    alpha(255).save(at.join("a1.png")).unwrap();
    alpha(254).save(at.join("a2.png")).unwrap();
    fails(&live(at, &["a%d.png", "alpha/%d.png"]), 2, "a2.png: the picture has transparency");
    assert_eq!(names(&at.join("alpha")), ["1.png"]);
}

#[test]
fn numbers_of_the_source_are_those_of_the_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for number in [0, 1, 2] {
        picture(&at.join(format!("{number:05}.ppm")), false, number);
    }
    assert!(live(at, &["%05d.ppm", "a/%05d.ppm"]).status.success());
    assert_eq!(names(&at.join("a")), ["00000.ppm", "00001.ppm", "00002.ppm"]);
    assert!(live(at, &["%05d.ppm?start=1", "b/%d.ppm"]).status.success());
    assert_eq!(names(&at.join("b")), ["1.ppm", "2.ppm"]);
    assert!(live(at, &["%05d.ppm", "c/%d.ppm?start=40"]).status.success());
    assert_eq!(names(&at.join("c")), ["40.ppm", "41.ppm", "42.ppm"]);
    assert!(live(at, &["test://bars?width=44&height=4&fps=0&frames=2", "d/%d.png"]).status.success());
    assert_eq!(names(&at.join("d")), ["1.png", "2.png"]);
}

#[test]
fn every_name_can_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::create_dir(at.join("why?")).unwrap();
    picture(&at.join("why?/100%d 001?.ppm"), false, 1);
    let output = live(at, &["why%3F/100%25d %03d%3F.ppm", "file://why%3f/big 50%25 %d%3F.ppm"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(names(&at.join("why?")), ["100%d 001?.ppm", "big 50% 1?.ppm"]);
    let output = live(at, &["test://bars?width=44&height=4&frames=1&fps=0", "100%25%3F.y4m"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(live(at, &["100%25%3F.y4m?range=full", "100%.y4m"]).status.success());
    assert_eq!(names(at), ["100%.y4m", "100%?.y4m", "why?"]);
}

/// Pure green, in each standard.
#[test]
fn matrix_and_range_work_or_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    image::RgbImage::from_pixel(16, 12, image::Rgb([0, 255, 0])).save(at.join("g1.png")).unwrap();
    fs::write(at.join("g.rgb"), [0, 255, 0].repeat(16 * 12)).unwrap();
    let raw = "g.rgb?format=rgb24&width=16&height=12";
    let middle = |name: &str| {
        let video = fs::read(at.join(name)).unwrap();
        let pixels = 4 * SIZE.0 * SIZE.1;
        let start = video.len() - 3 * pixels + pixels / 2;
        [0, 1, 2].map(|plane| video[start + plane * pixels])
    };
    for (options, luma_and_chroma) in [
        ("", [145, 54, 34]),
        ("matrix=bt601", [145, 54, 34]),
        ("matrix=bt709", [173, 42, 26]),
        ("matrix=bt709&range=full", [182, 30, 12]),
        ("range=full", [150, 44, 21]),
    ] {
        let with = |uri: &str| {
            if options.is_empty() {
                uri.into()
            } else {
                format!("{uri}{}{options}", if uri.contains('?') { '&' } else { '?' })
            }
        };
        for (source, sink) in [
            (with("g%d.png"), "out.y4m".into()),
            ("g%d.png".into(), with("out.y4m")),
            (with(raw), "out.y4m".into()),
            (raw.into(), with("out.y4m")),
        ] {
            let output = live(at, &[&source, &sink]);
            assert!(output.status.success(), "{source} {sink}: {}", said(&output));
            assert_eq!(middle("out.y4m"), luma_and_chroma, "{source} to {sink}");
            let full = options.contains("full");
            let header = fs::read(at.join("out.y4m")).unwrap();
            assert_eq!(String::from_utf8_lossy(&header[..90]).contains("COLORRANGE=FULL"), full);
        }
        assert!(live(at, &[&with(raw), "o?format=yuv444p"]).status.success());
        assert_eq!(middle("o"), luma_and_chroma, "raw planes, {options}");
    }
    // Video that is what it is: the range can be changed, the matrix is only of use where RGB is made.
    let full = live(at, &["out.y4m", "limited.y4m?range=limited"]);
    assert!(full.status.success(), "{}", said(&full));
    assert!(header_and_frames(&at.join("limited.y4m"), 3 * 16 * SIZE.0 * SIZE.1).0.contains("LIMITED"));
    let luma = fs::read(at.join("limited.y4m")).unwrap()[1000];
    assert_eq!(luma, 145, "full green, 150, in the limited range");
    for (source, sink, option) in [
        ("g%d.png?matrix=bt709", "o%d.png", "matrix"),
        ("g%d.png?range=full", "o%d.png", "range"),
        ("g%d.png?fps=30", "o%d.png", "fps"),
        ("g%d.png", "o%d.png?matrix=bt709", "matrix"),
        ("g%d.png", "o%d.png?range=full", "range"),
        ("out.y4m?matrix=bt709", "o.y4m", "matrix"),
        ("out.y4m", "o.y4m?matrix=bt709", "matrix"),
        ("out.y4m?fps=30", "o?format=yuv444p", "fps"),
        ("out.y4m?range=full", "o?format=yuv444p", "range"),
        (raw, "o?format=rgb24&range=full", "range"),
        ("g.rgb?format=rgb24&width=16&height=12&matrix=bt709", "o?format=rgb24", "matrix"),
        ("test://bars", "null://?range=full", "range"),
    ] {
        let output = live(at, &[source, sink, "--frames", "1"]);
        fails(&output, 2, &format!("'{option}' changes nothing"));
    }
    assert!(live(at, &["out.y4m?fps=30&range=full", "o.y4m"]).status.success());
    assert!(fs::read(at.join("o.y4m")).unwrap().windows(6).any(|w| w == b" F30:1"), "the rate is corrected");
}

//! `bifocal video`, and `live` from files and streams that ffmpeg reads. ffmpeg makes the sources and ffprobe judges; without
//! them these tests say that they are skipped.

#![cfg(unix)]

#[path = "support/dice.rs"]
mod dice;
#[path = "support/scope.rs"]
mod scope;
#[path = "support/server.rs"]
mod server;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dice::Dice;

/// Most tests take all processors: one at a time. `None`: there is no ffmpeg.
fn alone(what: &str) -> Option<MutexGuard<'static, ()>> {
    static ALONE: Mutex<()> = Mutex::new(());
    let there = ["ffmpeg", "ffprobe"].iter().all(|name| Command::new(name).arg("-version").output().is_ok());
    if !there {
        scope::skip(what, "ffmpeg is missing (apt-get install ffmpeg)");
        return None;
    }
    Some(ALONE.lock().unwrap_or_else(PoisonError::into_inner))
}

fn bifocal(folder: &Path, words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bifocal"));
    command.args(words.split(' ')).env_remove("RUST_LOG").stdin(Stdio::null()).current_dir(folder);
    command.args(["-m", "ctnet-nano-x2"]);
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn runs(folder: &Path, words: &str) {
    let output = bifocal(folder, words).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{words}: {}", said(&output));
}

#[track_caller]
fn tool(folder: &Path, program: &str, words: &str) -> String {
    let mut command = Command::new(program);
    command.args(["-v", "error"]).args(words.split(' ')).stdin(Stdio::null()).current_dir(folder);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{program} {words}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Makes a file.
#[track_caller]
fn make(folder: &Path, words: &str) {
    tool(folder, "ffmpeg", &format!("-y {words}"));
}

/// Time stamps of the frames, in ticks.
fn times(folder: &Path, file: &str) -> Vec<i64> {
    let text = tool(folder, "ffprobe", &format!("-select_streams v:0 -show_entries frame=pts -of csv=p=0 {file}"));
    text.split([',', '\n']).filter_map(|word| word.trim().parse().ok()).collect()
}

/// What is said of the video, line by line.
fn facts(folder: &Path, file: &str, names: &str) -> String {
    tool(folder, "ffprobe", &format!("-select_streams v:0 -show_entries stream={names} -of default=nw=1 {file}"))
}

const FLAGS: &str = "sample_aspect_ratio,field_order,color_range,color_space,color_transfer,color_primaries,chroma_location,\
                     time_base:stream_side_data=rotation:stream_disposition=default,forced";

/// Each stream that is no video: kind and hash of its packets.
fn copied(folder: &Path, file: &str) -> String {
    tool(folder, "ffmpeg", &format!("-i {file} -map 0 -map -0:v -c copy -f streamhash -"))
}

/// Hash of all frames.
fn pixels(folder: &Path, file: &str) -> String {
    tool(folder, "ffmpeg", &format!("-noautorotate -i {file} -map 0:v:0 -fps_mode passthrough -f md5 -"))
}

/// What `live` makes of the frames of `file`, as ffmpeg hands them on.
fn pixels_by_live(folder: &Path, file: &str) -> String {
    let to = "-map 0:v:0 -fps_mode passthrough -strict -1 -f yuv4mpegpipe in.y4m";
    make(folder, &format!("-i {file} {to}"));
    if facts(folder, file, "chroma_location").contains("left") {
        // ffmpeg takes all of full range for JPEG, whose chroma lies elsewhere.
        let video = fs::read(folder.join("in.y4m")).unwrap();
        let end = video.iter().position(|byte| *byte == b'\n').unwrap();
        let header = String::from_utf8_lossy(&video[..end]).replace("C420jpeg", "C420mpeg2");
        fs::write(folder.join("in.y4m"), [header.as_bytes(), &video[end..]].concat()).unwrap();
    }
    runs(folder, "live in.y4m out.y4m -q");
    pixels(folder, "out.y4m")
}

/// Frames that last from 1/60 to 1/5 of a second.
const VARIABLE: &str = "-f lavfi -i testsrc2=s=96x64:r=60:d=5,select=eq(mod(n\\,13)\\,0)+eq(mod(n\\,7)\\,0)+gt(mod(n\\,31)\\,20),\
                        settb=1/600 -f lavfi -i sine=r=44100:d=5 -fps_mode passthrough -enc_time_base 1/600 -video_track_timescale 600";

#[test]
fn variable_rates_keep_their_ticks_and_sound_its_bits() {
    let Some(_alone) = alone("video of variable rates") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    make(at, &format!("{VARIABLE} -c:v libx264 -bf 3 -c:a aac -metadata title=Steps in.mp4"));
    let given = times(at, "in.mp4");
    let steps: Vec<i64> = given.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(steps.iter().min() == Some(&10) && *steps.iter().max().unwrap() >= 60, "{steps:?}");
    runs(at, "video in.mp4 out.mp4");
    assert_eq!(times(at, "out.mp4"), given);
    assert_eq!(copied(at, "out.mp4"), copied(at, "in.mp4"));
    assert_eq!(facts(at, "out.mp4", FLAGS), facts(at, "in.mp4", FLAGS));
    assert_eq!(facts(at, "out.mp4", "codec_name,width,height"), "codec_name=h264\nwidth=192\nheight=128\n");
    let title = "-show_entries format_tags=title -of csv=p=0";
    assert_eq!(tool(at, "ffprobe", &format!("{title} out.mp4")).trim(), "Steps");
    // The first sound lies before time 0, which Matroska cannot say: all of it moves alike.
    runs(at, "video in.mp4 out.mkv --codec ffv1");
    let kept = times(at, "out.mkv");
    assert_eq!(kept.len(), given.len());
    for (kept_ms, ticks) in kept.iter().zip(&given) {
        let off = (kept_ms - kept[0]) * 6 - (ticks - given[0]) * 10;
        assert!(off.abs() <= 6, "{kept_ms} ms for tick {ticks}");
    }
    assert_eq!(pixels(at, "out.mkv"), pixels_by_live(at, "in.mp4"));
    assert!(fs::read_dir(at).unwrap().all(|entry| !entry.unwrap().file_name().to_string_lossy().contains("part")));
}

#[test]
fn matroska_keeps_subtitles_chapters_attachments_and_ticks() {
    let Some(_alone) = alone("video in Matroska") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(
        at.join("words.srt"),
        "1\n00:00:00,500 --> 00:00:01,000\nhello\n\n2\n00:00:01,500 --> 00:00:02,000\nbye\n",
    )
    .unwrap();
    fs::write(at.join("font.ttf"), "not a font").unwrap();
    fs::write(
        at.join("chapters"),
        ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=One\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=1000\nEND=2000\ntitle=Two\n",
    )
    .unwrap();
    make(
        at,
        "-f lavfi -i sine=r=48000:d=2 -f lavfi -i testsrc2=s=80x48:r=24000/1001:d=2 -i words.srt -i chapters -map 0 -map 1 -map 2 \
         -map_chapters 3 -c:a flac -c:v libx265 -x265-params log-level=error:bframes=3 -c:s subrip -attach font.ttf \
         -metadata:s:t mimetype=application/x-font -metadata:s:a language=deu -metadata:s:v title=Picture -output_ts_offset 1.5 \
         -disposition:v forced in.mkv",
    );
    runs(at, "video in.mkv out.mkv --codec ffv1");
    assert_eq!(copied(at, "out.mkv"), copied(at, "in.mkv"));
    // It begins at 1.5 s, and what is made of it at 0, as with ffmpeg itself.
    assert_eq!(times(at, "in.mkv")[0], 1500);
    make(at, "-i in.mkv -map 0 -c copy plain.mkv");
    fs::rename(at.join("plain.mkv"), at.join("in.mkv")).unwrap();
    assert_eq!(times(at, "out.mkv"), times(at, "in.mkv"));
    for show in [
        "-show_chapters -of csv",
        "-show_entries stream=index,codec_type:stream_tags=language,title,mimetype,filename -of csv",
        "-select_streams a -show_entries packet=pts -of csv",
        "-select_streams s -show_entries packet=pts,duration -of csv",
    ] {
        let [given, kept] = ["in.mkv", "out.mkv"].map(|file| tool(at, "ffprobe", &format!("{show} {file}")));
        assert_eq!(kept, given, "{show}");
    }
    assert_eq!(facts(at, "out.mkv", FLAGS), facts(at, "in.mkv", FLAGS));
    assert_eq!(pixels(at, "out.mkv"), pixels_by_live(at, "in.mkv"));
    // Where subtitles are not taken, that is said before the work.
    for name in ["out.avi", "out.ts"] {
        let output = bifocal(at, &format!("video in.mkv {name}")).output().unwrap();
        assert!(output.status.code() == Some(2) && !at.join(name).exists(), "{}", said(&output));
        assert!(!at.join(format!("{name}.parts")).exists());
    }
}

/// When the packets of all streams are shown, stream by stream, and how long the whole is.
fn schedule(at: &Path, file: &str) -> (Vec<Vec<i64>>, f64) {
    let text = tool(at, "ffprobe", &format!("-show_entries packet=stream_index,pts_time -of csv=p=0 {file}"));
    let mut streams = vec![Vec::new(); 3];
    for line in text.lines() {
        let words: Vec<&str> = line.split(',').collect();
        let number = |n: usize| words.get(n).and_then(|word| word.parse::<f64>().ok());
        let (Some(stream), Some(time)) = (number(0), number(1)) else { continue };
        streams[stream as usize].push((time * 1e6).round() as i64);
    }
    streams.iter_mut().for_each(|stream| stream.sort());
    let length = tool(at, "ffprobe", &format!("-show_entries format=duration -of csv=p=0 {file}"));
    (streams, length.trim().parse().unwrap())
}

#[test]
fn streams_begin_and_end_as_where_ffmpeg_copies_them() {
    let Some(_alone) = alone("video that begins late") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let sound = "-f lavfi -i sine=r=48000:d=1";
    let steady = "-f lavfi -i testsrc2=s=64x48:r=25:d=1";
    // Two frames of five are missing, and the last is half as long as those before it.
    let varied =
        "-f lavfi -i testsrc2=s=64x48:r=30:d=1,select=not(eq(mod(n\\,5)\\,2)+eq(mod(n\\,5)\\,3)) -fps_mode passthrough";
    let words = "1\n00:00:00,200 --> 00:00:00,400\nhello\n\n2\n00:00:00,600 --> 00:00:00,800\nbye\n";
    fs::write(at.join("words.srt"), words).unwrap();
    make(at, &format!("{steady} {sound} -c:v libx264 -bf 2 -c:a aac -output_ts_offset 50000 late.ts"));
    // The clock of 33 bits comes to its end on the way.
    make(at, &format!("{steady} {sound} -c:v libx264 -bf 2 -c:a aac -output_ts_offset 95442 round.ts"));
    // Sound that begins after the picture: what is copied alone begins later than the whole.
    make(at, &format!("{steady} -itsoffset 0.5 {sound} -c:v libx264 -bf 2 -c:a mp2 -f mpegts behind.ts"));
    make(
        at,
        &format!(
            "{steady} {sound} -i words.srt -map 0 -map 1 -map 2 -c:v libx264 -c:a aac -c:s srt -output_ts_offset 7200.5 late.mkv"
        ),
    );
    make(at, &format!("{steady} {sound} -c:v libx264 -bf 2 -c:a libopus opus.mkv"));
    make(at, &format!("{steady} {sound} -c:v libx264 -bf 2 -c:a aac sound.mp4"));
    make(at, &format!("{varied} -c:v libx264 -bf 2 varied.mp4"));
    make(at, &format!("{varied} -c:v libx264 varied.mkv"));
    for (input, endings) in [
        ("late.ts", &["mp4", "mkv", "ts"][..]),
        ("round.ts", &["mp4"]),
        ("behind.ts", &["mkv", "ts"]),
        ("late.mkv", &["mkv"]),
        ("opus.mkv", &["mkv"]),
        ("sound.mp4", &["mkv"]),
        ("varied.mp4", &["mp4"]),
        ("varied.mkv", &["mkv"]),
    ] {
        for ending in endings {
            make(at, &format!("-i {input} -map 0 -c copy plain.{ending}"));
            let mut command = bifocal(at, &format!("video {input} out.{ending}"));
            if input.starts_with("varied") {
                // How long the media of MP4 is, which newer ones of ffprobe go by, is a matter of the order of the frames.
                command.args(["--ffmpeg-out", "-bf 0"]);
            }
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{input}: {}", said(&output));
            let [(source, _), (mine, length), (plain, wanted)] =
                [input.to_string(), format!("out.{ending}"), format!("plain.{ending}")].map(|file| schedule(at, &file));
            // MP4 of ffmpeg has when a stream begins to the millisecond.
            let same =
                |a: &[i64], b: &[i64], most| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= most);
            for (mine, plain) in mine.iter().zip(&plain) {
                assert!(
                    same(mine, plain, if *ending == "mp4" { 1000 } else { 0 }),
                    "{input} to {ending}: {mine:?} {plain:?}"
                );
            }
            assert!((length - wanted).abs() < 0.0011, "{input} to {ending}: {length} s and not {wanted} s");
            if *ending == "mp4" {
                let moved = |streams: &[Vec<i64>]| {
                    let first = streams.iter().flatten().min().copied().unwrap_or(0);
                    streams.iter().flatten().map(|time| time - first).collect::<Vec<_>>()
                };
                assert!(same(&moved(&mine), &moved(&source), 25), "{input}: streams move against each other: {mine:?}");
            }
        }
    }
}

#[test]
fn what_was_put_together_is_right_or_refused() {
    let Some(_alone) = alone("video of two files") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let make_ts = |size: &str, from: u32, name: &str| {
        let source = format!("-f lavfi -i testsrc2=s={size}:r=25:d=1 -f lavfi -i sine=d=1");
        make(at, &format!("{source} -c:v libx264 -bf 2 -c:a aac -output_ts_offset {from} {name}"));
        fs::read(at.join(name)).unwrap()
    };
    let (first, again, larger) =
        (make_ts("64x48", 0, "a.ts"), make_ts("64x48", 0, "b.ts"), make_ts("96x64", 1, "c.ts"));
    // The clock starts anew: each time is there twice.
    fs::write(at.join("in.ts"), [&first[..], &again].concat()).unwrap();
    let output = bifocal(at, "video in.ts out.mp4").output().unwrap();
    let text = said(&output);
    assert_eq!((output.status.code(), text.lines().count()), (Some(2), 1), "{text}");
    assert!(text.contains("go back by 1.0 s") && !at.join("out.mp4.parts").exists(), "{text}");
    // What it tells to do.
    make(at, "-i in.ts -map 0 -c copy on.mkv");
    runs(at, "video on.mkv out.mp4");
    assert_eq!(times(at, "out.mp4").len(), 50);
    // Another size on the way: all has the first, as with ffmpeg itself.
    fs::write(at.join("in.ts"), [&first[..], &larger].concat()).unwrap();
    runs(at, "video in.ts out.mkv --codec ffv1");
    assert_eq!(facts(at, "out.mkv", "width,height"), "width=128\nheight=96\n");
    assert_eq!(times(at, "out.mkv").len(), 50);
    assert_eq!(pixels(at, "out.mkv"), pixels_by_live(at, "in.ts"));
}

#[test]
fn shapes_colours_and_turns_are_kept() {
    let Some(_alone) = alone("video with flags") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let bars = "-f lavfi -i testsrc2=s=72x48:r=30000/1001:d=1";
    let bt601 = "-colorspace smpte170m -color_primaries smpte170m -color_trc smpte170m -color_range tv";
    let bt709 = "-colorspace bt709 -color_primaries bt709 -color_trc bt709";
    let full = "-pix_fmt yuv420p -vf scale=out_range=pc -color_range pc";
    for (source, codec) in [
        (format!("{bars} -aspect 16:9 {bt601} -c:v libx264 -chroma_sample_location left"), "x264"),
        (format!("{bars} {bt709} -color_range tv -c:v libx265 -x265-params log-level=error"), "copy-of-source"),
        (format!("{bars} {bt709} {full} -c:v libx264"), "x264"),
    ] {
        make(at, &format!("{source} in.mp4"));
        runs(at, &format!("video in.mp4 out.mp4 --codec {codec}"));
        assert_eq!(times(at, "out.mp4"), times(at, "in.mp4"), "{source}");
        assert_eq!(facts(at, "out.mp4", FLAGS), facts(at, "in.mp4", FLAGS), "{source}");
        let codec = facts(at, "in.mp4", "codec_name,pix_fmt");
        assert_eq!(facts(at, "out.mp4", "codec_name,pix_fmt"), codec, "{source}");
        runs(at, "video in.mp4 out.mkv --codec ffv1");
        assert_eq!(pixels(at, "out.mkv"), pixels_by_live(at, "in.mp4"), "{source}");
    }
    // A range that goes without saying is said all the same.
    make(at, &format!("{bars} -c:v ffv1 -color_range tv in.mkv"));
    runs(at, "video in.mkv out.mp4");
    assert_eq!(facts(at, "out.mp4", "color_range,color_space"), "color_range=tv\ncolor_space=unknown\n");
    // A phone's: turned by a note.
    make(at, &format!("{bars} -c:v libx264 flat.mp4"));
    for degrees in [90, 180, 270] {
        make(at, &format!("-i flat.mp4 -c copy -metadata:s:v rotate={degrees} in.mp4"));
        let matrix = "stream_side_data=displaymatrix";
        let shown = tool(at, "ffprobe", &format!("-show_entries {matrix} in.mp4"));
        if !shown.contains("65536") {
            make(at, &format!("-display_rotation {degrees} -i flat.mp4 -c copy in.mp4"));
        }
        let shown = tool(at, "ffprobe", &format!("-show_entries {matrix} in.mp4"));
        assert!(shown.contains("65536"), "{shown}");
        runs(at, "video in.mp4 out.mp4");
        assert_eq!(tool(at, "ffprobe", &format!("-show_entries {matrix} out.mp4")), shown, "{degrees}");
        assert_eq!(facts(at, "out.mp4", "width,height"), "width=144\nheight=96\n");
        // Where the container has no word for it, the picture itself.
        runs(at, "video in.mp4 out.mkv --codec ffv1");
        let size = if degrees == 180 { "width=144\nheight=96\n" } else { "width=96\nheight=144\n" };
        assert_eq!(facts(at, "out.mkv", "width,height"), size);
        assert!(!tool(at, "ffprobe", &format!("-show_entries {matrix} out.mkv")).contains("65536"));
        assert_eq!(pixels(at, "out.mkv"), pixels_by_live(at, "in.mp4"), "{degrees}");
        assert_eq!(times(at, "out.mp4"), times(at, "in.mp4"));
    }
}

#[test]
fn ten_bits_stay_ten_bits() {
    let Some(_alone) = alone("video of 10 bits") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for pixel in ["yuv420p10le", "yuv422p10le", "yuv444p10le", "gray10le"] {
        // A slow ramp, which has few steps in 8 bits.
        let ramp = "-f lavfi -i nullsrc=s=96x64:d=0.2:r=25,format=PIXELS,geq=lum=300+X+N:cb=500+Y/2:cr=520-X/3";
        make(
            at,
            &format!(
                "{} -c:v ffv1 in.mkv",
                ramp.replace("PIXELS", pixel).replace(
                    ":cb=500+Y/2:cr=520-X/3",
                    if pixel.starts_with("gray") { "" } else { ":cb=500+Y/2:cr=520-X/3" }
                )
            ),
        );
        runs(at, "video in.mkv out.mkv --codec copy-of-source");
        assert_eq!(facts(at, "out.mkv", "codec_name,pix_fmt"), format!("codec_name=ffv1\npix_fmt={pixel}\n"));
        assert_eq!(pixels(at, "out.mkv"), pixels_by_live(at, "in.mkv"), "{pixel}");
    }
    make(at, "-i out.mkv -frames:v 1 -f rawvideo row.raw");
    let row: Vec<u16> =
        fs::read(at.join("row.raw")).unwrap()[..2 * 192].chunks(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
    let steps: Vec<i32> = row[8..184].windows(2).map(|pair| i32::from(pair[1]) - i32::from(pair[0])).collect();
    assert!(steps.iter().all(|step| (0..=1).contains(step)), "a ramp of 10 bits has no steps of 8: {row:?}");
    make(at, "-f lavfi -i testsrc2=s=64x64:r=25:d=0.4 -pix_fmt yuv420p10le -c:v ffv1 in.mkv");
    runs(at, "video in.mkv out.mkv");
    assert_eq!(facts(at, "out.mkv", "codec_name,pix_fmt"), "codec_name=hevc\npix_fmt=yuv420p10le\n");
}

#[test]
fn screen_and_light_of_hdr_are_kept() {
    let Some(_alone) = alone("video of high dynamic range") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let screen = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)";
    let colours = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:range=limited";
    let source = "-f lavfi -i testsrc2=s=64x64:r=25:d=0.4 -pix_fmt yuv420p10le -c:v libx265";
    make(at, &format!("{source} -x265-params log-level=error:max-cll=1000,400:{screen}:{colours} in.mp4"));
    assert_eq!(facts(at, "in.mp4", "color_transfer"), "color_transfer=smpte2084\n");
    let light = |file: &str| {
        let show = "-select_streams v -read_intervals %+#1 -show_frames -of json";
        let all: serde_json::Value = serde_json::from_str(&tool(at, "ffprobe", &format!("{show} {file}"))).unwrap();
        let mut notes = all["frames"][0]["side_data_list"].as_array().unwrap().clone();
        notes.retain(|note| note["red_x"].is_string() || note["max_content"].is_number());
        assert_eq!(notes.len(), 2, "{all}");
        notes
    };
    runs(at, "video in.mp4 out.mkv");
    assert_eq!(light("out.mkv"), light("in.mp4"));
    assert_eq!(
        facts(at, "out.mkv", "color_transfer,color_primaries"),
        facts(at, "in.mp4", "color_transfer,color_primaries")
    );
}

#[test]
fn fields_are_refused_or_made_frames_of() {
    let Some(_alone) = alone("interlaced video") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    make(at, "-f lavfi -i testsrc2=s=96x64:r=50:d=1 -vf interlace -flags +ildct+ilme -c:v mpeg2video in.mkv");
    let output = bifocal(at, "video in.mkv out.mkv").output().unwrap();
    assert!(output.status.code() == Some(2) && said(&output).contains("--deinterlace"), "{}", said(&output));
    let output = bifocal(at, "live in.mkv out.y4m").output().unwrap();
    assert!(output.status.code() == Some(2) && said(&output).contains("--deinterlace"), "{}", said(&output));
    runs(at, "video in.mkv out.mkv --deinterlace --codec ffv1");
    assert_eq!(times(at, "out.mkv"), times(at, "in.mkv"));
    assert_eq!(facts(at, "out.mkv", "field_order"), "field_order=progressive\n");
}

/// A movie of several parts.
fn long(at: &Path, name: &str) {
    let source = "-f lavfi -i testsrc2=s=48x32:r=30:d=36 -f lavfi -i sine=d=36";
    make(at, &format!("{source} -c:v libx264 -preset ultrafast -bf 2 -c:a aac {name}"));
}

/// Time stamps and hashes of all frames and of the sound.
fn everything(at: &Path, file: &str) -> (String, String) {
    (tool(at, "ffmpeg", &format!("-i {file} -map 0:v -fps_mode passthrough -copyts -f framemd5 -")), copied(at, file))
}

#[test]
fn killed_runs_go_on_to_what_one_at_once_makes() {
    let Some(_alone) = alone("video that is killed and resumed") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    long(at, "in.mp4");
    let begin = Instant::now();
    runs(at, "video in.mp4 wanted.mp4");
    let usual = begin.elapsed();
    let wanted = everything(at, "wanted.mp4");
    assert_eq!(times(at, "wanted.mp4"), times(at, "in.mp4"));
    let kills = scope::size(10, 40);
    let (mut dice, mut in_time) = (Dice(7), 0);
    for round in 0..kills {
        let mut child = bifocal(at, "video --resume in.mp4 out.mp4").stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(usual.mul_f64(dice.roll(1000) as f64 / 1500.0));
        in_time += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        if at.join("out.mp4").exists() {
            assert_eq!(everything(at, "out.mp4"), wanted, "round {round}");
            fs::remove_file(at.join("out.mp4")).unwrap();
        }
    }
    assert!(in_time * 3 > kills, "{in_time} of {kills} kills came before the end");
    runs(at, "video --resume in.mp4 out.mp4");
    assert_eq!(everything(at, "out.mp4"), wanted);
    assert!(!at.join("out.mp4.parts").exists());
    // What is finished stays as it is.
    let made = |file: &str| fs::metadata(at.join(file)).unwrap().modified().unwrap();
    let before = made("out.mp4");
    let output = bifocal(at, "video --resume in.mp4 out.mp4 --format json").output().unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!((&summary["frames"], &summary["complete"]), (&0.into(), &true.into()), "{}", said(&output));
    assert_eq!(made("out.mp4"), before);
}

#[test]
fn ctrl_c_leaves_a_playable_file_and_the_rest_for_later() {
    let Some(_alone) = alone("video that is ended early") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // One that does not begin at 0.
    long(at, "-output_ts_offset 50000 in.ts");
    let child = bifocal(at, "video in.ts out.mp4").stderr(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    while !at.join("out.mp4.parts/000000.nut").exists() {
        assert!(begin.elapsed() < Duration::from_secs(300), "no part is made");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let start = tool(at, "ffprobe", "-show_entries format=start_time -of csv=p=0 in.ts");
    let start = (start.trim().parse::<f64>().unwrap() * 90e3).round() as i64;
    let given: Vec<i64> = times(at, "in.ts").iter().map(|time| time - start).collect();
    let kept = times(at, "out.mp4");
    assert!(kept.len() >= 250 && kept == given[..kept.len()], "{} frames", kept.len());
    if kept.len() == given.len() {
        scope::skip("the rest of a video that is ended early", "it was complete before the signal");
        return;
    }
    assert!(said(&output).contains("--resume"), "{}", said(&output));
    let seconds = |kind: &str| -> f64 {
        let text =
            tool(at, "ffprobe", &format!("-select_streams {kind} -show_entries packet=pts_time -of csv=p=0 out.mp4"));
        text.split([',', '\n']).filter_map(|word| word.trim().parse().ok()).fold(0.0, f64::max)
    };
    assert!((seconds("a") - seconds("v")).abs() < 0.2, "sound ends with the picture");
    // Nobody loses what is there by a wrong word.
    let output = bifocal(at, "video in.ts out.mp4").output().unwrap();
    assert!(output.status.code() == Some(2) && said(&output).contains("--resume"), "{}", said(&output));
    let output = bifocal(at, "video --resume in.ts out.mp4 --codec x265").output().unwrap();
    assert!(output.status.code() == Some(2) && said(&output).contains("other options"), "{}", said(&output));
    runs(at, "video --resume in.ts out.mp4");
    runs(at, "video in.ts wanted.mp4");
    assert_eq!(everything(at, "out.mp4"), everything(at, "wanted.mp4"));
}

#[test]
fn a_damaged_end_keeps_what_came_before() {
    let Some(_alone) = alone("damaged video") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    make(at, "-f lavfi -i testsrc2=s=64x48:r=25:d=4 -c:v libx264 -g 10 whole.mkv");
    let whole = fs::read(at.join("whole.mkv")).unwrap();
    fs::write(at.join("cut.mkv"), &whole[..whole.len() / 2]).unwrap();
    let output = bifocal(at, "video cut.mkv out.mkv").output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 2)), "{}", said(&output));
    let (kept, given) = (times(at, "out.mkv"), times(at, "whole.mkv"));
    assert!(kept.len() > 20 && kept.len() < given.len() && kept == given[..kept.len()], "{} frames", kept.len());
}

#[test]
fn mistakes_are_one_line_and_found_before_the_work() {
    let Some(_alone) = alone("mistakes with video") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    make(at, "-f lavfi -i testsrc2=s=64x48:r=25:d=0.4 -c:v libx264 in.mkv");
    make(at, "-f lavfi -i sine=d=0.4 sound.mkv");
    make(at, "-f lavfi -i testsrc2=s=64x48:r=25:d=0.4 -c:v ffv1 -pix_fmt gbrp rgb.mkv");
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
        ("in.mkv out.mp4 --codec ffv1", "ffv1"),
        ("in.mkv out.mkv --ffmpeg-out '", "--ffmpeg-out"),
        ("in.mkv out.mkv --ffmpeg-out -nonsense", "nonsense"),
    ] {
        let output = bifocal(at, &format!("video {words}")).output().unwrap();
        let said = said(&output);
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{words}: {said}");
        assert!(said.contains(reason), "{words}: {said}");
        assert!(!at.join("out.mkv").exists() && !at.join("out.mkv.parts").exists(), "{words}");
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

#[test]
fn live_reads_files_and_servers_as_it_reads_y4m() {
    let Some(_alone) = alone("live from video files") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    make(at, "-f lavfi -i testsrc2=s=64x48:r=25:d=0.6 -c:v libx264 -colorspace bt709 in.mkv");
    let wanted = pixels_by_live(at, "in.mkv");
    let port = server::http(fs::read(at.join("in.mkv")).unwrap());
    for source in ["in.mkv", "file://in.mkv", &format!("http://me:secret@127.0.0.1:{port}/in.mkv?a=b")] {
        runs(at, &format!("live {source} a.y4m -q"));
        assert_eq!(pixels(at, "a.y4m"), wanted, "{source}");
    }
    let output = bifocal(at, "live http://me:secret@127.0.0.1:1/x null://").output().unwrap();
    let said = said(&output);
    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(!said.contains("secret"), "{said}");
}

#[test]
fn streams_that_break_off_are_taken_up_again() {
    let Some(_alone) = alone("live from RTSP") else { return };
    let folder = tempfile::tempdir().unwrap();
    // ffprobe looks at one connection, and each of the others gives some 60 frames.
    let (port, played) = server::rtsp(200);
    let source = format!("rtsp://127.0.0.1:{port}/camera");
    let output = bifocal(folder.path(), &format!("live {source} null:// --frames 150 --format json")).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let said = said(&output);
    let summary: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(summary["captured"], 150, "{said}");
    assert!(summary["source"]["reconnects"].as_u64().unwrap() >= 1, "{said}");
    assert!(played.load(std::sync::atomic::Ordering::SeqCst) >= 3);
    let output = bifocal(folder.path(), &format!("live {source} null:// --reconnect 0s")).output().unwrap();
    assert!(output.status.code() == Some(1), "it is gone for good: {}", said);
}

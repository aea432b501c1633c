//! When frames and sound are shown.

use std::fs;
use std::path::Path;

use super::{FLAGS, alone, bifocal, copied, facts, make, pixels, pixels_by_live, runs, said, times, tool};

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
fn frames_stored_behind_the_last_keep_the_rate() {
    let Some(_alone) = alone("video whose last frame is not stored last") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for frames in [1, 51] {
        make(at, &format!("-f lavfi -i testsrc2=s=64x48:r=25 -frames:v {frames} -c:v libx264 -bf 3 in.mp4"));
        runs(at, "video in.mp4 out.mp4");
        let names = "nb_frames,avg_frame_rate,duration,duration_ts";
        assert_eq!(facts(at, "out.mp4", names), facts(at, "in.mp4", names));
        // What the video says of its rate shows in the lengths of packets.
        for codec in ["x264", "x265"] {
            runs(at, &format!("video in.mp4 rate.mp4 --codec {codec}"));
            let lengths = tool(at, "ffprobe", "-select_streams v -show_entries packet=duration -of csv=p=0 rate.mp4");
            assert!(lengths.lines().all(|length| length == "512"), "{codec}: {lengths}");
        }
        // In the order in which they are stored.
        let show = "-select_streams v -show_entries packet=pts -of csv=p=0";
        let stored = |file: &str| tool(at, "ffprobe", &format!("{show} {file}"));
        let last = stored("out.mp4").lines().next_back().map(str::to_string).unwrap();
        assert!(frames == 1 || last != times(at, "out.mp4").last().unwrap().to_string(), "another test is needed");
    }
    // The last two are shorter than most.
    let steps = "select=not(mod(n\\,5))+gt(n\\,56)";
    make(at, &format!("-f lavfi -i testsrc2=s=64x48:r=60:d=1,{steps} -fps_mode passthrough -c:v libx264 -bf 3 in.mp4"));
    make(at, "-i in.mp4 -c copy plain.mkv");
    runs(at, "video in.mp4 out.mkv");
    let length = |file: &str| tool(at, "ffprobe", &format!("-show_entries format=duration -of csv=p=0 {file}"));
    assert_eq!(length("out.mkv"), length("plain.mkv"));
}

#[test]
fn two_frames_of_one_time_are_one_behind_the_other() {
    let Some(_alone) = alone("video with two frames of one time") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let source = |still: &str| {
        let times = format!("setpts=if({still}\\,PREV_OUTPTS\\,PTS)");
        format!("-f lavfi -i testsrc2=s=64x48:r=25:d=1,{times} -fps_mode passthrough -c:v ffv1 in.mkv")
    };
    make(at, &source("eq(N\\,10)"));
    let mut wanted = times(at, "in.mkv");
    assert_eq!(wanted[9..12], [360, 360, 440]);
    wanted[10] += 1;
    for name in ["out.mkv", "out.mp4"] {
        runs(at, &format!("video in.mkv {name}"));
        assert_eq!(times(at, name), wanted, "{name}");
    }
    // What stands still for longer is told, and what is advised helps.
    make(at, &source("between(N\\,10\\,12)"));
    let output = bifocal(at, "video in.mkv still.mkv").output().unwrap();
    let text = said(&output);
    assert!(
        output.status.code() == Some(2) && text.contains("in.mkv: times of frames") && text.contains("0.360 s"),
        "{text}"
    );
    let advice = text.split("; ffmpeg ").nth(1).unwrap().split(" makes").next().unwrap();
    make(at, &advice.replace("IN", "in.mkv").replace("OUT", "mended"));
    runs(at, "video mended.mkv out.mkv");
    assert_eq!(times(at, "out.mkv"), times(at, "mended.mkv"));
    assert_eq!(times(at, "mended.mkv")[8..14], [320, 360, 361, 362, 363, 520]);
}

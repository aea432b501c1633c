//! What is copied beside the picture.

use std::fs;

use super::{FLAGS, alone, bifocal, copied, facts, make, pixels, pixels_by_live, runs, said, times, tool};

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

#[test]
fn time_codes_and_covers_are_what_they_were() {
    let Some(_alone) = alone("video with time codes and covers") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let video = "-f lavfi -i testsrc2=s=64x48:r=25:d=0.4";
    make(at, &format!("{video} -c:v libx264 -timecode 01:00:00:00 in.mov"));
    runs(at, "video in.mov out.mov");
    let names = "-show_entries stream=index,codec_type,codec_tag_string:stream_tags=handler_name,timecode -of csv";
    let [given, kept] = ["in.mov", "out.mov"].map(|file| tool(at, "ffprobe", &format!("{names} {file}")));
    assert!(given.contains("TimeCodeHandler") && given.contains("VideoHandler"), "{given}");
    assert_eq!(kept, given);
    // A cover in .mkv is a second video: players go by the mark.
    make(at, "-f lavfi -i testsrc2=s=40x40 -frames:v 1 cover.png");
    make(at, &format!("{video} -attach cover.png -metadata:s:t mimetype=image/png -c:v libx264 in.mkv"));
    make(at, "-i in.mkv -map 0 -c copy plain.mkv");
    runs(at, "video in.mkv out.mkv");
    let marks = "-show_entries stream=index,codec_name:stream_disposition=default,attached_pic -of csv";
    let [plain, kept] = ["plain.mkv", "out.mkv"].map(|file| tool(at, "ffprobe", &format!("{marks} {file}")));
    assert_eq!(kept, plain);
    assert!(kept.contains("h264,1"), "{kept}");
}

#[test]
fn subtitles_that_a_file_has_no_place_for_are_told_and_mended() {
    let Some(_alone) = alone("video with subtitles") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("words.srt"), "1\n00:00:00,100 --> 00:00:00,300\nhello\n").unwrap();
    let video = "-f lavfi -i testsrc2=s=64x64:r=25:d=0.4 -i words.srt -map 0 -map 1 -c:v libx264";
    make(at, &format!("{video} -c:s mov_text words.mp4"));
    make(at, &format!("{video} -c:s srt words.mkv"));
    for (input, output) in [("words.mp4", "out.mkv"), ("words.mkv", "out.mp4")] {
        let run = bifocal(at, &format!("video {input} {output}")).output().unwrap();
        let text = said(&run);
        assert_eq!((run.status.code(), text.lines().count()), (Some(2), 1), "{text}");
        let advice = text.split("; ffmpeg ").nth(1).unwrap_or_else(|| panic!("{text}")).split(" makes").next().unwrap();
        make(at, &advice.replace("IN", input).replace("NEW", "mended"));
        let mended = format!("mended.{}", advice.rsplit('.').next().unwrap());
        let run = bifocal(at, &format!("video {mended} {output}")).output().unwrap();
        assert_eq!(run.status.code(), Some(0), "{output}: {}", said(&run));
        let hello = tool(at, "ffmpeg", &format!("-i {output} -map 0:s -f srt -"));
        assert!(hello.contains("hello"), "{output}: {hello}");
    }
    make(at, "-f lavfi -i testsrc2=s=64x64:r=25 -frames:v 1 -c:v libx264 one.mp4");
    runs(at, "video one.mp4 out.webm");
    assert_eq!(facts(at, "out.webm", "codec_name"), "codec_name=av1\n");
    // What is refused by the file and not by the encoder, which then has no end.
    make(at, "-f lavfi -i testsrc2=s=64x64:r=25:d=0.4 -f lavfi -i sine=d=0.4 -c:v libx264 -c:a aac sound.mp4");
    let run = bifocal(at, "video sound.mp4 out.webm").output().unwrap();
    assert!(run.status.code() == Some(2) && said(&run).contains("Vorbis or Opus"), "{}", said(&run));
    assert!(!at.join("out.webm.parts").exists());
}

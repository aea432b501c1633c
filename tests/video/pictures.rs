//! Shapes, colours, turns, bits, fields.

use std::fs;

use super::{FLAGS, alone, bifocal, facts, make, pixels, pixels_by_live, runs, said, times, tool};

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
    // The one of its two tags by which all players know it.
    runs(at, "video in.mp4 out.mp4");
    assert_eq!(
        (light("out.mp4"), facts(at, "out.mp4", "codec_tag_string")),
        (light("in.mp4"), "codec_tag_string=hvc1\n".into())
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

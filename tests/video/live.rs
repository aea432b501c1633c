//! `live` from files and streams.

use std::fs;

use super::{alone, bifocal, make, pixels, pixels_by_live, runs, said, server};

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

//! The programs of `examples/` do what they say.

#![allow(dead_code)] // their `main`

#[path = "../examples/camera.rs"]
mod camera;
#[path = "../examples/plan.rs"]
mod plan;
mod support;
#[path = "../examples/upscale.rs"]
mod upscale;

use std::path::{Path, PathBuf};

use bifocal::{Options, PixelFormat, Size};
use support::{picture, tiny};

fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/ctnet-tiny-x2.onnx")
}

#[test]
fn a_picture_is_upscaled() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.png"), folder.path().join("out.png"));
    let size = Size::new(65, 40);
    let rows = picture("balcony.png", size, PixelFormat::Rgb8);
    image::save_buffer(&input, &rows, 65, 40, image::ExtendedColorType::Rgb8).unwrap();
    let said = upscale::upscale(&model(), &input, &output).unwrap();
    assert!(said.starts_with("65x40 to 130x80, "), "{said}");
    let written = image::open(&output).unwrap().into_rgb8();
    assert_eq!(written.dimensions(), (130, 80));
    let expected = support::upscale(&tiny(), &Options::new(size, PixelFormat::Rgb8), &rows);
    assert!(written.into_raw() == expected, "not the engine's bytes");
}

#[test]
fn a_camera_is_watched() {
    let mut seen = Vec::new();
    camera::watch(&model(), 3, |number, luma, chroma| {
        assert_eq!((luma.len(), chroma.len()), (640 * 360, 640 * 180));
        seen.push((number, luma.to_vec(), chroma.to_vec()));
    })
    .unwrap();
    assert_eq!(seen.iter().map(|frame| frame.0).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(seen[0].1 != seen[1].1 && seen[0].2 == seen[2].2, "luma moves, chroma does not");
    // Cb is 100 on the left and 139 on the right, Cr 140 at the top and 184 at the bottom.
    let chroma = &seen[0].2;
    assert_eq!(chroma[..2], [100, 140]);
    assert_eq!(chroma[chroma.len() - 2..], [139, 184]);
}

#[test]
fn the_plan_is_printed() {
    let text = plan::plan(&model(), Size::new(640, 360)).unwrap().to_string();
    for part in ["frame      640x368 padded, to 1280x720", "32.0MiB given", "the model holds", "attention", "conv+add"]
    {
        assert!(text.contains(part), "'{part}' in\n{text}");
    }
}

//! The plan against tract's own evaluation of the typed graph, in f32.

mod support;

use bifocal::engine::Options;
use bifocal::frame::PixelFormat;
use bifocal::geom::Size;
use bifocal::model::Model;
use support::{picture, upscale};

/// The most that any pixel may differ, and the share that may differ at all. The scales of the files leave no value
/// near a tie (`models/ctnet/ties.py`).
const MOST: u8 = 1;
const UNLIKE: f64 = 0.0001;

#[test]
fn agrees_with_tract() {
    for name in Model::EMBEDDED {
        agrees(&Model::named(name).unwrap().unwrap());
    }
}

fn agrees(model: &Model) {
    for (name, width, height) in [("balcony.png", 64, 48), ("towers.png", 80, 96)] {
        let options = Options::new(Size::new(width, height), PixelFormat::Gray8);
        let luma = picture(name, options.size, options.format);
        let ours = upscale(model, &options, &luma);
        let theirs = model.evaluate(width, height, &luma).unwrap();
        assert_eq!(ours.len(), theirs.len());
        let differences: Vec<u8> = ours.iter().zip(&theirs).map(|(a, b)| a.abs_diff(*b)).collect();
        let worst = *differences.iter().max().unwrap();
        let unlike = differences.iter().filter(|d| **d > 0).count() as f64 / ours.len() as f64;
        assert!(worst <= MOST && unlike <= UNLIKE, "{name}: worst {worst}, {unlike} differ");
        let plain = luma.iter().map(|v| u64::from(*v)).sum::<u64>() / luma.len() as u64;
        let mean = theirs.iter().map(|v| u64::from(*v)).sum::<u64>() / theirs.len() as u64;
        assert!(mean.abs_diff(plain) <= 2, "{name}: the judge's own mean {mean} is not that of the picture, {plain}");
    }
}

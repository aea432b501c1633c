//! Whatever is flat stays flat: a picture of one grey, of all 256, up to the border.
//!
//! The networks pad with zeros, so near a border they see an edge that is not there. Some have learnt from flat pictures to answer
//! it with nothing (`flat` in models/ctnet/data.py); what the others add is gated (models/ctnet/guard.py).

mod support;

use bifocal::{Budget, Engine, Model, Options, PixelFormat, Size};
use support::run;

/// Borders apart and opposite ones near each other, on the networks' grid of 16 pixels and beside it.
const SIZES: [(usize, usize); 4] = [(16, 16), (31, 50), (64, 64), (112, 80)];

#[test]
fn a_grey_stays_the_same() {
    for name in Model::EMBEDDED {
        let model = Model::named(name).unwrap().unwrap();
        let (mut off, mut pixels, mut farthest) = (0, 0, 0);
        for (width, height) in SIZES {
            let size = Size::new(width, height);
            let options = Options::new(size, PixelFormat::Gray8).with_budget(Budget::mib(256));
            let mut engine = Engine::prepare(&model, &options).unwrap();
            for grey in 0..=255 {
                for pixel in run(&mut engine, &options, &vec![grey; size.area()]) {
                    let distance = pixel.abs_diff(grey);
                    pixels += 1;
                    off += usize::from(distance > 0);
                    farthest = farthest.max(distance);
                }
            }
        }
        assert!(off == 0, "{name}: {off} of {pixels} pixels are off, by {farthest} at most");
    }
}

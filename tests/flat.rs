//! Whatever is flat stays flat: a picture of one grey, of all 256, up to the border.
//!
//! The networks pad with zeros, so near a border they see an edge that is not there; those that have learnt from flat
//! pictures (`flat` in models/ctnet/data.py) answer it with nothing.

mod support;

use bifocal::{Budget, Engine, Model, Options, PixelFormat, Size};
use support::run;

/// Borders apart and opposite ones near each other, on the networks' grid of 16 pixels and beside it.
const SIZES: [(usize, usize); 4] = [(16, 16), (31, 50), (64, 64), (112, 80)];

/// How far a grey may be off at worst, and at how many of a million pixels it may be off at all.
const LIMITS: [(&str, u8, usize); 11] = [
    ("ctnet-tiny-x2", 0, 0),
    ("ctnet-nano-x2", 0, 0),
    ("ctnet-small-x2", 0, 0),
    ("ctnet-tiny-x3", 1, 2),
    ("ctnet-tiny-x4", 1, 1),
    ("ctnet-small-x4", 0, 0),
    ("ctnet-small-x4-photo", 3, 102_000),
    ("ctnet-tiny-x2-cam", 4, 204_000),
    ("ctnet-tiny-x4-cam", 1, 1),
    ("ctnet-base-x2", 0, 0),
    ("ctnet-base-x4", 0, 0),
];

#[test]
fn a_grey_stays_the_same() {
    for name in Model::EMBEDDED {
        let &(_, worst, share) = LIMITS.iter().find(|(of, ..)| of == name).expect("limits of every file");
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
        let found = off * 1_000_000 / pixels;
        println!("{name}: {found} of a million pixels off, by {farthest} at most");
        assert!(farthest <= worst && found <= share, "{name}: {found} of a million pixels off, by {farthest} at most");
    }
}

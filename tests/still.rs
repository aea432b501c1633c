//! Windows that stand still: what is left as it is has the bytes that it would be made of.

#[path = "support/dice.rs"]
mod dice;
mod support;

use bifocal::{
    Branches, Budget, Engine, Level, Model, Options, PixelFormat, Plane, PlaneMut, Size, Still, Tile, Tolerance,
    YuvFormat, survey,
};
use dice::Dice;
use support::picture;

const EXACT: Still = Still { tolerance: Tolerance::Levels(0), refresh: 50 };

fn options(width: usize, height: usize) -> Options {
    Options::new(Size::new(width, height), PixelFormat::Gray8).with_budget(Budget::mib(256))
}

/// Planes of a frame, without padding: width in bytes, and rows.
fn shapes(options: &Options, size: Size) -> Vec<(usize, usize)> {
    let half = |n: usize| n.div_ceil(2);
    let chroma = match options.yuv {
        None => vec![],
        Some(YuvFormat::I420) => vec![(half(size.width), half(size.height)); 2],
        Some(YuvFormat::Nv12) => vec![(2 * half(size.width), half(size.height))],
        Some(YuvFormat::Yuy2) => return vec![(4 * half(size.width), size.height)],
        Some(other) => panic!("{other:?}"),
    };
    let channels = match options.format {
        PixelFormat::Gray8 => 1,
        _ => 3,
    };
    [vec![(channels * size.width, size.height)], chroma].concat()
}

/// A film: a picture in which patches come and go.
fn film(options: &Options, frames: usize, seed: u64) -> Vec<Vec<Vec<u8>>> {
    let size = options.size;
    let mut dice = Dice(seed + 1);
    let plane = |&(bytes, rows): &(usize, usize)| picture("towers.png", Size::new(bytes, rows), PixelFormat::Gray8);
    let mut planes: Vec<Vec<u8>> = shapes(options, size).iter().map(plane).collect();
    (0..frames)
        .map(|frame| {
            // Now and then nothing changes.
            for _ in 0..if frame % 3 == 2 { 0 } else { 1 + dice.roll(2) } {
                let number = dice.roll(planes.len());
                let (bytes, rows) = shapes(options, size)[number];
                let (x, y) = (dice.roll(bytes), dice.roll(rows));
                let (w, h) = (1 + dice.roll(bytes - x).min(40), 1 + dice.roll(rows - y).min(40));
                let by = 1 + dice.roll(90) as u8;
                for row in planes[number].chunks_exact_mut(bytes).skip(y).take(h) {
                    row[x..(x + w).min(bytes)].iter_mut().for_each(|v| *v = v.wrapping_add(by));
                }
            }
            planes.clone()
        })
        .collect()
}

/// Upscales a film, each frame into what the one before left; gives all frames and the share of the work of each.
fn run(model: &Model, options: &Options, film: &[Vec<Vec<u8>>]) -> (Vec<Vec<Vec<u8>>>, Vec<f64>) {
    let mut engine = Engine::prepare(model, options).unwrap();
    let to = shapes(options, engine.output_size());
    let mut out: Vec<Vec<u8>> = to.iter().map(|(bytes, rows)| vec![0; bytes * rows]).collect();
    let (mut all, mut shares) = (vec![], vec![]);
    for frame in film {
        let from = shapes(options, options.size);
        let input: Vec<Plane> =
            frame.iter().zip(&from).map(|(bytes, (stride, _))| Plane::new(bytes, *stride)).collect();
        let mut output: Vec<PlaneMut> =
            out.iter_mut().zip(&to).map(|(bytes, (stride, _))| PlaneMut::new(bytes, *stride)).collect();
        engine.upscale(&input, &mut output).unwrap();
        all.push(out.clone());
        shares.push(engine.macs_share());
    }
    (all, shares)
}

#[test]
fn what_stands_still_has_the_bytes_of_what_is_made() {
    for (name, sizes) in [
        ("ctnet-tiny-x2", &[(1, 1), (15, 33), (161, 143), (353, 241)][..]),
        ("ctnet-nano-x2", &[(17, 31), (353, 241)]),
        ("ctnet-tiny-x3", &[(130, 150)]),
        ("ctnet-small-x4", &[(130, 150)]),
        ("ctnet-base-x2", &[(241, 161)]),
    ] {
        let model = Model::named(name).unwrap().unwrap();
        for (seed, &(width, height)) in sizes.iter().enumerate() {
            let grey = options(width, height);
            let mut kinds = vec![grey.clone()];
            if name.contains("tiny-x2") {
                kinds.push(Options::new(grey.size, PixelFormat::Rgb8).with_budget(grey.budget));
                kinds.extend(
                    [YuvFormat::I420, YuvFormat::Nv12, YuvFormat::Yuy2].map(|yuv| Options::yuv(grey.size, yuv)),
                );
                kinds.push(grey.clone().with_branches(Branches::Cnn));
            }
            if name.contains("base") {
                kinds.push(grey.with_branches(Branches::Auto).with_effort(50));
            }
            for (kind, options) in kinds.into_iter().enumerate() {
                let film = film(&options, 9, (kind + 10 * seed) as u64);
                let (expected, whole) = run(&model, &options, &film);
                let (given, shares) = run(&model, &options.clone().with_still(EXACT), &film);
                let differs = given.iter().zip(&expected).position(|(a, b)| a != b);
                assert_eq!(differs, None, "{name}, {width}x{height}, kind {kind}: {shares:?}");
                assert!(shares.iter().zip(&whole).all(|(a, b)| a <= b), "{shares:?} of {whole:?}");
                assert_eq!((shares[2], shares[5]), (0.0, 0.0), "nothing changes");
                assert!(
                    width < 300 || shares[1..].iter().any(|share| (0.01..0.7).contains(share)),
                    "{name}: {shares:?}"
                );
            }
        }
    }
}

#[test]
fn levels_tiles_threads_and_budgets_cannot_be_seen() {
    let model = support::tiny();
    for tolerance in [Tolerance::Levels(0), Tolerance::Levels(6), Tolerance::Noise] {
        let base = options(241, 167).with_still(Still { tolerance, refresh: 20 });
        let mut film = film(&base, 7, 3);
        add_noise(&mut film, if tolerance == Tolerance::Levels(0) { 0 } else { 1 });
        let (expected, _) = run(&model, &base, &film);
        let mut variants: Vec<Options> = Level::all().into_iter().map(|l| base.clone().with_level(l)).collect();
        variants.extend([16, 33, 64, 128].map(|side| base.clone().with_tile(Tile::Fixed(side))));
        variants.extend([2, 3].map(|threads| base.clone().with_threads(threads)));
        variants.push(base.clone().with_threads(2).with_tile(Tile::Fixed(64)));
        let least = survey(&model, &base).unwrap().min_budget_bytes.unwrap();
        variants.extend([0, 40].map(|more| base.clone().with_budget(Budget(least + least * more / 100))));
        for variant in variants {
            let (given, shares) = run(&model, &variant, &film);
            let level = variant.level.name();
            let differs = given.iter().zip(&expected).position(|(a, b)| a != b);
            let Options { tile, threads, budget, .. } = variant;
            assert_eq!(differs, None, "{tolerance:?}, {level}, {tile:?}, {threads} threads, {}: {shares:?}", budget.0);
        }
    }
}

/// Adds noise, much the same as a normal distribution's.
fn add_noise(film: &mut [Vec<Vec<u8>>], deviation: usize) {
    let mut dice = Dice(77);
    for value in film.iter_mut().flatten().flatten() {
        // Twelve dice of one level: their variance is one twelfth each.
        let sum: usize = (0..12).map(|_| dice.roll(256 * deviation + 1)).sum();
        let noise = (sum as i32 - 12 * 128 * deviation as i32 + 128).div_euclid(256);
        *value = (i32::from(*value) + noise).clamp(0, 255) as u8;
    }
}

#[test]
fn noise_is_left_out_and_change_is_not() {
    let model = support::tiny();
    for deviation in [1, 2, 4] {
        let base = options(256, 160);
        let still = Still { tolerance: Tolerance::Noise, refresh: 1000 };
        let rows = picture("balcony.png", base.size, PixelFormat::Gray8);
        let mut film = vec![vec![rows]; 16];
        // Something faint appears: twice the noise, over an eighth of the height.
        for frame in &mut film[12..] {
            let rows = frame[0].chunks_exact_mut(256).skip(64).take(20);
            rows.for_each(|row| row[100..140].iter_mut().for_each(|v| *v = v.saturating_add(2 * deviation as u8)));
        }
        add_noise(&mut film, deviation);
        let (given, shares) = run(&model, &base.clone().with_still(still), &film);
        let (whole, _) = run(&model, &base, &film);
        let quiet: f64 = shares[2..12].iter().sum::<f64>() / 10.0;
        assert!(quiet < 0.05, "noise of {deviation}: {shares:?}");
        assert!(shares[12] > 0.1, "noise of {deviation}: {shares:?}");
        let differences = given.iter().flatten().flatten().zip(whole.iter().flatten().flatten());
        let differences: Vec<i32> = differences.map(|(a, b)| (i32::from(*a) - i32::from(*b)).abs()).collect();
        let mean = f64::from(differences.iter().sum::<i32>()) / differences.len() as f64;
        let most = differences.iter().max().unwrap();
        assert!(
            mean < 1.7 * deviation as f64 && *most < 20 * deviation as i32,
            "{deviation}: mean {mean}, most {most}"
        );
    }
}

#[test]
fn a_window_is_made_anew_in_its_turn() {
    let model = support::tiny();
    let base = options(64, 336);
    let still = Still { tolerance: Tolerance::Levels(3), refresh: 21 };
    let rows = picture("balcony.png", base.size, PixelFormat::Gray8);
    let other: Vec<u8> =
        rows.iter().enumerate().map(|(i, v)| if i % 29 == 0 { v.saturating_add(3) } else { *v }).collect();
    let film = [vec![vec![rows]], vec![vec![other]; 22]].concat();
    let (given, shares) = run(&model, &base.clone().with_still(still), &film);
    let (whole, _) = run(&model, &base, &film);
    assert!(given[1] != whole[1] && given[21..] == whole[21..], "{shares:?}");
    assert!(shares[1..].iter().all(|share| *share < 1.0) && shares[1..].iter().any(|share| *share > 0.0), "{shares:?}");
}

#[test]
fn rows_alone_are_refused() {
    let options = options(32, 32).with_still(EXACT);
    let mut engine = Engine::prepare(&support::tiny(), &options).unwrap();
    let error = engine.push(&[0; 32], |_| Ok::<_, std::convert::Infallible>(())).unwrap_err();
    assert_eq!(error.to_string(), "the engine takes whole frames, not rows");
}

//! Whole frames in the caller's memory, and the errors of rows and frames that do not fit.

mod support;

use bifocal::internals::frame::{Conversion, FrameFormat, Layout, PlaneFilter};
use bifocal::{
    Budget, Engine, FrameError, Matrix, Model, Options, PixelFormat, Plane, PlaneMut, PrepareError, PushError, Range,
    Siting, Size, Still, Tile, Tolerance, YuvFormat,
};
use support::{model, picture, run, tiny, upscale};

const GAP: u8 = 0xa5;

/// Rows `stride` bytes apart, the gaps filled; the last row ends with its samples.
fn spread(rows: &[u8], row_bytes: usize, stride: usize) -> Vec<u8> {
    let mut spread = Vec::new();
    for row in rows.chunks(row_bytes) {
        spread.resize(spread.len().next_multiple_of(stride), GAP);
        spread.extend_from_slice(row);
    }
    spread
}

/// The samples again; the gaps must not have been written.
fn gather(bytes: &[u8], row_bytes: usize, stride: usize) -> Vec<u8> {
    let mut rows = Vec::new();
    for row in bytes.chunks(stride) {
        let (samples, gap) = row.split_at(row_bytes);
        assert!(gap.iter().all(|v| *v == GAP), "what lies between rows was written");
        rows.extend_from_slice(samples);
    }
    rows
}

#[test]
fn strided_pixels_give_the_bytes_of_rows() {
    let model = tiny();
    let size = Size::new(37, 21);
    for format in [PixelFormat::Gray8, PixelFormat::GrayAlpha8, PixelFormat::Rgb8, PixelFormat::Rgba8] {
        for tile in [Tile::Auto, Tile::Fixed(16)] {
            let options = Options::new(size, format).with_tile(tile);
            let rows = picture("towers.png", size, format);
            let expected = upscale(&model, &options, &rows);
            let mut engine = Engine::prepare(&model, &options).unwrap();
            let (bytes, large) = (37 * format.channels(), 74 * format.channels());
            let input = spread(&rows, bytes, bytes + 19);
            let mut output = vec![GAP; 41 * (large + 7) + large];
            // A frame that was pushed in part is forgotten.
            engine.push(&rows[..bytes], |_| Ok::<(), ()>(())).unwrap();
            for _ in 0..2 {
                let mut planes = [PlaneMut::new(&mut output, large + 7)];
                engine.upscale(&[Plane::new(&input, bytes + 19)], &mut planes).unwrap();
                assert!(gather(&output, large, large + 7) == expected, "{format:?} {tile:?}");
            }
            assert!(run(&mut engine, &options, &rows) == expected, "rows after frames");
        }
    }
}

/// Luma is what the engine makes of grey, chroma what the filter makes of each plane, whatever the layout.
#[test]
fn yuv_frames_are_luma_and_filtered_chroma() {
    let model = tiny();
    let layouts = [
        (YuvFormat::I420, Layout::Yuv420),
        (YuvFormat::Nv12, Layout::Yuv420),
        (YuvFormat::I422, Layout::Yuv422),
        (YuvFormat::I444, Layout::Yuv444),
    ];
    for (size, siting) in [(Size::new(35, 19), Siting::Left), (Size::new(32, 16), Siting::Centre)] {
        for (format, layout) in layouts {
            let from = FrameFormat { siting, ..FrameFormat::picture(size, layout) };
            let to = FrameFormat { siting, ..FrameFormat::picture(size.scaled(2), layout) };
            let luma = picture("balcony.png", size, PixelFormat::Gray8);
            let chroma =
                [3, 5].map(|n| (0..from.chroma().area()).map(|i| (i * i * n % 251) as u8).collect::<Vec<u8>>());
            let grey = Options::new(size, PixelFormat::Gray8);
            let (across, down) = from.chroma_axes(layout, 2);
            let mut expected = vec![upscale(&model, &grey, &luma)];
            for plane in &chroma {
                let mut large = vec![0; to.chroma().area()];
                PlaneFilter::new(1, from.chroma(), to.chroma(), across, down, grey.level).plane(plane, &mut large);
                expected.push(large);
            }

            let (small, large) = (from.chroma().width, to.chroma().width);
            let mut engine = Engine::prepare(&model, &Options::yuv(size, format).with_siting(siting)).unwrap();
            let luma = spread(&luma, size.width, 64);
            let mut out = vec![GAP; to.size.height * 80];
            if format == YuvFormat::Nv12 {
                let pairs: Vec<u8> = chroma[0].iter().zip(&chroma[1]).flat_map(|(u, v)| [*u, *v]).collect();
                let pairs = spread(&pairs, 2 * small, 70);
                let mut out_pairs = vec![GAP; to.chroma().height * 90];
                let input = [Plane::new(&luma, 64), Plane::new(&pairs, 70)];
                let mut output = [PlaneMut::new(&mut out, 80), PlaneMut::new(&mut out_pairs, 90)];
                engine.upscale(&input, &mut output).unwrap();
                let pairs = gather(&out_pairs, 2 * large, 90);
                for channel in [0, 1] {
                    let plane: Vec<u8> = pairs.iter().copied().skip(channel).step_by(2).collect();
                    assert!(plane == expected[1 + channel], "{format:?} {size}, channel {channel}");
                }
            } else {
                let [u, v] = chroma.map(|plane| spread(&plane, small, 50));
                let mut planes = [vec![GAP; to.chroma().height * 80], vec![GAP; to.chroma().height * 75]];
                let input = [Plane::new(&luma, 64), Plane::new(&u, 50), Plane::new(&v, 50)];
                let [out_u, out_v] = &mut planes;
                let mut output = [PlaneMut::new(&mut out, 80), PlaneMut::new(out_u, 80), PlaneMut::new(out_v, 75)];
                engine.upscale(&input, &mut output).unwrap();
                assert!(gather(&planes[0], large, 80) == expected[1], "{format:?} {size}, U");
                assert!(gather(&planes[1], large, 75) == expected[2], "{format:?} {size}, V");
            }
            assert!(gather(&out, to.size.width, 80) == expected[0], "{format:?} {size}, luma");
        }
    }
}

/// Luma is what the engine makes of grey, chroma what the filter makes for every pixel, and both go through the standard's formula;
/// also where windows stand still.
#[test]
fn yuv_frames_become_rgb() {
    let (model, size, large) = (tiny(), Size::new(35, 19), Size::new(70, 38));
    let luma = picture("balcony.png", size, PixelFormat::Gray8);
    let grey = upscale(&model, &Options::new(size, PixelFormat::Gray8), &luma);
    for (format, layout) in
        [(YuvFormat::I420, Layout::Yuv420), (YuvFormat::Nv12, Layout::Yuv420), (YuvFormat::I444, Layout::Yuv444)]
    {
        let from = FrameFormat { siting: Siting::Left, ..FrameFormat::picture(size, layout) };
        let (across, down) = from.chroma_axes(Layout::Rgb, 2);
        let chroma = [3, 5].map(|n| (0..from.chroma().area()).map(|i| (i * i * n % 251) as u8).collect::<Vec<u8>>());
        let options = Options::yuv(size, format).with_rgb(Matrix::Bt709, Range::Limited);
        let enlarged = chroma.each_ref().map(|plane| {
            let mut out = vec![0; large.area()];
            PlaneFilter::new(1, from.chroma(), large, across, down, options.level).plane(plane, &mut out);
            out
        });
        let conversion = Conversion::to_rgb(Matrix::Bt709, Range::Limited);
        let pixel = |i: usize| conversion.pixel([grey[i], enlarged[0][i], enlarged[1][i]]);
        let expected: Vec<u8> = (0..large.area()).flat_map(pixel).collect();

        let width = from.chroma().width;
        let pairs: Vec<u8> = chroma[0].iter().zip(&chroma[1]).flat_map(|(u, v)| [*u, *v]).collect();
        let [u, v] = chroma.each_ref().map(|plane| Plane::new(plane, width));
        let input = [Plane::new(&luma, size.width), u, v];
        let turns = [Plane::new(&luma, size.width), Plane::new(&pairs, 2 * width)];
        let input = if format == YuvFormat::Nv12 { &turns[..] } else { &input[..] };
        let still = Still { tolerance: Tolerance::Levels(0), refresh: 100 };
        for options in [options.clone(), options.clone().with_tile(Tile::Fixed(16)), options.with_still(still)] {
            let mut engine = Engine::prepare(&model, &options).unwrap();
            let mut out = vec![GAP; 37 * 220 + 210];
            for _ in 0..2 {
                engine.upscale(input, &mut [PlaneMut::new(&mut out, 220)]).unwrap();
                assert!(gather(&out, 210, 220) == expected, "{format:?}");
            }
            let mut turned = Engine::prepare(&model, &options.clone().with_blue_first()).unwrap();
            turned.upscale(input, &mut [PlaneMut::new(&mut out, 220)]).unwrap();
            let turned: Vec<u8> = expected.chunks(3).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]).collect();
            assert!(gather(&out, 210, 220) == turned, "{format:?}, blue first");
            let mut more = [PlaneMut::new(&mut [], 0), PlaneMut::new(&mut [], 0)];
            assert_eq!(engine.upscale(input, &mut more), Err(FrameError::Planes { given: 2, needed: 1 }));
            let small = FrameError::Output { plane: 0, rows: 38, row_bytes: 210 };
            assert_eq!(engine.upscale(input, &mut [PlaneMut::new(&mut out, 209)]), Err(small));
            // What it allocates is counted.
            let mut plain = options.clone();
            plain.rgb = None;
            let plain = Engine::prepare(&model, &plain).unwrap();
            let most = engine.report().total_bytes - plain.report().total_bytes;
            assert!(most > 9 * 256 * 8, "{most} bytes");
        }
    }
    let rgb = Options::new(size, PixelFormat::Rgb8).with_rgb(Matrix::Bt601, Range::Full);
    assert!(matches!(Engine::prepare(&model, &rgb), Err(PrepareError::Rgb)));
}

/// Blue first or red first: the same pixels, whether the network sees luma or colours, in integers or in floats.
#[test]
fn blue_may_come_first() {
    let size = Size::new(37, 21);
    let swap = |rows: &[u8], channels: usize| {
        let mut rows = rows.to_vec();
        rows.chunks_exact_mut(channels).for_each(|pixel| pixel.swap(0, 2));
        rows
    };
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models");
    let others = ["int8-edsr-x2", "edsr-x2", "vdsr-y-x1"].map(|name| folder.join(name).with_extension("onnx"));
    for model in std::iter::once(tiny()).chain(others.map(|path| Model::open(&path).unwrap())) {
        for format in [PixelFormat::Rgb8, PixelFormat::Rgba8] {
            let (options, channels) = (Options::new(size, format).with_budget(Budget::mib(512)), format.channels());
            let rows = picture("towers.png", size, format);
            let expected = swap(&upscale(&model, &options, &rows), channels);
            let given = upscale(&model, &options.with_blue_first(), &swap(&rows, channels));
            assert!(given == expected, "{} {format:?}", model.metadata().name);
        }
        let grey = Options::new(size, PixelFormat::Gray8).with_budget(Budget::mib(512));
        let rows = picture("towers.png", size, PixelFormat::Gray8);
        let expected = upscale(&model, &grey, &rows);
        assert!(upscale(&model, &grey.with_blue_first(), &rows) == expected, "grey has no order");
    }
}

/// The bytes of three planes, in another order; gaps are not written, the filler of an odd row is its last sample.
#[test]
fn packed_frames_are_planes_that_take_turns() {
    for (name, size) in
        [("ctnet-tiny-x2", Size::new(35, 19)), ("ctnet-tiny-x3", Size::new(17, 6)), ("ctnet-tiny-x3", Size::new(16, 3))]
    {
        let model = model(name);
        let large = size.scaled(model.metadata().scale);
        let planes: Vec<Vec<u8>> = [(size.width, 3), (size.width.div_ceil(2), 5), (size.width.div_ceil(2), 7)]
            .map(|(width, n)| (0..width * size.height).map(|i| (i * i * n % 251) as u8).collect())
            .into();
        let widths = |size: Size| [size.width, size.width.div_ceil(2), size.width.div_ceil(2)];
        let mut expected = widths(large).map(|width| vec![0; width * large.height]);
        let mut engine = Engine::prepare(&model, &Options::yuv(size, YuvFormat::I422)).unwrap();
        let input: Vec<Plane> =
            planes.iter().zip(widths(size)).map(|(plane, width)| Plane::new(plane, width)).collect();
        let mut output: Vec<PlaneMut> =
            expected.iter_mut().zip(widths(large)).map(|(plane, width)| PlaneMut::new(plane, width)).collect();
        engine.upscale(&input, &mut output).unwrap();

        let pack = |planes: &[Vec<u8>], Size { width, height }: Size, filler: Option<u8>| {
            let half = width.div_ceil(2);
            let quad = |(y, x): (usize, usize)| {
                let luma = &planes[0][y * width..][..width];
                let second = luma.get(2 * x + 1).copied().or(filler).unwrap_or(luma[width - 1]);
                [luma[2 * x], planes[1][y * half + x], second, planes[2][y * half + x]]
            };
            (0..height).flat_map(|y| (0..half).map(move |x| (y, x))).flat_map(quad).collect::<Vec<u8>>()
        };
        let (bytes, made) = (4 * size.width.div_ceil(2), 4 * large.width.div_ceil(2));
        let input = spread(&pack(&planes, size, Some(99)), bytes, bytes + 12);
        let mut output = vec![GAP; (large.height - 1) * (made + 20) + made];
        let mut engine = Engine::prepare(&model, &Options::yuv(size, YuvFormat::Yuy2)).unwrap();
        for _ in 0..2 {
            let mut planes = [PlaneMut::new(&mut output, made + 20)];
            engine.upscale(&[Plane::new(&input, bytes + 12)], &mut planes).unwrap();
            assert!(gather(&output, made, made + 20) == pack(&expected, large, None), "{name} {size}");
        }
        let short = [Plane::new(&input[..input.len() - 1], bytes + 12)];
        let needed = FrameError::Input { plane: 0, rows: size.height, row_bytes: bytes };
        assert_eq!(engine.upscale(&short, &mut [PlaneMut::new(&mut output, made)]), Err(needed));
    }
}

#[test]
fn rows_that_do_not_fit_are_errors_and_change_nothing() {
    let model = tiny();
    let options = Options::new(Size::new(20, 10), PixelFormat::Rgb8);
    let rows = picture("towers.png", options.size, options.format);
    let expected = upscale(&model, &options, &rows);
    let mut engine = Engine::prepare(&model, &options).unwrap();
    let mut out = Vec::new();
    for row in rows.chunks(60) {
        for wrong in [&rows[..0], &rows[..59], &rows[..61]] {
            match engine.push(wrong, |_| Ok::<(), ()>(())) {
                Err(PushError::RowLength { given, needed: 60 }) => assert_eq!(given, wrong.len()),
                other => panic!("{other:?}"),
            }
        }
        let receive = |row: &[u8]| {
            out.extend_from_slice(row);
            Ok::<(), ()>(())
        };
        engine.push(row, receive).unwrap();
    }
    assert!(out == expected);
    // What the receiver says comes back, and the frame is forgotten.
    let refused = rows.chunks(60).find_map(|row| engine.push(row, |_| Err("full")).err());
    assert!(matches!(refused, Some(PushError::Receiver("full"))));
    assert!(run(&mut engine, &options, &rows) == expected);
    let mut engine = Engine::prepare(&model, &Options::yuv(options.size, YuvFormat::I420)).unwrap();
    assert!(matches!(engine.push(&rows[..20], |_| Ok::<(), ()>(())), Err(PushError::WholeFrames)));
}

#[test]
fn frames_that_do_not_fit_are_errors() {
    let model = tiny();
    let mut engine = Engine::prepare(&model, &Options::yuv(Size::new(33, 11), YuvFormat::Nv12)).unwrap();
    let (luma, chroma) = (vec![9; 33 * 11], vec![9; 34 * 6]);
    let (mut out, mut out_chroma) = (vec![0; 66 * 22], vec![0; 66 * 11]);
    let mut attempt = |luma: Plane, chroma: Plane, out_stride| {
        let mut output = [PlaneMut::new(&mut out, 66), PlaneMut::new(&mut out_chroma, out_stride)];
        engine.upscale(&[luma, chroma], &mut output)
    };
    let (y, uv) = (Plane::new(&luma, 33), Plane::new(&chroma, 34));
    assert_eq!(attempt(y, uv, 66), Ok(()));
    let input = |plane, rows, row_bytes| Err(FrameError::Input { plane, rows, row_bytes });
    assert_eq!(attempt(Plane::new(&luma[1..], 33), uv, 66), input(0, 11, 33));
    assert_eq!(attempt(Plane::new(&luma, 32), uv, 66), input(0, 11, 33), "rows overlap");
    assert_eq!(attempt(y, Plane::new(&chroma, 35), 66), input(1, 6, 34));
    assert_eq!(attempt(y, Plane::new(&chroma, usize::MAX), 66), input(1, 6, 34));
    assert_eq!(attempt(y, uv, 67), Err(FrameError::Output { plane: 1, rows: 11, row_bytes: 66 }));
    assert_eq!(engine.upscale(&[y], &mut []), Err(FrameError::Planes { given: 1, needed: 2 }));
    let mut options = Options::yuv(Size::new(33, 11), YuvFormat::Nv12);
    options.format = PixelFormat::Rgb8;
    assert!(matches!(Engine::prepare(&model, &options), Err(PrepareError::Yuv(PixelFormat::Rgb8))));
    for side in [0, 15, 65_537] {
        let options = Options::new(Size::new(33, 11), PixelFormat::Gray8).with_tile(Tile::Fixed(side));
        assert!(matches!(Engine::prepare(&model, &options), Err(PrepareError::Tile(given)) if given == side));
    }
}

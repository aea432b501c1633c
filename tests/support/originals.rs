//! A sound file of every kind that can be read, small.

#![allow(dead_code)] // no test file needs all of it

use std::io::Cursor;

use image::{DynamicImage, ImageFormat};

const WIDTH: u32 = 23;
const HEIGHT: u32 = 14;

pub fn picture(channels: usize) -> DynamicImage {
    let pixels: Vec<u8> =
        (0..WIDTH as usize * HEIGHT as usize * channels).map(|i| (i / 3 + i * i % 37) as u8).collect();
    let wrong = "pixels fit the size";
    match channels {
        1 => DynamicImage::ImageLuma8(image::ImageBuffer::from_raw(WIDTH, HEIGHT, pixels).expect(wrong)),
        3 => DynamicImage::ImageRgb8(image::ImageBuffer::from_raw(WIDTH, HEIGHT, pixels).expect(wrong)),
        _ => DynamicImage::ImageRgba8(image::ImageBuffer::from_raw(WIDTH, HEIGHT, pixels).expect(wrong)),
    }
}

fn encoded(channels: usize, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture(channels).write_to(&mut bytes, format).expect("a sound picture can be written");
    bytes.into_inner()
}

fn palette_png() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 20, 6);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Four);
    encoder.set_palette((0..48).map(|i| i * 5).collect::<Vec<u8>>());
    encoder.set_trns(vec![0, 128, 255]);
    let mut writer = encoder.write_header().expect("header");
    writer.write_image_data(&(0..60).map(|i| i * 4).collect::<Vec<u8>>()).expect("pixels");
    drop(writer);
    bytes
}

fn deep_png() -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture(3).to_rgb16().write_to(&mut bytes, ImageFormat::Png).expect("16 bits");
    bytes.into_inner()
}

fn deep_tiff() -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture(3).to_rgb16().write_to(&mut bytes, ImageFormat::Tiff).expect("16 bits");
    bytes.into_inner()
}

/// Three pictures, the second and third of a part.
fn animated_gif() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = gif::Encoder::new(&mut bytes, 20, 9, &[200, 3, 5, 9, 150, 4, 4, 8, 250]).expect("a header");
    for (left, side, dispose) in [
        (0, 20, gif::DisposalMethod::Keep),
        (5, 7, gif::DisposalMethod::Previous),
        (9, 8, gif::DisposalMethod::Background),
    ] {
        let (width, height) = (side, side.min(9));
        let buffer = (0..width * height).map(|i| (i % 3) as u8).collect::<Vec<u8>>().into();
        let frame =
            gif::Frame { left, width, height, dispose, delay: 4, transparent: Some(2), buffer, ..Default::default() };
        encoder.write_frame(&frame).expect("a frame");
    }
    drop(encoder);
    bytes
}

fn animated_png() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 16, 8);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_animated(3, 0).expect("an animation");
    let mut writer = encoder.write_header().expect("a header");
    for frame in 0..3u8 {
        writer.set_blend_op(png::BlendOp::Over).expect("a frame");
        writer
            .write_image_data(&(0..16 * 8 * 4).map(|i| (i as u8).wrapping_mul(frame + 3)).collect::<Vec<u8>>())
            .expect("pixels");
    }
    writer.finish().expect("an end");
    bytes
}

/// 16 x 12 pixels of `[16 x, 20 y, 128]`, by libjxl, lossless.
pub const JXL: [u8; 54] = *b"\xff\x0a\x58\x30\x10\x09\x08\x02\x01\x00\xa8\x00\x4b\x28\x34\x34\x7e\xa2\xb0\x10\x20\xe1\xa1\x11\xa7\xeb\x10\x24\x28\xa3\x7f\xb1\x85\x08\x30\x00\x10\xcd\xa2\x77\x00\x00\x46\x59\x0e\x40\x79\x59\xf0\x97\x00\x00\xda\x01";

/// Every kind of file that can be read.
pub fn originals() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("grey.png", encoded(1, ImageFormat::Png)),
        ("colour.png", encoded(3, ImageFormat::Png)),
        ("alpha.png", encoded(4, ImageFormat::Png)),
        ("palette.png", palette_png()),
        ("deep.png", deep_png()),
        ("colour.ppm", encoded(3, ImageFormat::Pnm)),
        ("grey.jpg", encoded(1, ImageFormat::Jpeg)),
        ("colour.jpg", encoded(3, ImageFormat::Jpeg)),
        ("alpha.webp", encoded(4, ImageFormat::WebP)),
        ("colour.bmp", encoded(3, ImageFormat::Bmp)),
        ("alpha.tif", encoded(4, ImageFormat::Tiff)),
        ("moving.gif", animated_gif()),
        ("moving.png", animated_png()),
        ("deep.tif", deep_tiff()),
        ("picture.jxl", JXL.to_vec()),
        ("plain.ppm", b"P3 2 2 9\n1 2 3 4 5 6\n7 8 9 0 1 2\n".to_vec()),
        ("map.pam", b"P7\nWIDTH 2\nHEIGHT 1\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\nabcdefgh".to_vec()),
    ]
}

//! A camera loop: strided NV12 frames, as V4L2 and GStreamer hand them out, upscaled into a buffer of our own.
//! `camera MODEL.onnx FRAMES`. The camera here is a synthetic one.

use std::error::Error;
use std::path::Path;

use bifocal::{Engine, Model, Options, Plane, PlaneMut, Size, YuvFormat};

/// Whatever fills buffers: rows of 320 pixels in a buffer whose rows are 384 bytes apart.
struct Camera {
    buffer: Vec<u8>,
    frame: usize,
}

impl Camera {
    const SIZE: Size = Size::new(320, 180);
    const STRIDE: usize = 384;

    fn new() -> Self {
        Self { buffer: vec![0; Self::STRIDE * (Self::SIZE.height + Self::SIZE.height / 2)], frame: 0 }
    }

    /// The next frame: luma, then Cb and Cr in turn, at half the width and height.
    fn capture(&mut self) -> (Plane<'_>, Plane<'_>) {
        let (luma, chroma) = self.buffer.split_at_mut(Self::STRIDE * Self::SIZE.height);
        for (y, row) in luma.chunks_exact_mut(Self::STRIDE).enumerate() {
            row.iter_mut().enumerate().for_each(|(x, v)| *v = ((x + y + 3 * self.frame) % 200 + 20) as u8);
        }
        for (y, row) in chroma.chunks_exact_mut(Self::STRIDE).enumerate() {
            row.chunks_exact_mut(2)
                .enumerate()
                .for_each(|(x, uv)| uv.copy_from_slice(&[100 + (x / 4) as u8, 140 + (y / 2) as u8]));
        }
        self.frame += 1;
        (Plane::new(luma, Self::STRIDE), Plane::new(chroma, Self::STRIDE))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, frames] = &arguments[..] else { return Err("usage: MODEL.onnx FRAMES".into()) };
    watch(model.as_ref(), frames.parse()?, |number, luma, chroma| {
        let mean = |samples: &[u8]| samples.iter().map(|v| u64::from(*v)).sum::<u64>() / samples.len() as u64;
        println!("frame {number}: mean luma {}, mean chroma {}", mean(luma), mean(chroma));
    })
}

/// Shows each upscaled frame: its number, luma, and Cb and Cr in turn.
pub fn watch(model: &Path, frames: usize, mut show: impl FnMut(usize, &[u8], &[u8])) -> Result<(), Box<dyn Error>> {
    let mut engine = Engine::prepare(&Model::open(model)?, &Options::yuv(Camera::SIZE, YuvFormat::Nv12))?;
    let Size { width, height } = engine.output_size();
    let (mut luma, mut chroma) = (vec![0; width * height], vec![0; width * height / 2]);
    let mut camera = Camera::new();
    for number in 0..frames {
        let (y, uv) = camera.capture();
        // Nothing is allocated here, and the camera's buffer is read where it lies.
        engine.upscale(&[y, uv], &mut [PlaneMut::new(&mut luma, width), PlaneMut::new(&mut chroma, width)])?;
        show(number, &luma, &chroma);
    }
    Ok(())
}

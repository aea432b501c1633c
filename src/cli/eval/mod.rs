//! `bifocal eval`: quality as the field measures it.

mod metrics;
mod resize;
mod table;

use std::path::Path;

use serde::Serialize;

use super::args::{Eval, TableFormat};
use super::failure::{Code, Failure};
use super::folder::{file_name, pictures};
use super::progress::Progress;
use super::session::Session;
use super::{print, report};
use crate::frame::PixelFormat;
use crate::geom::Size;
use crate::io::{self, Location};
use metrics::{Plane, psnr, ssim};
use resize::resize;

/// What is printed; names are a contract with scripts.
#[derive(Serialize)]
struct Evaluation {
    model: String,
    scale: usize,
    images: Vec<Scores>,
    mean_psnr_y: f64,
    mean_ssim_y: f64,
    mean_bicubic_psnr_y: f64,
    mean_bicubic_ssim_y: f64,
    mean_macs_share: f64,
}

/// Decibels, and similarity from 0 to 1. `null` in JSON stands for equal pictures (infinite PSNR).
#[derive(Serialize)]
struct Scores {
    name: String,
    psnr_y: f64,
    ssim_y: f64,
    bicubic_psnr_y: f64,
    bicubic_ssim_y: f64,
    /// Multiply-adds over those of both branches in every window.
    macs_share: f64,
}

/// A picture without alpha: grey or RGB bytes.
struct Still {
    size: Size,
    format: PixelFormat,
    pixels: Vec<u8>,
}

impl Still {
    fn channels(&self) -> usize {
        self.format.channels()
    }

    /// Luma without a border of `scale` pixels.
    fn luma(&self, scale: usize) -> Plane {
        let plane = match self.format {
            PixelFormat::Gray8 => Plane::grey(&self.pixels, self.size),
            _ => Plane::luma(&self.pixels, self.size),
        };
        plane.cropped(scale)
    }
}

pub(super) fn run(args: &Eval, progress: Progress) -> Result<(), Failure> {
    let pictures = pictures(&args.folder)?;
    let mut session = Session::open(&args.engine)?;
    let mut images = Vec::new();
    for (number, path) in pictures.iter().enumerate() {
        let label = format!("{}/{} {}", number + 1, pictures.len(), file_name(path));
        match evaluate(&mut session, path, &label, progress) {
            Ok(scores) => images.push(scores),
            Err(failure) => report::line(&failure.to_string()),
        }
    }
    let (wrong, all) = (pictures.len() - images.len(), pictures.len());
    if !images.is_empty() {
        show(args.format, &summary(&session, images))?;
    }
    if wrong > 0 {
        return Err(Failure::new(Code::Failed, format!("{wrong} of {all} pictures failed")));
    }
    Ok(())
}

fn show(format: TableFormat, evaluation: &Evaluation) -> Result<(), Failure> {
    match format {
        TableFormat::Text => print::text(&table::text(evaluation)),
        TableFormat::Json => print::json(evaluation),
        TableFormat::Csv => print::text(&table::csv(evaluation)),
    }
}

fn summary(session: &Session<'_>, images: Vec<Scores>) -> Evaluation {
    let mean = |score: fn(&Scores) -> f64| images.iter().map(score).sum::<f64>() / images.len() as f64;
    Evaluation {
        model: session.model.metadata().name.clone(),
        scale: session.scale(),
        mean_psnr_y: mean(|s| s.psnr_y),
        mean_ssim_y: mean(|s| s.ssim_y),
        mean_bicubic_psnr_y: mean(|s| s.bicubic_psnr_y),
        mean_bicubic_ssim_y: mean(|s| s.bicubic_ssim_y),
        mean_macs_share: mean(|s| s.macs_share),
        images,
    }
}

fn evaluate(session: &mut Session<'_>, path: &Path, label: &str, progress: Progress) -> Result<Scores, Failure> {
    let scale = session.scale();
    let high = read(path, scale)?;
    // The SSIM window must fit inside what is left of the border.
    let least = 2 * scale + metrics::WINDOW;
    if high.size.width < least || high.size.height < least {
        let message = format!("{}: {} is too small; the least is {least}x{least}", path.display(), high.size);
        return Err(Failure::usage(message));
    }
    let low = resized(&high, Size::new(high.size.width / scale, high.size.height / scale));
    let (ours, macs_share) = upscale(session, &low, label, progress)?;
    let ours = ours.luma(scale);
    let cubic = resized(&low, high.size).luma(scale);
    let truth = high.luma(scale);
    Ok(Scores {
        name: file_name(path),
        psnr_y: psnr(&truth, &ours),
        ssim_y: ssim(&truth, &ours),
        bicubic_psnr_y: psnr(&truth, &cubic),
        bicubic_ssim_y: ssim(&truth, &cubic),
        macs_share,
    })
}

/// A picture cut on the right and below to a multiple of `scale`.
fn read(path: &Path, scale: usize) -> Result<Still, Failure> {
    let mut source = io::open(&Location::File(path.to_path_buf()))?;
    let (full, format) = (source.size(), source.format());
    let size = Size::new(full.width - full.width % scale, full.height - full.height % scale);
    let opaque = if format.channels() < 3 { PixelFormat::Gray8 } else { PixelFormat::Rgb8 };
    let mut pixels = Vec::new();
    let mut rows = 0;
    while let Some(row) = source.next_row()? {
        if rows < size.height {
            let kept = row.chunks_exact(format.channels()).take(size.width);
            pixels.extend(kept.flat_map(|pixel| &pixel[..opaque.channels()]));
        }
        rows += 1;
    }
    Ok(Still { size, format: opaque, pixels })
}

/// Bicubic, rounded to bytes.
fn resized(picture: &Still, size: Size) -> Still {
    let samples: Vec<f32> = picture.pixels.iter().map(|&byte| f32::from(byte)).collect();
    let samples = resize(&samples, picture.channels(), picture.size, size);
    let pixels = samples.iter().map(|v| v.round_ties_even().clamp(0.0, 255.0) as u8).collect();
    Still { size, format: picture.format, pixels }
}

/// The picture that `bifocal upscale` writes, and its share of multiply-adds.
fn upscale(session: &mut Session<'_>, low: &Still, label: &str, progress: Progress) -> Result<(Still, f64), Failure> {
    let size = low.size.scaled(session.scale());
    let engine = session.engine(low.size, low.format)?;
    let bar = progress.bar(label, low.size.height);
    let mut pixels = Vec::with_capacity(size.area() * low.channels());
    for row in low.pixels.chunks_exact(low.channels() * low.size.width) {
        engine.push_row(row, |_, out| {
            pixels.extend_from_slice(out);
            Ok::<_, Failure>(())
        })?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok((Still { size, format: low.format, pixels }, engine.macs_share()))
}

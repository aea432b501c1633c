//! The evaluation as text and as CSV.

use super::{Evaluation, Scores};
use crate::cli::print::csv_field;

/// For people.
pub(super) fn text(evaluation: &Evaluation) -> String {
    let names = evaluation.images.iter().map(|s| s.name.chars().count());
    let width = names.max().unwrap_or(0).max("picture".len());
    let mut text = format!(
        "{}, x{}, luma, PSNR in dB\n{:<width$}  {:>7}  {:>7}  {:>12}  {:>12}\n",
        evaluation.model, evaluation.scale, "picture", "PSNR", "SSIM", "bicubic PSNR", "bicubic SSIM"
    );
    for s in evaluation.images.iter().chain([&mean(evaluation)]) {
        text += &format!(
            "{:<width$}  {:>7.2}  {:>7.4}  {:>12.2}  {:>12.4}\n",
            s.name, s.psnr_y, s.ssim_y, s.bicubic_psnr_y, s.bicubic_ssim_y
        );
    }
    text
}

/// For spreadsheets; the last line is the mean.
pub(super) fn csv(evaluation: &Evaluation) -> String {
    let mut text = String::from("name,psnr_y,ssim_y,bicubic_psnr_y,bicubic_ssim_y\n");
    for s in evaluation.images.iter().chain([&mean(evaluation)]) {
        let name = csv_field(&s.name);
        text += &format!("{name},{},{},{},{}\n", s.psnr_y, s.ssim_y, s.bicubic_psnr_y, s.bicubic_ssim_y);
    }
    text
}

fn mean(evaluation: &Evaluation) -> Scores {
    Scores {
        name: "mean".into(),
        psnr_y: evaluation.mean_psnr_y,
        ssim_y: evaluation.mean_ssim_y,
        bicubic_psnr_y: evaluation.mean_bicubic_psnr_y,
        bicubic_ssim_y: evaluation.mean_bicubic_ssim_y,
        macs_share: evaluation.mean_macs_share,
    }
}

//! PSNR and SSIM on luma.

use crate::geom::Size;

/// Side of the Gaussian window of SSIM.
pub(super) const WINDOW: usize = 11;

/// Standard deviation of that window, in pixels.
const SIGMA: f64 = 1.5;

/// Luma, row by row.
pub(super) struct Plane {
    width: usize,
    values: Vec<f64>,
}

impl Plane {
    /// Y of ITU-R BT.601 studio swing, not rounded.
    pub(super) fn luma(rgb: &[u8], size: Size) -> Self {
        let weigh = |p: &[u8], weights: [f64; 3]| p.iter().zip(weights).map(|(&v, w)| f64::from(v) * w).sum::<f64>();
        let luma = |p: &[u8]| 16.0 + weigh(p, [65.481, 128.553, 24.966]) / 255.0;
        Self { width: size.width, values: rgb.chunks_exact(3).map(luma).collect() }
    }

    /// Grey pictures are luma already, and the field compares them as they are.
    pub(super) fn grey(grey: &[u8], size: Size) -> Self {
        Self { width: size.width, values: grey.iter().map(|&g| f64::from(g)).collect() }
    }

    fn height(&self) -> usize {
        self.values.len() / self.width
    }

    /// Without `border` pixels on every side.
    pub(super) fn cropped(&self, border: usize) -> Self {
        let width = self.width - 2 * border;
        let rows = self.values.chunks_exact(self.width).skip(border).take(self.height() - 2 * border);
        Self { width, values: rows.flat_map(|row| &row[border..border + width]).copied().collect() }
    }

    fn combine(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self { width: self.width, values: self.values.iter().zip(&other.values).map(|(&a, &b)| f(a, b)).collect() }
    }

    /// Gaussian mean of every window that lies inside.
    fn blurred(&self) -> Self {
        let kernel = gaussian();
        let width = self.width - WINDOW + 1;
        let across: Vec<f64> = self
            .values
            .chunks_exact(self.width)
            .flat_map(|row| row.windows(WINDOW).map(|w| w.iter().zip(&kernel).map(|(v, k)| v * k).sum::<f64>()))
            .collect();
        let mut values = vec![0.0; width * (self.height() - WINDOW + 1)];
        for (y, out) in values.chunks_exact_mut(width).enumerate() {
            for (row, weight) in across[y * width..].chunks_exact(width).zip(&kernel) {
                out.iter_mut().zip(row).for_each(|(sum, v)| *sum += v * weight);
            }
        }
        Self { width, values }
    }
}

fn gaussian() -> [f64; WINDOW] {
    let centre = (WINDOW / 2) as f64;
    let kernel: [f64; WINDOW] = std::array::from_fn(|i| (-(i as f64 - centre).powi(2) / (2.0 * SIGMA * SIGMA)).exp());
    let sum: f64 = kernel.iter().sum();
    kernel.map(|k| k / sum)
}

/// Peak signal-to-noise ratio in dB, peak 255; infinite for equal planes.
pub(super) fn psnr(a: &Plane, b: &Plane) -> f64 {
    let squares = a.combine(b, |x, y| (x - y).powi(2)).values;
    let mean = squares.iter().sum::<f64>() / squares.len() as f64;
    10.0 * (255.0 * 255.0 / mean).log10()
}

/// Mean structural similarity (Wang et al. 2004): K1 0.01, K2 0.03, L 255, windows inside the plane only.
pub(super) fn ssim(a: &Plane, b: &Plane) -> f64 {
    let (c1, c2) = ((0.01f64 * 255.0).powi(2), (0.03f64 * 255.0).powi(2));
    let (mean_a, mean_b) = (a.blurred(), b.blurred());
    let squares_a = a.combine(a, |x, y| x * y).blurred();
    let squares_b = b.combine(b, |x, y| x * y).blurred();
    let products = a.combine(b, |x, y| x * y).blurred();
    let sum: f64 = (0..mean_a.values.len())
        .map(|i| {
            let (ma, mb) = (mean_a.values[i], mean_b.values[i]);
            let (va, vb) = (squares_a.values[i] - ma * ma, squares_b.values[i] - mb * mb);
            let covariance = products.values[i] - ma * mb;
            (2.0 * ma * mb + c1) * (2.0 * covariance + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2))
        })
        .sum();
    sum / mean_a.values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(width: usize, height: usize, value: impl Fn(usize) -> f64) -> Plane {
        Plane { width, values: (0..width * height).map(value).collect() }
    }

    #[test]
    fn luma_spans_studio_swing() {
        let luma = Plane::luma(&[0, 0, 0, 255, 255, 255], Size::new(2, 1));
        assert_eq!((luma.values[0], luma.values[1]), (16.0, 235.0));
    }

    #[test]
    fn psnr_of_a_known_error() {
        let (a, b) = (plane(4, 4, |_| 100.0), plane(4, 4, |_| 105.0));
        assert!((psnr(&a, &b) - 34.1514).abs() < 1e-3);
        assert_eq!(psnr(&a, &a), f64::INFINITY);
    }

    #[test]
    fn ssim_is_one_for_equals_and_known_for_an_offset() {
        let a = plane(16, 13, |i| ((i * 37) % 101) as f64);
        assert!((ssim(&a, &a) - 1.0).abs() < 1e-12);
        // Flat planes leave the luminance term only.
        let (x, y) = (plane(11, 11, |_| 100.0), plane(11, 11, |_| 120.0));
        let c1 = 6.5025;
        let expected = (2.0 * 100.0 * 120.0 + c1) / (100.0f64.powi(2) + 120.0f64.powi(2) + c1);
        assert!((ssim(&x, &y) - expected).abs() < 1e-6);
    }

    #[test]
    fn crop_takes_the_middle() {
        let cropped = plane(4, 4, |i| i as f64).cropped(1);
        assert_eq!((cropped.width, cropped.values), (2, vec![5.0, 6.0, 9.0, 10.0]));
    }
}

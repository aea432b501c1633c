//! What there is to see in a window, from which it is told how much of the network it needs.
//!
//! Where nothing is sharp the bicubic filter is as good as the network: the *energy* is small, the sum of the squared
//! Laplacians of the luma. What the convolutions add beyond attention are edges and lines, whose energy lies in few places;
//! of as much energy that is spread, as in noise, grass or a beach, they make little. With `e` the energies of blocks of
//! 2 x 2 pixels, `sum(e) / sum(sqrt(e))^2` is the larger the fewer they are, and the *edges* of a window are a power of that times
//! a power of the energy: `sum(e) / sum(sqrt(e))^1.2`, as a logarithm. The exponent is that with which windows are best put in
//! order of what both branches gain over one, on photographs (models/ctnet/route.py has the same in Python).
//!
//! Nothing but the window itself is looked at: what changes elsewhere must not change what windows get that stand still.

/// Of one window, without its outermost pixels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Detail {
    energy: u32,
    roots: u32,
}

/// Pixels of the largest window: of a larger one the energy might not fit.
const MOST_WINDOW: usize = 64;
/// Columns that are looked at together.
const COLUMNS: usize = 2 * MOST_WINDOW;
/// The sum of roots is below `2^21` for windows of up to 64 pixels.
const MOST_ROOTS: u32 = 21;

impl Detail {
    /// Sum of the squared Laplacians.
    pub fn energy(self) -> u32 {
        self.energy
    }

    /// Energy where it lies in few places.
    pub fn edges(self) -> u32 {
        5 * log2(self.energy + 1) + 6 * ((MOST_ROOTS << 8) - log2(self.roots + 1))
    }

    /// Can windows of so many pixels be looked at?
    pub fn takes(window: usize) -> bool {
        (2..=MOST_WINDOW).contains(&window) && window.is_multiple_of(2)
    }

    /// Adds two rows of pixels, the second and third of `rows`, to the windows that they go through.
    pub fn add(rows: [&[u8]; 4], window: usize, details: &mut [Self]) {
        let each = COLUMNS / window;
        for (chunk, details) in details.chunks_mut(each).enumerate() {
            let width = details.len() * window;
            let rows = rows.map(|row| &row[chunk * each * window..][..width]);
            let mut laplacians = [[0; COLUMNS]; 2];
            for (y, laplacians) in laplacians.iter_mut().enumerate() {
                laplacian([rows[y], rows[y + 1], rows[y + 2]], &mut laplacians[..width - 2]);
            }
            let mut energies = [0; COLUMNS / 2];
            blocks(&laplacians, &mut energies[..width / 2 - 1]);
            // The block behind a window's last is half of the next.
            for (detail, energies) in details.iter_mut().zip(energies.chunks(window / 2)) {
                let energies = &energies[..window / 2 - 1];
                detail.energy += energies.iter().sum::<i32>() as u32;
                // At most 4 * 1020^2, which a float holds exactly, and whose root it rounds as IEEE says.
                detail.roots += energies.iter().map(|&energy| (energy as f32).sqrt() as i32).sum::<i32>() as u32;
            }
        }
    }
}

// Loops of their own, over slices of one length, are compiled to vectors.

/// Laplacians of the middle one of three rows, but for its outermost pixels.
fn laplacian([above, own, below]: [&[u8]; 3], laplacians: &mut [i16]) {
    let n = laplacians.len();
    let (above, below, left, own, right) = (&above[1..=n], &below[1..=n], &own[..n], &own[1..=n], &own[2..n + 2]);
    for x in 0..n {
        let near = [above[x], below[x], left[x], right[x]].map(i16::from);
        laplacians[x] = 4 * i16::from(own[x]) - near.iter().sum::<i16>();
    }
}

/// Sums of the squares of four.
fn blocks([first, second]: &[[i16; COLUMNS]; 2], energies: &mut [i32]) {
    let (first, second) = (&first[..2 * energies.len()], &second[..2 * energies.len()]);
    let square = |laplacian: i16| i32::from(laplacian) * i32::from(laplacian);
    for (x, energy) in energies.iter_mut().enumerate() {
        let [a, b, c, d] = [first[2 * x], first[2 * x + 1], second[2 * x], second[2 * x + 1]].map(square);
        *energy = a + b + (c + d);
    }
}

/// Logarithm to base 2 in steps of 1/256, straight between powers of two.
fn log2(value: u32) -> u32 {
    let whole = value.ilog2();
    (whole << 8) + ((u64::from(value) << 8 >> whole) as u32 - 256)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pixel: impl Fn(usize, usize) -> u8) -> Detail {
        let rows: Vec<Vec<u8>> = (0..16).map(|y| (0..16).map(|x| pixel(x, y)).collect()).collect();
        let mut detail = [Detail::default()];
        for y in (1..15).step_by(2) {
            Detail::add([y - 1, y, y + 1, y + 2].map(|y| &rows[y][..]), 16, &mut detail);
        }
        detail[0]
    }

    #[test]
    fn logarithms() {
        assert_eq!([1, 2, 3, 4, 1 << 16].map(log2), [0, 256, 384, 512, 16 << 8]);
        assert!((1..5000).all(|v| log2(v) <= log2(v + 1)));
        assert_eq!(log2(u32::MAX), (32 << 8) - 1);
    }

    #[test]
    fn an_edge_counts_more_than_as_much_noise() {
        let flat = of(|_, _| 77);
        let ramp = of(|x, y| (3 * x + 2 * y) as u8);
        let edge = of(|x, _| if x < 8 { 90 } else { 150 });
        let noise = of(|x, y| (120 + (x * 7 + y * 13 + x * y * 5) % 23) as u8);
        assert_eq!((flat.energy(), ramp.energy()), (0, 0));
        assert_eq!((flat.edges(), edge.energy()), (6 * (MOST_ROOTS << 8), 2 * 14 * 60 * 60));
        assert!(noise.energy() > edge.energy() && noise.edges() < edge.edges(), "{noise:?} {edge:?}");
    }
}

//! Colour where nothing is seen. A picture's fully transparent pixels hold any colour, black as a rule, and filters would mix
//! it into the edges of what is seen; so they are given the colour of the nearest pixel that is seen.

use super::{Delay, Metadata, Source};
use crate::frame::PixelFormat;
use crate::geom::Size;
use crate::io::error::ReadError;

/// Rows above and below that are looked at. The filters of colour reach 2, the networks further: what they make of an edge in what
/// is not seen still shows some pixels away.
const REACH: usize = 16;
/// Rows that are held at once.
const HELD: usize = 2 * REACH + 1;

/// `picture` itself, or behind this where it has alpha.
pub(super) fn filled(picture: Box<dyn Source>) -> Box<dyn Source> {
    match picture.format().has_alpha() {
        true => Box::new(Matte::new(picture)),
        false => picture,
    }
}

struct Matte {
    picture: Box<dyn Source>,
    /// Ring of rows as they come.
    rows: Vec<Row>,
    /// The row that is lent.
    row: Vec<u8>,
    deep: Vec<u16>,
    /// Rows that were read, and lent.
    read: usize,
    lent: usize,
}

struct Row {
    samples: Vec<u8>,
    /// The same in 16 bits, where the picture has them.
    deep: Vec<u16>,
    /// For each pixel the nearest of this row that is seen.
    nearest: Vec<u32>,
}

/// No pixel of the row is seen.
const NONE: u32 = u32::MAX;

impl Matte {
    fn new(picture: Box<dyn Source>) -> Self {
        let Size { width, .. } = picture.size();
        let bytes = width * picture.format().channels();
        let deep = if picture.metadata().deep { bytes } else { 0 };
        let row = || Row { samples: vec![0; bytes], deep: vec![0; deep], nearest: vec![NONE; width] };
        let rows = (0..HELD).map(|_| row()).collect();
        Self { rows, row: vec![0; bytes], deep: vec![0; deep], read: 0, lent: 0, picture }
    }

    /// Reads until the rows below the next one are there, or the picture ends.
    fn read_ahead(&mut self) -> Result<(), ReadError> {
        let channels = self.picture.format().channels();
        while self.read <= self.lent + REACH && self.read < self.picture.size().height {
            let Some(row) = self.picture.next_row()? else { return Ok(()) };
            let Row { samples, deep, nearest } = &mut self.rows[self.read % HELD];
            samples.copy_from_slice(row);
            let seen = |x: usize| samples[x * channels + channels - 1] > 0;
            let mut last = NONE;
            for (x, near) in nearest.iter_mut().enumerate() {
                last = if seen(x) { x as u32 } else { last };
                *near = last;
            }
            let mut next = NONE;
            for (x, near) in nearest.iter_mut().enumerate().rev() {
                next = if seen(x) { x as u32 } else { next };
                let (left, right) = (*near, next);
                if right != NONE && (left == NONE || right - x as u32 <= x as u32 - left) {
                    *near = right;
                }
            }
            deep.copy_from_slice(self.picture.deep_row());
            self.read += 1;
        }
        Ok(())
    }

    /// The nearest pixel that is seen, of the rows that are held around `y`: which row, and where in it.
    fn nearest(&self, x: usize, y: usize) -> Option<(&Row, usize)> {
        let around = y.saturating_sub(REACH)..(y + REACH + 1).min(self.read);
        let found = around.filter_map(|other| {
            let row = &self.rows[other % HELD];
            let near = row.nearest[x] as usize;
            (row.nearest[x] != NONE).then(|| (other.abs_diff(y) + near.abs_diff(x), row, near))
        });
        found.min_by_key(|(distance, ..)| *distance).map(|(_, row, near)| (row, near))
    }
}

impl Source for Matte {
    fn size(&self) -> Size {
        self.picture.size()
    }

    fn format(&self) -> PixelFormat {
        self.picture.format()
    }

    fn metadata(&self) -> &Metadata {
        self.picture.metadata()
    }

    fn next_row(&mut self) -> Result<Option<&[u8]>, ReadError> {
        self.read_ahead()?;
        if self.lent == self.read {
            // Whether the end is intact is for the picture to say.
            return self.picture.next_row();
        }
        let (y, channels) = (self.lent, self.picture.format().channels());
        let mut row = std::mem::take(&mut self.row);
        let mut deep = std::mem::take(&mut self.deep);
        row.copy_from_slice(&self.rows[y % HELD].samples);
        deep.copy_from_slice(&self.rows[y % HELD].deep);
        for (x, pixel) in row.chunks_exact_mut(channels).enumerate() {
            if pixel[channels - 1] == 0
                && let Some((from, near)) = self.nearest(x, y)
            {
                let (to, from_at) = (x * channels, near * channels);
                pixel[..channels - 1].copy_from_slice(&from.samples[from_at..][..channels - 1]);
                if let Some(pixel) = deep.get_mut(to..to + channels - 1) {
                    pixel.copy_from_slice(&from.deep[from_at..][..channels - 1]);
                }
            }
        }
        (self.row, self.deep) = (row, deep);
        self.lent += 1;
        Ok(Some(&self.row))
    }

    fn deep_row(&self) -> &[u16] {
        &self.deep
    }

    fn next_frame(&mut self) -> Result<bool, ReadError> {
        (self.read, self.lent) = (0, 0);
        self.picture.next_frame()
    }

    fn held_bytes(&self) -> usize {
        self.picture.held_bytes()
    }

    fn delay(&self) -> Delay {
        self.picture.delay()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rows(Vec<Vec<u8>>, usize, Metadata);

    impl Source for Rows {
        fn size(&self) -> Size {
            Size::new(self.0[0].len() / 2, self.0.len())
        }

        fn format(&self) -> PixelFormat {
            PixelFormat::GrayAlpha8
        }

        fn metadata(&self) -> &Metadata {
            &self.2
        }

        fn next_row(&mut self) -> Result<Option<&[u8]>, ReadError> {
            self.1 += 1;
            Ok(self.0.get(self.1 - 1).map(Vec::as_slice))
        }
    }

    fn through(rows: &[&[u8]]) -> Vec<Vec<u8>> {
        let rows = rows.iter().map(|row| row.to_vec()).collect();
        let mut matte = filled(Box::new(Rows(rows, 0, Metadata::default())));
        let mut all = vec![];
        while let Some(row) = matte.next_row().unwrap() {
            all.push(row.to_vec());
        }
        assert!(matte.next_row().unwrap().is_none());
        all
    }

    #[test]
    fn what_is_not_seen_takes_the_nearest_colour() {
        let made = through(&[
            &[0, 0, 9, 0, 7, 0, 0, 0],
            &[0, 0, 50, 255, 0, 0, 60, 1],
            &[0, 0, 0, 0, 0, 0, 0, 0],
            &[3, 0, 0, 0, 0, 0, 0, 0],
        ]);
        assert_eq!(made[0], [50, 0, 50, 0, 60, 0, 60, 0]);
        assert_eq!(made[1], [50, 0, 50, 255, 60, 0, 60, 1]);
        assert_eq!(made[3], [50, 0, 50, 0, 60, 0, 60, 0]);
        let far = [&[&[50, 255][..]], &[&[4, 0][..]; REACH + 1][..]].concat();
        let made = through(&far);
        assert_eq!((&made[REACH][..], &made[REACH + 1][..]), (&[50, 0][..], &[4, 0][..]), "too far away to matter");
    }

    #[test]
    fn what_is_seen_stays() {
        assert_eq!(through(&[&[1, 255, 2, 255]]), [[1, 255, 2, 255]]);
        assert_eq!(through(&[&[1, 0], &[2, 0]]), [[1, 0], [2, 0]]);
    }
}

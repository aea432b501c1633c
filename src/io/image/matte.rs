//! Colour where nothing is seen. A picture's fully transparent pixels hold any colour, black as a rule, and filters would mix
//! it into the edges of what is seen; so they are given the colour of the nearest pixel that is seen.

use super::{Metadata, Source};
use crate::frame::PixelFormat;
use crate::geom::Size;
use crate::io::error::ReadError;

/// Rows above and below that are looked at: as far as the filters of colour reach.
const REACH: usize = 2;
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
    /// Ring of rows as they come, and for each pixel the nearest of its row that is seen.
    rows: Vec<(Vec<u8>, Vec<u32>)>,
    /// The row that is lent.
    row: Vec<u8>,
    /// Rows that were read, and lent.
    read: usize,
    lent: usize,
}

/// No pixel of the row is seen.
const NONE: u32 = u32::MAX;

impl Matte {
    fn new(picture: Box<dyn Source>) -> Self {
        let Size { width, .. } = picture.size();
        let bytes = width * picture.format().channels();
        let rows = (0..HELD).map(|_| (vec![0; bytes], vec![NONE; width])).collect();
        Self { rows, row: vec![0; bytes], read: 0, lent: 0, picture }
    }

    /// Reads until the rows below the next one are there, or the picture ends.
    fn read_ahead(&mut self) -> Result<(), ReadError> {
        let channels = self.picture.format().channels();
        while self.read <= self.lent + REACH && self.read < self.picture.size().height {
            let Some(row) = self.picture.next_row()? else { return Ok(()) };
            let (held, nearest) = &mut self.rows[self.read % HELD];
            held.copy_from_slice(row);
            let seen = |x: usize| row[x * channels + channels - 1] > 0;
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
            self.read += 1;
        }
        Ok(())
    }

    /// The colour of the nearest pixel that is seen, of the rows that are held around `y`.
    fn nearest(&self, x: usize, y: usize) -> Option<&[u8]> {
        let channels = self.picture.format().channels();
        let around = y.saturating_sub(REACH)..(y + REACH + 1).min(self.read);
        let found = around.filter_map(|other| {
            let (row, nearest) = &self.rows[other % HELD];
            let near = nearest[x] as usize;
            let distance = other.abs_diff(y) + near.abs_diff(x);
            (nearest[x] != NONE).then(|| (distance, &row[near * channels..][..channels - 1]))
        });
        found.min_by_key(|(distance, _)| *distance).map(|(_, colour)| colour)
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
        row.copy_from_slice(&self.rows[y % HELD].0);
        for (x, pixel) in row.chunks_exact_mut(channels).enumerate() {
            if pixel[channels - 1] == 0
                && let Some(colour) = self.nearest(x, y)
            {
                pixel[..channels - 1].copy_from_slice(colour);
            }
        }
        self.row = row;
        self.lent += 1;
        Ok(Some(&self.row))
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
            &[4, 0, 4, 0, 4, 0, 4, 0],
        ]);
        assert_eq!(made[0], [50, 0, 50, 0, 60, 0, 60, 0]);
        assert_eq!(made[1], [50, 0, 50, 255, 60, 0, 60, 1]);
        assert_eq!(made[3], [50, 0, 50, 0, 60, 0, 60, 0]);
        assert_eq!(made[4], [4, 0, 4, 0, 4, 0, 4, 0], "too far away to matter");
    }

    #[test]
    fn what_is_seen_stays() {
        assert_eq!(through(&[&[1, 255, 2, 255]]), [[1, 255, 2, 255]]);
        assert_eq!(through(&[&[1, 0], &[2, 0]]), [[1, 0], [2, 0]]);
    }
}

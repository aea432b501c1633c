//! The unit of work: how a frame is cut, and what cutting costs.

use crate::geom::{MAX_SIDE, Rect, Size, Span};

/// Shortest side of a tile that can be asked for.
pub const MIN_TILE: usize = 16;

/// Tile as asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tile {
    /// The planner chooses: strips of full width where the budget allows, since they recompute nothing.
    Auto,
    /// At most this many input pixels on a side, rounded up to the window grid.
    Fixed(usize),
}

impl std::str::FromStr for Tile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" | "0" => Ok(Self::Auto),
            _ => match text.parse() {
                Ok(n) if (MIN_TILE..=MAX_SIDE).contains(&n) => Ok(Self::Fixed(n)),
                _ => Err(format!("'{text}' is not a tile; write auto, or pixels from {MIN_TILE} to {MAX_SIDE}")),
            },
        }
    }
}

/// A frame cut into tiles. Each is computed with a halo of pixels around it that belong to its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// The frame, padded to the window grid.
    pub frame: Size,
    /// Size of a tile; those at the right and bottom may be smaller.
    pub tile: Size,
    /// Input pixels that a tile needs beyond each side that is not the frame's own.
    pub halo: usize,
}

impl Grid {
    /// Rows of each band of tiles.
    pub fn bands(&self) -> impl Iterator<Item = Span> + use<> {
        cuts(self.frame.height, self.tile.height)
    }

    /// Columns of each tile in a band.
    pub fn columns(&self) -> impl Iterator<Item = Span> + use<> {
        cuts(self.frame.width, self.tile.width)
    }

    /// Rows that a band's tiles are computed from.
    pub fn outer_rows(&self, band: Span) -> Span {
        widen(band, self.halo, self.frame.height)
    }

    /// What a tile is computed from.
    pub fn outer(&self, x: Span, y: Span) -> Rect {
        Rect { x: widen(x, self.halo, self.frame.width), y: self.outer_rows(y) }
    }

    /// Size of the largest tile with its halo.
    pub fn largest(&self) -> Size {
        let most = |spans: &mut dyn Iterator<Item = usize>| spans.max().unwrap_or(0);
        let width = most(&mut self.columns().map(|x| widen(x, self.halo, self.frame.width).len()));
        let height = most(&mut self.bands().map(|y| self.outer_rows(y).len()));
        Size::new(width, height)
    }

    /// Heights of tiles with their halo; each once.
    pub fn heights(&self) -> Vec<usize> {
        let mut heights: Vec<_> = self.bands().map(|y| self.outer_rows(y).len()).collect();
        heights.sort_unstable();
        heights.dedup();
        heights
    }

    /// Pixels that are computed, over those of the frame.
    pub fn overhead(&self) -> f64 {
        let rows: usize = self.bands().map(|y| self.outer_rows(y).len()).sum();
        let columns: usize = self.columns().map(|x| widen(x, self.halo, self.frame.width).len()).sum();
        (rows * columns) as f64 / self.frame.area() as f64
    }
}

fn cuts(length: usize, each: usize) -> impl Iterator<Item = Span> {
    (0..length).step_by(each.max(1)).map(move |start| Span::new(start, (start + each).min(length)))
}

fn widen(span: Span, halo: usize, length: usize) -> Span {
    Span::new(span.start.saturating_sub(halo), (span.end + halo).min(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_the_frame_once() {
        let grid = Grid { frame: Size::new(112, 48), tile: Size::new(32, 32), halo: 16 };
        assert_eq!(grid.columns().map(Span::len).sum::<usize>(), 112);
        assert_eq!(grid.bands().map(Span::len).sum::<usize>(), 48);
        assert_eq!(grid.outer(Span::new(0, 32), Span::new(32, 48)).size(), Size::new(48, 32));
        assert_eq!(grid.largest(), Size::new(64, 48));
    }

    #[test]
    fn one_tile_costs_nothing() {
        let frame = Size::new(640, 368);
        assert_eq!(Grid { frame, tile: frame, halo: 48 }.overhead(), 1.0);
    }
}

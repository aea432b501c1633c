//! Sizes and rectangles in whole pixels.

use serde::Serialize;

/// Longest side of a frame, in pixels. Its rows, times scale and channels, stay far from overflow on 32 bits.
pub const MAX_SIDE: usize = 1 << 16;

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Size {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Size {
    /// `width` x `height`.
    pub const fn new(width: usize, height: usize) -> Self {
        Self { width, height }
    }

    /// Pixels in the whole picture.
    pub const fn area(self) -> usize {
        self.width * self.height
    }

    /// Both sides times `factor`.
    pub const fn scaled(self, factor: usize) -> Self {
        Self::new(self.width * factor, self.height * factor)
    }

    /// Both sides rounded up to multiples of `grid`.
    pub const fn padded(self, grid: usize) -> Self {
        Self::new(self.width.next_multiple_of(grid), self.height.next_multiple_of(grid))
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// Half-open span of rows or columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First row or column inside.
    pub start: usize,
    /// First row or column after.
    pub end: usize,
}

impl Span {
    /// `start..end`.
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// Rows or columns inside.
    pub const fn len(self) -> usize {
        self.end - self.start
    }

    /// Nothing inside?
    pub const fn is_empty(self) -> bool {
        self.end <= self.start
    }
}

/// Rectangle of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    /// Columns.
    pub x: Span,
    /// Rows.
    pub y: Span,
}

impl Rect {
    /// Size of the rectangle.
    pub const fn size(self) -> Size {
        Size::new(self.x.len(), self.y.len())
    }
}

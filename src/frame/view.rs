//! Views of samples in memory that belongs to someone else: a camera's buffer, a GStreamer frame, a texture.

/// A plane of 8-bit samples to read: rows that begin `stride` bytes apart.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    bytes: &'a [u8],
    stride: usize,
}

impl<'a> Plane<'a> {
    /// Rows of `bytes`, `stride` bytes from the start of one to the start of the next. The last may end with its samples.
    pub const fn new(bytes: &'a [u8], stride: usize) -> Self {
        Self { bytes, stride }
    }

    /// Are there `rows` rows of `row_bytes` bytes?
    pub(crate) fn holds(&self, row_bytes: usize, rows: usize) -> bool {
        holds(self.bytes.len(), self.stride, row_bytes, rows)
    }

    /// The first `bytes` bytes of a row.
    pub(crate) fn row(&self, y: usize, bytes: usize) -> &'a [u8] {
        &self.bytes[y * self.stride..][..bytes]
    }
}

/// A plane of 8-bit samples to write.
#[derive(Debug)]
pub struct PlaneMut<'a> {
    bytes: &'a mut [u8],
    stride: usize,
}

impl<'a> PlaneMut<'a> {
    /// Rows of `bytes`, `stride` bytes from the start of one to the start of the next. What lies between them is not
    /// written.
    pub const fn new(bytes: &'a mut [u8], stride: usize) -> Self {
        Self { bytes, stride }
    }

    /// Is there memory for `rows` rows of `row_bytes` bytes?
    pub(crate) fn holds(&self, row_bytes: usize, rows: usize) -> bool {
        holds(self.bytes.len(), self.stride, row_bytes, rows)
    }

    /// The first `bytes` bytes of a row.
    pub(crate) fn row(&mut self, y: usize, bytes: usize) -> &mut [u8] {
        &mut self.bytes[y * self.stride..][..bytes]
    }
}

fn holds(length: usize, stride: usize, row_bytes: usize, rows: usize) -> bool {
    let before = rows.saturating_sub(1).checked_mul(stride);
    let needed = before.and_then(|before| before.checked_add(row_bytes));
    (rows < 2 || stride >= row_bytes) && needed.is_some_and(|needed| needed <= length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_row_may_be_short() {
        let bytes = [0; 25];
        assert!(Plane::new(&bytes, 10).holds(5, 3));
        assert!(!Plane::new(&bytes, 10).holds(6, 3));
        assert!(!Plane::new(&bytes, 4).holds(5, 3), "rows that overlap");
        assert!(Plane::new(&bytes, 0).holds(25, 1));
        assert!(!Plane::new(&bytes, usize::MAX).holds(5, 3), "no overflow");
        assert_eq!(Plane::new(&[1, 2, 3, 4, 5], 3).row(1, 2), [4, 5]);
    }
}

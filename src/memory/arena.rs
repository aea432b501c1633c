//! One block of memory, cut into slots of rows that threads borrow.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// Rows begin at multiples of a cache line.
pub const ALIGN: usize = 64;
/// A row can be written by this many threads at once, each in lanes of its own.
pub const LANES: usize = 16;
/// One reader, in a row's state; the bits below it are the lanes being written.
const READER: u32 = 1 << LANES;

/// Shape of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Rows.
    pub rows: usize,
    /// Bytes of a row: a multiple of [`ALIGN`].
    pub row_bytes: usize,
    /// Bytes before the second lane, and from each lane after it to the next.
    pub lanes: (usize, usize),
}

impl Slot {
    /// A slot whose rows hold at least `row_bytes`, all in one lane.
    pub const fn new(rows: usize, row_bytes: usize) -> Self {
        let row_bytes = row_bytes.next_multiple_of(ALIGN);
        Self { rows, row_bytes, lanes: (row_bytes, row_bytes) }
    }

    /// First byte of a lane; `lane(LANES)` is the end of the row.
    pub fn lane(&self, lane: usize) -> usize {
        match lane {
            0 => 0,
            LANES => self.row_bytes,
            _ => (self.lanes.0 + (lane - 1) * self.lanes.1).min(self.row_bytes),
        }
    }

    /// Bytes of all rows.
    pub const fn bytes(&self) -> usize {
        self.rows * self.row_bytes
    }
}

/// The block and the borrows of its rows.
///
/// A row is borrowed like a `RefCell`, but by threads: any number of readers, or writers in lanes that do not
/// overlap. The plan orders its Steps so that no two borrows conflict; a conflict is a bug, and panics.
#[derive(Debug)]
pub struct Arena {
    block: NonNull<u8>,
    layout: Layout,
    slots: Vec<(usize, usize, Slot)>, // offset in the block, first state, shape
    states: Vec<AtomicU32>,
}

// SAFETY: the block is owned by the arena alone, and reached only through guards, which the atomic states keep
// from aliasing.
#[allow(unsafe_code)]
unsafe impl Send for Arena {}
// SAFETY: as above; `read` and `write` take the state of the row before they make a reference to its bytes.
#[allow(unsafe_code)]
unsafe impl Sync for Arena {}

impl Arena {
    /// Bytes that [`Arena::new`] allocates for these slots.
    pub fn bytes(slots: &[Slot]) -> usize {
        let rows: usize = slots.iter().map(|s| s.rows).sum();
        Self::block_bytes(slots) + rows * size_of::<AtomicU32>() + std::mem::size_of_val(slots) * 3
    }

    fn block_bytes(slots: &[Slot]) -> usize {
        slots.iter().map(Slot::bytes).sum::<usize>().max(ALIGN)
    }

    /// Allocates the block, zeroed.
    #[allow(unsafe_code)]
    pub fn new(slots: &[Slot]) -> Self {
        let mut places = Vec::with_capacity(slots.len());
        let (mut offset, mut state) = (0, 0);
        for slot in slots {
            assert!(slot.row_bytes.is_multiple_of(ALIGN), "rows are aligned");
            places.push((offset, state, *slot));
            offset += slot.bytes();
            state += slot.rows;
        }
        let layout =
            Layout::from_size_align(Self::block_bytes(slots), ALIGN).expect("a block that fits the address space");
        // SAFETY: the layout's size is at least ALIGN, so not zero.
        let pointer = unsafe { alloc_zeroed(layout) };
        let Some(block) = NonNull::new(pointer) else { handle_alloc_error(layout) };
        let states = (0..state).map(|_| AtomicU32::new(0)).collect();
        Self { block, layout, slots: places, states }
    }

    /// Shape of a slot.
    pub fn slot(&self, slot: usize) -> Slot {
        self.slots[slot].2
    }

    /// Borrows a row to read it.
    #[allow(unsafe_code)]
    pub fn read(&self, slot: usize, row: usize) -> RowRead<'_> {
        let (pointer, state, bytes) = self.row(slot, row);
        let before = state.fetch_add(READER, Ordering::Acquire);
        if before & (READER - 1) != 0 {
            state.fetch_sub(READER, Ordering::Release);
            panic!("row {row} of slot {slot} is read while it is written");
        }
        // SAFETY: `row` checked that these bytes are inside the block; the state now counts a reader and no lane
        // is being written, and none can be until the guard gives the count back.
        let row = unsafe { std::slice::from_raw_parts(pointer, bytes) };
        RowRead { row, state }
    }

    /// Borrows a whole row to write it.
    pub fn write(&self, slot: usize, row: usize) -> RowWrite<'_> {
        let bytes = self.slot(slot).row_bytes;
        self.write_part(slot, row, 0..bytes, READER - 1)
    }

    /// Borrows neighbouring lanes of a row; the guard's bytes begin at [`Slot::lane`] of the first.
    pub fn write_lanes(&self, slot: usize, row: usize, lanes: Range<usize>) -> RowWrite<'_> {
        assert!(lanes.start < lanes.end && lanes.end <= LANES, "lanes {lanes:?}");
        let shape = self.slot(slot);
        let mask = ((1u32 << lanes.end) - 1) & !((1u32 << lanes.start) - 1);
        self.write_part(slot, row, shape.lane(lanes.start)..shape.lane(lanes.end), mask)
    }

    #[allow(unsafe_code)]
    fn write_part(&self, slot: usize, row: usize, bytes: Range<usize>, lanes: u32) -> RowWrite<'_> {
        let (pointer, state, _) = self.row(slot, row);
        let free = |s: u32| (s < READER && s & lanes == 0).then_some(s | lanes);
        if state.fetch_update(Ordering::Acquire, Ordering::Relaxed, free).is_err() {
            panic!("row {row} of slot {slot} is written while it is in use");
        }
        // SAFETY: `row` checked that the row is inside the block and the callers that `bytes` is inside the row;
        // the state now holds these lanes, which no other guard had, and there is no reader until they are free.
        let row = unsafe { std::slice::from_raw_parts_mut(pointer.add(bytes.start), bytes.len()) };
        RowWrite { row, state, lanes }
    }

    #[allow(unsafe_code)]
    fn row(&self, slot: usize, row: usize) -> (*mut u8, &AtomicU32, usize) {
        let (offset, state, shape) = self.slots[slot];
        assert!(row < shape.rows, "row {row} of {} in slot {slot}", shape.rows);
        // SAFETY: row < rows, so the row's first byte lies inside the slot, and the slot inside the block.
        let pointer = unsafe { self.block.as_ptr().add(offset + row * shape.row_bytes) };
        (pointer, &self.states[state + row], shape.row_bytes)
    }
}

impl Drop for Arena {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: the block came from `alloc_zeroed` with this layout; guards borrow the arena, so none is left.
        unsafe { dealloc(self.block.as_ptr(), self.layout) }
    }
}

/// A row being read.
pub struct RowRead<'a> {
    row: &'a [u8],
    state: &'a AtomicU32,
}

impl Deref for RowRead<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.row
    }
}

impl Drop for RowRead<'_> {
    fn drop(&mut self) {
        self.state.fetch_sub(READER, Ordering::Release);
    }
}

/// A row, or lanes of it, being written.
pub struct RowWrite<'a> {
    row: &'a mut [u8],
    state: &'a AtomicU32,
    lanes: u32,
}

impl Deref for RowWrite<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.row
    }
}

impl DerefMut for RowWrite<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.row
    }
}

impl Drop for RowWrite<'_> {
    fn drop(&mut self) {
        self.state.fetch_and(!self.lanes, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_borrowed_like_cells() {
        let arena = Arena::new(&[Slot::new(2, 100), Slot { rows: 1, row_bytes: 256, lanes: (64, 64) }]);
        arena.write(0, 1)[127] = 7;
        let (a, b) = (arena.read(0, 1), arena.read(0, 1));
        assert_eq!((a[127], b.len()), (7, 128));
        let refused = |f: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).is_err();
        assert!(refused(&|| drop(arena.write(0, 1))), "written while read");
        drop((a, b));
        let first = arena.write_lanes(1, 0, 0..2);
        let second = arena.write_lanes(1, 0, 2..3);
        assert_eq!((first.len(), second.len()), (128, 64));
        assert!(refused(&|| drop(arena.write_lanes(1, 0, 1..2))), "a lane written twice");
        assert!(refused(&|| drop(arena.read(1, 0))), "read while written");
        assert!(refused(&|| drop(arena.read(1, 1))), "outside");
        drop((first, second));
        assert_eq!(arena.read(1, 0).len(), 256);
    }
}

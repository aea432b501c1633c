//! One block of memory, cut into slots of rows that threads borrow.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use super::borrows::{BorrowTable, MOST_READS, Region};

/// Rows begin at multiples of a cache line.
pub const ALIGN: usize = 64;
/// Rows that a slot can have, and twice the slots that there can be.
const MOST_ROWS: usize = u16::MAX as usize;

/// Shape of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Rows.
    pub rows: usize,
    /// Bytes of a row: a multiple of [`ALIGN`].
    pub row_bytes: usize,
}

impl Slot {
    /// A slot whose rows hold at least `row_bytes`.
    pub const fn new(rows: usize, row_bytes: usize) -> Self {
        Self { rows, row_bytes: row_bytes.next_multiple_of(ALIGN) }
    }

    /// Bytes of all rows.
    pub const fn bytes(&self) -> usize {
        self.rows * self.row_bytes
    }
}

/// Rows of a tensor that a thread is about to use: row `y` lies in row `y % ring` of the slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingRows {
    /// Slot.
    pub slot: usize,
    /// Rows of the slot that the tensor cycles through.
    pub ring: usize,
    /// The tensor's rows; no more than `ring`.
    pub rows: Range<usize>,
}

impl RingRows {
    /// No rows.
    pub const NONE: Self = Self { slot: 0, ring: 0, rows: 0..0 };
}

/// The block, and which thread borrows which of its rows.
///
/// The plan orders its Steps so that no two threads ever need the same row in ways that exclude each other; the borrow
/// table checks it: a conflict is a bug, and panics before there is a reference.
#[derive(Debug)]
pub struct Arena {
    block: NonNull<u8>,
    layout: Layout,
    /// Offset in the block, and shape.
    slots: Vec<(usize, Slot)>,
    borrows: BorrowTable,
    /// No other arena of the process has it.
    id: u64,
}

/// The right of one thread to borrow rows of an arena, one set at a time.
#[derive(Debug)]
pub struct Borrower {
    arena: u64,
    thread: usize,
}

// SAFETY: the block is owned by the arena alone, and reached only through `Borrow`, which the table keeps from aliasing.
#[allow(unsafe_code)]
unsafe impl Send for Arena {}
// SAFETY: as above; `borrow` enters its rows in the table and compares them with all others' before a reference to one of
// them can be made.
#[allow(unsafe_code)]
unsafe impl Sync for Arena {}

impl Arena {
    /// Bytes that [`Arena::new`] allocates for these slots and so many threads.
    pub fn bytes(slots: &[Slot], threads: usize) -> usize {
        let borrowers = threads * size_of::<Borrower>() + BorrowTable::bytes(threads);
        Self::block_bytes(slots) + size_of_val(slots) * 2 + borrowers
    }

    fn block_bytes(slots: &[Slot]) -> usize {
        slots.iter().map(Slot::bytes).sum::<usize>().max(ALIGN)
    }

    /// Allocates the block, zeroed, with a [`Borrower`] for each thread.
    #[allow(unsafe_code)]
    pub fn new(slots: &[Slot], threads: usize) -> (Self, Vec<Borrower>) {
        let mut offsets = Vec::with_capacity(slots.len());
        let mut offset = 0;
        for slot in slots {
            assert!(slot.row_bytes.is_multiple_of(ALIGN), "rows are aligned");
            assert!(slot.rows <= MOST_ROWS && slots.len() <= MOST_ROWS / 2, "a region cannot name rows of {slot:?}");
            offsets.push((offset, *slot));
            offset += slot.bytes();
        }
        let layout =
            Layout::from_size_align(Self::block_bytes(slots), ALIGN).expect("a block that fits the address space");
        // SAFETY: the layout's size is at least ALIGN, so not zero.
        let pointer = unsafe { alloc_zeroed(layout) };
        let Some(block) = NonNull::new(pointer) else { handle_alloc_error(layout) };
        static IDS: AtomicU64 = AtomicU64::new(0);
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        let borrowers = (0..threads).map(|thread| Borrower { arena: id, thread }).collect();
        (Self { block, layout, slots: offsets, borrows: BorrowTable::new(threads), id }, borrowers)
    }

    /// Borrows rows to read, and rows of one tensor to write, until the result is dropped.
    ///
    /// # Panics
    ///
    /// If they conflict with each other or with what another thread borrows, or if the borrower is another arena's.
    pub fn borrow<'a>(&'a self, borrower: &'a mut Borrower, reads: &[RingRows], write: &RingRows) -> Borrow<'a> {
        assert_eq!(borrower.arena, self.id, "a borrower of another arena");
        let written = self.region(write);
        let mut rings = heapless::Vec::new();
        let mut regions = heapless::Vec::<Region, MOST_READS>::new();
        for rows in reads {
            let region = self.region(rows);
            assert!(!region.overlaps(written), "{rows:?} is read while it is written");
            regions.push(region).expect("no more reads than a record has entries");
            let _ = rings.push(self.ring(rows));
        }
        if let Err(theirs) = self.borrows.acquire(borrower.thread, written, &regions) {
            panic!("{theirs:?} is in use by a thread while another writes {written:?} and reads {reads:?}");
        }
        let writes = WriteRows { ring: self.ring(write), of: PhantomData };
        Borrow { reads: ReadRows { rings, of: PhantomData }, writes, table: &self.borrows, thread: borrower.thread }
    }

    fn shape(&self, rows: &RingRows) -> Slot {
        let shape = self.slots[rows.slot].1;
        assert!(rows.ring <= shape.rows && rows.rows.len() <= rows.ring, "{rows:?} of a slot with {shape:?}");
        shape
    }

    fn region(&self, rows: &RingRows) -> Region {
        self.shape(rows);
        let start = rows.rows.start % rows.ring.max(1);
        let last = start + rows.rows.len();
        let (end, wrapped) = (last.min(rows.ring), last.saturating_sub(rows.ring));
        // No slot has more rows than 16 bits can count, and there are fewer slots.
        Region { slot: rows.slot as u16, start: start as u16, end: end as u16, wrapped: wrapped as u16 }
    }

    #[allow(unsafe_code)]
    fn ring(&self, rows: &RingRows) -> Ring {
        let row_bytes = self.shape(rows).row_bytes;
        // SAFETY: the slot lies inside the block.
        let start = unsafe { self.block.as_ptr().add(self.slots[rows.slot].0) };
        let first = rows.rows.start % rows.ring.max(1);
        Ring { start, row_bytes, length: rows.ring, rows: rows.rows.clone(), first }
    }
}

impl Drop for Arena {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: the block came from `alloc_zeroed` with this layout; `Borrow` borrows the arena, so none is left.
        unsafe { dealloc(self.block.as_ptr(), self.layout) }
    }
}

/// [`RingRows`] with their address in the block.
#[derive(Debug)]
struct Ring {
    start: *mut u8,
    row_bytes: usize,
    length: usize,
    rows: Range<usize>,
    /// Row of the slot where `rows.start` lies.
    first: usize,
}

impl Ring {
    /// Where a row begins.
    #[allow(unsafe_code)]
    fn at(&self, row: usize) -> *mut u8 {
        assert!(self.rows.contains(&row), "row {row}, where {:?} are borrowed", self.rows);
        let row = self.first + (row - self.rows.start);
        let row = if row < self.length { row } else { row - self.length };
        // SAFETY: no more rows are borrowed than the ring has, so that this is one of its rows, and the ring is no longer
        // than the slot, which lies inside the block.
        unsafe { self.start.add(row * self.row_bytes) }
    }
}

/// Rows that a thread borrows.
#[derive(Debug)]
pub struct Borrow<'a> {
    reads: ReadRows<'a>,
    writes: WriteRows<'a>,
    table: &'a BorrowTable,
    thread: usize,
}

impl<'a> Borrow<'a> {
    /// The rows to read, and those to write.
    pub fn split(&mut self) -> (&ReadRows<'a>, &mut WriteRows<'a>) {
        (&self.reads, &mut self.writes)
    }
}

impl Drop for Borrow<'_> {
    fn drop(&mut self) {
        self.table.release(self.thread);
    }
}

/// Rows that are borrowed to read.
#[derive(Debug)]
pub struct ReadRows<'a> {
    rings: heapless::Vec<Ring, MOST_READS>,
    of: PhantomData<&'a Arena>,
}

impl ReadRows<'_> {
    /// A row of the tensor of this number among the reads.
    #[allow(unsafe_code)]
    pub fn row(&self, read: usize, row: usize) -> &[u8] {
        let ring = &self.rings[read];
        // SAFETY: a row inside the block. It is borrowed to read as long as `self` is: what this thread writes does not
        // overlap it, nor does what others write, as `borrow` has found.
        unsafe { std::slice::from_raw_parts(ring.at(row), ring.row_bytes) }
    }
}

/// Rows that are borrowed to write.
#[derive(Debug)]
pub struct WriteRows<'a> {
    ring: Ring,
    of: PhantomData<&'a Arena>,
}

impl WriteRows<'_> {
    /// A row.
    #[allow(unsafe_code)]
    pub fn row(&mut self, row: usize) -> &mut [u8] {
        // SAFETY: a row inside the block. It is borrowed to write, by this thread alone, and `self` is borrowed with it, so
        // that there is no other reference to it.
        unsafe { std::slice::from_raw_parts_mut(self.ring.at(row), self.ring.row_bytes) }
    }

    /// Two rows, `row` and the one below it.
    #[allow(unsafe_code)]
    pub fn two_rows(&mut self, row: usize) -> [&mut [u8]; 2] {
        let (rows, bytes) = ([self.ring.at(row), self.ring.at(row + 1)], self.ring.row_bytes);
        // SAFETY: as for `row`. No more rows are borrowed than the ring has, so that the two are not the same one.
        rows.map(|row| unsafe { std::slice::from_raw_parts_mut(row, bytes) })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn rows(slot: usize, ring: usize, rows: Range<usize>) -> RingRows {
        RingRows { slot, ring, rows }
    }

    #[test]
    fn rows_go_round() {
        let (arena, mut borrowers) = Arena::new(&[Slot::new(5, 100)], 1);
        let borrower = &mut borrowers[0];
        for y in 0..9 {
            let mut borrow = arena.borrow(borrower, &[], &rows(0, 5, y..y + 1));
            borrow.split().1.row(y).fill(y as u8);
        }
        let mut borrow = arena.borrow(borrower, &[rows(0, 5, 5..9)], &rows(0, 5, 9..10));
        let (reads, writes) = borrow.split();
        assert_eq!([5, 6, 7, 8].map(|y| reads.row(0, y)[127]), [5, 6, 7, 8]);
        assert_eq!((writes.row(9)[0], writes.row(9).len()), (4, 128));
        assert!(catch_unwind(AssertUnwindSafe(|| reads.row(0, 9).len())).is_err(), "not borrowed");
    }

    #[test]
    fn two_rows_are_written_at_once() {
        let (arena, mut borrowers) = Arena::new(&[Slot::new(3, 100)], 1);
        let mut borrow = arena.borrow(&mut borrowers[0], &[], &rows(0, 3, 2..4));
        let writes = borrow.split().1;
        // The ring continues at its top.
        writes.two_rows(2).into_iter().zip([2, 3]).for_each(|(row, value)| row.fill(value));
        assert_eq!([writes.row(2)[127], writes.row(3)[0]], [2, 3]);
        assert!(catch_unwind(AssertUnwindSafe(|| writes.two_rows(3).len())).is_err(), "not borrowed");
    }

    #[test]
    fn what_is_written_is_borrowed_alone() {
        let slots = [Slot::new(8, 64), Slot::new(8, 64)];
        let (arena, borrowers) = Arena::new(&slots, 2);
        let [mut first, mut second]: [Borrower; 2] = borrowers.try_into().unwrap();
        let borrow = arena.borrow(&mut first, &[rows(0, 6, 4..7)], &rows(1, 8, 2..4));
        let mut fits = |reads: &[RingRows], write: RingRows| {
            catch_unwind(AssertUnwindSafe(|| drop(arena.borrow(&mut second, reads, &write)))).is_ok()
        };
        assert!(fits(&[rows(0, 6, 3..6)], rows(1, 8, 4..6)), "readers share");
        assert!(!fits(&[], rows(0, 6, 5..6)), "written while read");
        assert!(!fits(&[], rows(0, 6, 6..7)), "written while read, where the ring continues at its top");
        assert!(fits(&[], rows(0, 6, 7..8)));
        assert!(!fits(&[rows(1, 8, 3..4)], rows(0, 6, 1..2)), "read while written");
        assert!(!fits(&[], rows(1, 8, 11..12)), "written twice");
        assert!(!fits(&[rows(0, 6, 1..4)], rows(0, 6, 9..10)), "read and written by one");
        drop(borrow);
        assert!(fits(&[], rows(0, 6, 5..6)), "given back");
        let (_other, mut strangers) = Arena::new(&slots, 1);
        let mut stranger = |ring| {
            let rows = rows(0, ring, 0..1);
            catch_unwind(AssertUnwindSafe(|| drop(arena.borrow(&mut strangers[0], &[], &rows)))).is_ok()
        };
        assert!(!stranger(6), "a borrower of another arena");
        let long = rows(0, 9, 0..1);
        assert!(catch_unwind(AssertUnwindSafe(|| drop(arena.borrow(&mut first, &[], &long)))).is_err(), "a long ring");
    }
}

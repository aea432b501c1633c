//! One block of memory, cut into slots of rows that threads hold for a while.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

/// Rows begin at multiples of a cache line.
pub const ALIGN: usize = 64;
/// Tensors that a thread can read at once.
pub const MOST_READS: usize = 15;
/// Rows that a slot can have, and twice the slots that there can be.
const MOST_ROWS: usize = u16::MAX as usize;
/// Marks a claim to write, on a board.
const WRITE: u64 = 1 << 63;

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
pub struct Claim {
    /// Slot.
    pub slot: usize,
    /// Rows of the slot that the tensor goes round.
    pub ring: usize,
    /// The tensor's rows; no more than `ring`.
    pub rows: Range<usize>,
}

impl Claim {
    /// No rows.
    pub const NONE: Self = Self { slot: 0, ring: 0, rows: 0..0 };
}

/// The block, and who holds which of its rows.
///
/// A thread shows what it holds on a board of its own, where the others look before they make a reference: any
/// number may read a row, or one write it. The plan orders its Steps so that no two threads are ever in each other's
/// way; a conflict is a bug, and panics. With one thread there are no boards, and nothing is shown.
#[derive(Debug)]
pub struct Arena {
    block: NonNull<u8>,
    layout: Layout,
    /// Offset in the block, and shape.
    slots: Vec<(usize, Slot)>,
    boards: Vec<Board>,
    /// No other arena of the process has it.
    id: u64,
}

/// The right of one thread to hold rows of an arena, one set of claims at a time.
#[derive(Debug)]
pub struct Seat {
    arena: u64,
    number: usize,
}

/// What a thread holds, for the others to see. Threads change their boards often: two cache lines keep them apart.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Board {
    count: AtomicUsize,
    claims: [AtomicU64; MOST_READS + 1],
}

// SAFETY: the block is owned by the arena alone, and reached only through `Held`, which the boards keep from aliasing.
#[allow(unsafe_code)]
unsafe impl Send for Arena {}
// SAFETY: as above; `hold` shows its claims and looks at all others' before a reference to a claimed row can be made.
#[allow(unsafe_code)]
unsafe impl Sync for Arena {}

impl Arena {
    /// Bytes that [`Arena::new`] allocates for these slots, and as many seats.
    pub fn bytes(slots: &[Slot], seats: usize) -> usize {
        let boards = if seats > 1 { seats * size_of::<Board>() } else { 0 };
        Self::block_bytes(slots) + size_of_val(slots) * 2 + seats * size_of::<Seat>() + boards
    }

    fn block_bytes(slots: &[Slot]) -> usize {
        slots.iter().map(Slot::bytes).sum::<usize>().max(ALIGN)
    }

    /// Allocates the block, zeroed, with `seats` seats, one for each thread.
    #[allow(unsafe_code)]
    pub fn new(slots: &[Slot], seats: usize) -> (Self, Vec<Seat>) {
        let mut places = Vec::with_capacity(slots.len());
        let mut offset = 0;
        for slot in slots {
            assert!(slot.row_bytes.is_multiple_of(ALIGN), "rows are aligned");
            assert!(slot.rows <= MOST_ROWS && slots.len() <= MOST_ROWS / 2, "a board has no place for {slot:?}");
            places.push((offset, *slot));
            offset += slot.bytes();
        }
        let layout =
            Layout::from_size_align(Self::block_bytes(slots), ALIGN).expect("a block that fits the address space");
        // SAFETY: the layout's size is at least ALIGN, so not zero.
        let pointer = unsafe { alloc_zeroed(layout) };
        let Some(block) = NonNull::new(pointer) else { handle_alloc_error(layout) };
        let boards = (0..if seats > 1 { seats } else { 0 }).map(|_| Board::default()).collect();
        static IDS: AtomicU64 = AtomicU64::new(0);
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        let seats = (0..seats).map(|number| Seat { arena: id, number }).collect();
        (Self { block, layout, slots: places, boards, id }, seats)
    }

    /// Holds rows to read, and rows of one tensor to write, until the result is dropped.
    ///
    /// # Panics
    ///
    /// If a claim conflicts with another, or the seat is another arena's.
    pub fn hold<'a>(&'a self, seat: &'a mut Seat, reads: &[Claim], write: &Claim) -> Held<'a> {
        assert_eq!(seat.arena, self.id, "a seat of another arena");
        let written = self.region(write);
        let mut rings = heapless::Vec::new();
        for claim in reads {
            assert!(!self.region(claim).meets(written), "{claim:?} is read while it is written");
            rings.push(self.ring(claim)).expect("no more claims than a board has places for");
        }
        let board = self.boards.get(seat.number);
        if let Some(board) = board {
            self.show(seat.number, board, written, reads);
        }
        let writes = Writes { ring: self.ring(write), of: PhantomData };
        Held { reads: Reads { rings, of: PhantomData }, writes, board }
    }

    /// Puts claims on the board, and looks at all others'.
    ///
    /// Of two threads that show conflicting claims at the same time, at least one sees the other's: each shows, then
    /// passes the fence, then looks. It panics before it has a reference.
    fn show(&self, number: usize, board: &Board, written: Region, reads: &[Claim]) {
        board.claims[0].store(written.bits() | WRITE, Ordering::Release);
        for (place, claim) in board.claims[1..].iter().zip(reads) {
            place.store(self.region(claim).bits(), Ordering::Release);
        }
        board.count.store(reads.len() + 1, Ordering::Release);
        fence(Ordering::SeqCst);
        for (_, other) in self.boards.iter().enumerate().filter(|(other, _)| *other != number) {
            for place in &other.claims[..other.count.load(Ordering::Acquire)] {
                let bits = place.load(Ordering::Acquire);
                let theirs = Region::of(bits);
                let spoilt = bits & WRITE != 0 && reads.iter().any(|claim| theirs.meets(self.region(claim)));
                if spoilt || theirs.meets(written) {
                    board.count.store(0, Ordering::Release);
                    panic!("{theirs:?} is in use by a thread while another writes {written:?} and reads {reads:?}");
                }
            }
        }
    }

    fn shape(&self, claim: &Claim) -> Slot {
        let shape = self.slots[claim.slot].1;
        assert!(claim.ring <= shape.rows && claim.rows.len() <= claim.ring, "{claim:?} of a slot with {shape:?}");
        shape
    }

    fn region(&self, claim: &Claim) -> Region {
        self.shape(claim);
        let from = claim.rows.start % claim.ring.max(1);
        let end = from + claim.rows.len();
        let (to, wrapped) = (end.min(claim.ring), end.saturating_sub(claim.ring));
        // No slot has more rows than 16 bits can count, and there are fewer slots.
        Region { slot: claim.slot as u16, from: from as u16, to: to as u16, wrapped: wrapped as u16 }
    }

    #[allow(unsafe_code)]
    fn ring(&self, claim: &Claim) -> Ring {
        let row_bytes = self.shape(claim).row_bytes;
        // SAFETY: the slot lies inside the block.
        let start = unsafe { self.block.as_ptr().add(self.slots[claim.slot].0) };
        let first = claim.rows.start % claim.ring.max(1);
        Ring { start, row_bytes, length: claim.ring, rows: claim.rows.clone(), first }
    }
}

impl Drop for Arena {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: the block came from `alloc_zeroed` with this layout; `Held` borrows the arena, so none is left.
        unsafe { dealloc(self.block.as_ptr(), self.layout) }
    }
}

/// Rows of a slot: `from..to`, and `0..wrapped` when a claim goes on at the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Region {
    slot: u16,
    from: u16,
    to: u16,
    wrapped: u16,
}

impl Region {
    /// For a board; the bit of [`WRITE`] is free.
    fn bits(self) -> u64 {
        let Self { slot, from, to, wrapped } = self;
        [slot, from, to, wrapped].into_iter().fold(0, |bits, part| bits << 16 | u64::from(part))
    }

    fn of(bits: u64) -> Self {
        let part = |i: u32| (bits >> (16 * i)) as u16;
        Self { slot: part(3) & !((WRITE >> 48) as u16), from: part(2), to: part(1), wrapped: part(0) }
    }

    fn meets(self, other: Self) -> bool {
        let parts = |r: Self| [r.from..r.to, 0..r.wrapped];
        let overlap = |a: &Range<u16>, b: &Range<u16>| a.start < b.end && b.start < a.end;
        self.slot == other.slot && parts(self).iter().any(|a| parts(other).iter().any(|b| overlap(a, b)))
    }
}

/// A claim with its place in the block.
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
        assert!(self.rows.contains(&row), "row {row}, where {:?} are held", self.rows);
        let row = self.first + (row - self.rows.start);
        let row = if row < self.length { row } else { row - self.length };
        // SAFETY: no more rows are held than the ring has, so that this is one of its rows, and the ring is no longer
        // than the slot, which lies inside the block.
        unsafe { self.start.add(row * self.row_bytes) }
    }
}

/// Rows that a thread holds.
#[derive(Debug)]
pub struct Held<'a> {
    reads: Reads<'a>,
    writes: Writes<'a>,
    board: Option<&'a Board>,
}

impl<'a> Held<'a> {
    /// The rows to read, and those to write.
    pub fn split(&mut self) -> (&Reads<'a>, &mut Writes<'a>) {
        (&self.reads, &mut self.writes)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(board) = self.board {
            board.count.store(0, Ordering::Release);
        }
    }
}

/// Rows that are held to read.
#[derive(Debug)]
pub struct Reads<'a> {
    rings: heapless::Vec<Ring, MOST_READS>,
    of: PhantomData<&'a Arena>,
}

impl Reads<'_> {
    /// A row of the claim of this number.
    #[allow(unsafe_code)]
    pub fn row(&self, claim: usize, row: usize) -> &[u8] {
        let ring = &self.rings[claim];
        // SAFETY: a row inside the block. It is held to read as long as `self` is borrowed: this thread's own claim to
        // write does not meet it, nor do the claims of others, as `hold` has found.
        unsafe { std::slice::from_raw_parts(ring.at(row), ring.row_bytes) }
    }
}

/// Rows that are held to write.
#[derive(Debug)]
pub struct Writes<'a> {
    ring: Ring,
    of: PhantomData<&'a Arena>,
}

impl Writes<'_> {
    /// A row.
    #[allow(unsafe_code)]
    pub fn row(&mut self, row: usize) -> &mut [u8] {
        // SAFETY: a row inside the block. It is held to write, by this thread alone, and `self` is borrowed with it, so
        // that there is no other reference to it.
        unsafe { std::slice::from_raw_parts_mut(self.ring.at(row), self.ring.row_bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn claim(slot: usize, ring: usize, rows: Range<usize>) -> Claim {
        Claim { slot, ring, rows }
    }

    #[test]
    fn rows_go_round() {
        let (arena, mut seats) = Arena::new(&[Slot::new(5, 100)], 1);
        let seat = &mut seats[0];
        for y in 0..9 {
            let mut held = arena.hold(seat, &[], &claim(0, 5, y..y + 1));
            held.split().1.row(y).fill(y as u8);
        }
        let mut held = arena.hold(seat, &[claim(0, 5, 5..9)], &claim(0, 5, 9..10));
        let (reads, writes) = held.split();
        assert_eq!([5, 6, 7, 8].map(|y| reads.row(0, y)[127]), [5, 6, 7, 8]);
        assert_eq!((writes.row(9)[0], writes.row(9).len()), (4, 128));
        assert!(catch_unwind(AssertUnwindSafe(|| reads.row(0, 9).len())).is_err(), "not held");
    }

    #[test]
    fn what_is_written_is_held_alone() {
        let slots = [Slot::new(8, 64), Slot::new(8, 64)];
        let (arena, seats) = Arena::new(&slots, 2);
        let [mut first, mut second]: [Seat; 2] = seats.try_into().unwrap();
        let held = arena.hold(&mut first, &[claim(0, 6, 4..7)], &claim(1, 8, 2..4));
        let mut fits = |reads: &[Claim], write: Claim| {
            catch_unwind(AssertUnwindSafe(|| drop(arena.hold(&mut second, reads, &write)))).is_ok()
        };
        assert!(fits(&[claim(0, 6, 3..6)], claim(1, 8, 4..6)), "readers share");
        assert!(!fits(&[], claim(0, 6, 5..6)), "written while read");
        assert!(!fits(&[], claim(0, 6, 6..7)), "written while read, where the ring goes on at the top");
        assert!(fits(&[], claim(0, 6, 7..8)));
        assert!(!fits(&[claim(1, 8, 3..4)], claim(0, 6, 1..2)), "read while written");
        assert!(!fits(&[], claim(1, 8, 11..12)), "written twice");
        assert!(!fits(&[claim(0, 6, 1..4)], claim(0, 6, 9..10)), "read and written by one");
        drop(held);
        assert!(fits(&[], claim(0, 6, 5..6)), "given back");
        let (_other, mut strangers) = Arena::new(&slots, 1);
        let mut stranger = |ring| {
            let claim = claim(0, ring, 0..1);
            catch_unwind(AssertUnwindSafe(|| drop(arena.hold(&mut strangers[0], &[], &claim)))).is_ok()
        };
        assert!(!stranger(6), "a seat of another arena");
        let long = claim(0, 9, 0..1);
        assert!(catch_unwind(AssertUnwindSafe(|| drop(arena.hold(&mut first, &[], &long)))).is_err(), "a long ring");
    }

    #[test]
    fn boards_keep_regions() {
        let region = Region { slot: 700, from: 3, to: 65_535, wrapped: 9 };
        assert_eq!(Region::of(region.bits() | WRITE), region);
    }
}

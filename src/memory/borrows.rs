//! The borrow table: which rows of the arena each thread uses at the moment.

use std::ops::Range;

use crate::sync::{AtomicU64, AtomicUsize, CachePadded, Ordering, fence};

/// Tensors that a thread can read at once.
pub const MOST_READS: usize = 15;
/// Marks a region that is borrowed to write, in a record.
const WRITE: u64 = 1 << 63;

/// Rows of a slot: `start..end`, and `0..wrapped` where a ring continues at its top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub slot: u16,
    pub start: u16,
    pub end: u16,
    pub wrapped: u16,
}

impl Region {
    /// For a record; the bit of [`WRITE`] is free.
    fn bits(self) -> u64 {
        let Self { slot, start, end, wrapped } = self;
        [slot, start, end, wrapped].into_iter().fold(0, |bits, part| bits << 16 | u64::from(part))
    }

    fn from_bits(bits: u64) -> Self {
        let part = |i: u32| (bits >> (16 * i)) as u16;
        Self { slot: part(3) & !((WRITE >> 48) as u16), start: part(2), end: part(1), wrapped: part(0) }
    }

    /// Do the two have a row in common?
    pub fn overlaps(self, other: Self) -> bool {
        let parts = |r: Self| [r.start..r.end, 0..r.wrapped];
        let overlap = |a: &Range<u16>, b: &Range<u16>| a.start < b.end && b.start < a.end;
        self.slot == other.slot && parts(self).iter().any(|a| parts(other).iter().any(|b| overlap(a, b)))
    }
}

/// What one thread borrows, for the others to see.
#[derive(Debug, Default)]
pub(super) struct Record {
    count: AtomicUsize,
    regions: [AtomicU64; MOST_READS + 1],
}

/// One record for each thread. A single thread has none: there is nobody to conflict with.
#[derive(Debug)]
pub(super) struct BorrowTable(Box<[CachePadded<Record>]>);

impl BorrowTable {
    /// For so many threads.
    pub fn new(threads: usize) -> Self {
        Self((0..if threads > 1 { threads } else { 0 }).map(|_| CachePadded::default()).collect())
    }

    /// Bytes that [`BorrowTable::new`] allocates.
    pub fn bytes(threads: usize) -> usize {
        if threads > 1 { threads * size_of::<CachePadded<Record>>() } else { 0 }
    }

    /// Enters what `thread` borrows, and compares it with what all others borrow: any number may read a row, or one write
    /// it. The error is the region of another thread that it conflicts with; nothing is borrowed then.
    ///
    /// Of two threads that enter conflicting regions at the same time at least one sees the other's: each writes its record,
    /// passes the fence, then reads the other's.
    pub fn acquire(&self, thread: usize, written: Region, reads: &[Region]) -> Result<(), Region> {
        let Some(CachePadded(own)) = self.0.get(thread) else { return Ok(()) };
        own.regions[0].store(written.bits() | WRITE, Ordering::Release);
        for (entry, region) in own.regions[1..].iter().zip(reads) {
            entry.store(region.bits(), Ordering::Release);
        }
        own.count.store(reads.len() + 1, Ordering::Release);
        fence(Ordering::SeqCst);
        for (_, CachePadded(other)) in self.0.iter().enumerate().filter(|(other, _)| *other != thread) {
            for entry in &other.regions[..other.count.load(Ordering::Acquire)] {
                let bits = entry.load(Ordering::Acquire);
                let theirs = Region::from_bits(bits);
                let read = bits & WRITE != 0 && reads.iter().any(|region| theirs.overlaps(*region));
                if read || theirs.overlaps(written) {
                    self.release(thread);
                    return Err(theirs);
                }
            }
        }
        Ok(())
    }

    /// `thread` borrows nothing any more.
    pub fn release(&self, thread: usize) {
        if let Some(CachePadded(own)) = self.0.get(thread) {
            own.count.store(0, Ordering::Release);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn records_keep_regions() {
        let region = Region { slot: 700, start: 3, end: 65_535, wrapped: 9 };
        assert_eq!(Region::from_bits(region.bits() | WRITE), region);
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;

    const NONE: Region = Region { slot: 0, start: 0, end: 0, wrapped: 0 };

    fn rows(start: u16, end: u16) -> Region {
        Region { slot: 3, start, end, wrapped: 0 }
    }

    /// Runs two threads that borrow at the same time, in every interleaving; says how many had what they asked for at the
    /// same time at most.
    fn both(first: (Region, Option<Region>), second: (Region, Option<Region>)) -> usize {
        use std::sync::atomic::AtomicUsize as Plain;
        static MOST: Plain = Plain::new(0);
        MOST.store(0, std::sync::atomic::Ordering::Relaxed);
        loom::model(move || {
            let shared = Arc::new((BorrowTable::new(2), AtomicUsize::new(0)));
            let run = |thread: usize, (written, read): (Region, Option<Region>)| {
                let shared = Arc::clone(&shared);
                move || {
                    let (table, inside) = &*shared;
                    if table.acquire(thread, written, read.as_slice()).is_ok() {
                        let now = inside.fetch_add(1, Ordering::AcqRel) + 1;
                        MOST.fetch_max(now, std::sync::atomic::Ordering::Relaxed);
                        inside.fetch_sub(1, Ordering::AcqRel);
                        table.release(thread);
                    }
                }
            };
            let other = loom::thread::spawn(run(1, second));
            run(0, first)();
            other.join().unwrap();
        });
        MOST.load(std::sync::atomic::Ordering::Relaxed)
    }

    #[test]
    fn loom_conflicts_are_never_granted_together() {
        assert_eq!(both((rows(1, 4), None), (rows(3, 5), None)), 1, "written by both");
        assert_eq!(both((rows(1, 4), None), (NONE, Some(rows(3, 5)))), 1, "written and read");
        assert_eq!(both((NONE, Some(rows(1, 4))), (NONE, Some(rows(3, 5)))), 2, "readers share");
        assert_eq!(both((rows(1, 3), None), (rows(3, 5), None)), 2, "different rows");
    }

    /// A thread that is told that another has released a row finds it free.
    #[test]
    fn loom_released_rows_are_free() {
        loom::model(|| {
            let shared = Arc::new((BorrowTable::new(2), AtomicUsize::new(0)));
            let other = Arc::clone(&shared);
            let writer = loom::thread::spawn(move || {
                other.0.acquire(1, rows(2, 3), &[]).unwrap();
                other.0.release(1);
                other.1.store(1, Ordering::Release);
            });
            let (table, released) = &*shared;
            while released.load(Ordering::Acquire) == 0 {
                crate::sync::yield_now();
            }
            table.acquire(0, NONE, &[rows(2, 3)]).expect("released");
            table.release(0);
            writer.join().unwrap();
        });
    }
}

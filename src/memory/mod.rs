//! The budget, the sharing of memory by live ranges, and the arena that holds it.

mod arena;
mod borrows;
mod budget;
#[cfg(feature = "cli")]
mod counting;
mod live_range;

pub use arena::{ALIGN, Arena, Borrow, Borrower, ReadRows, RingRows, Slot, WriteRows};
pub use borrows::MOST_READS;
pub use budget::{BadBudget, Budget, display_bytes};
#[cfg(feature = "cli")]
pub use counting::{CountingAllocator, allocations};
pub use live_range::{LiveRange, SlotAssignment, assign_slots};

//! The budget, the sharing of memory by live ranges, the arena that holds it, and what is done when there is none.

mod allocator;
mod arena;
mod borrows;
mod budget;
mod live_range;

pub use allocator::{ProgramAllocator, allocations, can_get, is_asking, when_memory_is_short};
pub use arena::{ALIGN, Arena, Borrow, Borrower, ReadRows, RingRows, Slot, WriteRows};
pub use borrows::MOST_READS;
pub use budget::{BadBudget, Budget, display_bytes};
pub use live_range::{LiveRange, SlotAssignment, assign_slots};

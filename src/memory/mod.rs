//! The budget, the sharing of memory by lifetime, and the arena that holds it.

mod arena;
mod budget;
mod lifetime;

pub use arena::{ALIGN, Arena, Claim, Held, MOST_READS, Reads, Seat, Slot, Writes};
pub use budget::{BadBudget, Budget, display_bytes};
pub use lifetime::{Lifetime, Tenancy, share};

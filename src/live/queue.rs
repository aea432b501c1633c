//! Queues of fixed capacity between the threads, and what happens when one is full.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use heapless::Deque;

/// Most frames that may wait between capture and network (`--queue`).
pub const MOST_QUEUE: usize = 16;
/// Capacity of every queue: all frames of the larger pool.
const CAPACITY: usize = MOST_QUEUE + 2;

/// Who gives way when a frame arrives and the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DropPolicy {
    /// The frame that has waited longest: the newest wins.
    Oldest,
    /// The frame that arrives.
    Newest,
    /// Nobody: the source waits.
    Never,
}

/// What became of a frame that was pushed.
#[derive(Debug, PartialEq)]
pub enum Pushed<T> {
    /// It waits.
    Kept,
    /// It waits in the place of this one.
    Replaced(T),
    /// There is no room for it.
    Refused(T),
    /// The queue is closed.
    Closed(T),
}

/// What went by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Frames that arrived before the queue was closed.
    pub arrived: u64,
    /// Frames of these that a newer one replaced.
    pub replaced: u64,
    /// Frames of these that were refused.
    pub refused: u64,
}

/// A queue for any number of threads; it never allocates.
#[derive(Debug)]
pub struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    limit: usize,
}

#[derive(Debug)]
struct State<T> {
    items: Deque<T, CAPACITY>,
    closed: bool,
    counts: Counts,
}

impl<T> Queue<T> {
    /// Bytes of a queue beside what its frames hold.
    pub const BYTES: usize = size_of::<Self>();

    /// For at most `limit` items, which is from 1 to the capacity.
    pub fn new(limit: usize) -> Self {
        let state = State { items: Deque::new(), closed: false, counts: Counts::default() };
        Self { state: Mutex::new(state), changed: Condvar::new(), limit: limit.clamp(1, CAPACITY) }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an item; waits for room if nothing may be dropped.
    pub fn push(&self, item: T, policy: DropPolicy) -> Pushed<T> {
        let mut state = self.lock();
        while policy == DropPolicy::Never && state.items.len() >= self.limit && !state.closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return Pushed::Closed(item);
        }
        state.counts.arrived += 1;
        let full = state.items.len() >= self.limit;
        if full && policy == DropPolicy::Newest {
            state.counts.refused += 1;
            return Pushed::Refused(item);
        }
        let oldest = if full { state.items.pop_front() } else { None };
        state.counts.replaced += u64::from(oldest.is_some());
        // There is room: the limit is at most the capacity.
        if let Err(item) = state.items.push_back(item) {
            return Pushed::Refused(item);
        }
        self.changed.notify_all();
        oldest.map_or(Pushed::Kept, Pushed::Replaced)
    }

    /// The item that has waited longest, or waits for one; `None` once the queue is closed and empty.
    pub fn pop(&self) -> Option<T> {
        let mut state = self.lock();
        while state.items.is_empty() && !state.closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let item = state.items.pop_front();
        self.changed.notify_all();
        item
    }

    /// Waits until an item could be pushed without dropping one; `false` once the queue is closed.
    pub fn wait_room(&self) -> bool {
        let mut state = self.lock();
        while state.items.len() >= self.limit && !state.closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        !state.closed
    }

    /// Takes no more items; those that wait can still be popped.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Does it take no more items?
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// What went by until now.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies() {
        let queue = Queue::new(2);
        assert_eq!(queue.push(1, DropPolicy::Oldest), Pushed::Kept);
        assert_eq!(queue.push(2, DropPolicy::Oldest), Pushed::Kept);
        assert_eq!(queue.push(3, DropPolicy::Oldest), Pushed::Replaced(1));
        assert_eq!(queue.push(4, DropPolicy::Newest), Pushed::Refused(4));
        assert_eq!((queue.pop(), queue.pop()), (Some(2), Some(3)));
        assert_eq!(queue.counts(), Counts { arrived: 4, replaced: 1, refused: 1 });
        queue.push(5, DropPolicy::Never);
        queue.close();
        assert_eq!(queue.push(6, DropPolicy::Never), Pushed::Closed(6));
        assert_eq!((queue.pop(), queue.pop(), queue.counts().arrived), (Some(5), None, 5));
    }

    #[test]
    fn a_waiting_push_goes_on_when_there_is_room() {
        let queue = Queue::new(1);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..100).for_each(|i| assert_eq!(queue.push(i, DropPolicy::Never), Pushed::Kept));
                queue.close();
            });
            let mut next = 0;
            while let Some(i) = queue.pop() {
                assert_eq!(i, next);
                next += 1;
            }
            assert_eq!(next, 100);
        });
    }
}

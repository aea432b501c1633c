//! Buffers whose live ranges do not overlap share a slot.

use super::Slot;

/// When a buffer holds something that is still needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveRange {
    /// Always: it carries rows from one pass over the Steps to the next.
    Carried,
    /// Within a pass, from this Step to that one, both included.
    Pass {
        /// Step that writes it first.
        first: usize,
        /// Step that reads it last.
        last: usize,
    },
}

impl LiveRange {
    fn overlaps(self, other: Self) -> bool {
        match (self, other) {
            (Self::Pass { first: a, last: b }, Self::Pass { first: c, last: d }) => a <= d && c <= b,
            _ => true,
        }
    }
}

/// Which slot each buffer lives in, and the slots' shapes.
#[derive(Clone, Debug, Default)]
pub struct SlotAssignment {
    /// One for each buffer.
    pub slot_of: Vec<usize>,
    /// Shapes.
    pub slots: Vec<Slot>,
}

/// Places buffers, the largest first, each in the slot where it adds least; `key` tells buffers apart whose
/// rows must not be mixed (borders are written once, so members must agree on them).
pub fn assign_slots<K: PartialEq + Copy>(buffers: &[(Slot, LiveRange, K)]) -> SlotAssignment {
    let mut order: Vec<usize> = (0..buffers.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(buffers[i].0.bytes()));
    let mut members: Vec<Vec<usize>> = Vec::new();
    let mut assignment = SlotAssignment { slot_of: vec![0; buffers.len()], slots: Vec::new() };
    for i in order {
        let (shape, range, key) = buffers[i];
        let fits = |slot: &Slot, others: &Vec<usize>| {
            let grown = Slot { rows: slot.rows.max(shape.rows), ..*slot };
            let added = grown.bytes() - slot.bytes();
            let same = slot.row_bytes == shape.row_bytes;
            let free = others.iter().all(|&o| !buffers[o].1.overlaps(range) && buffers[o].2 == key);
            (same && free && added < shape.bytes()).then_some((added, grown))
        };
        let best = (0..members.len())
            .filter_map(|s| fits(&assignment.slots[s], &members[s]).map(|(added, grown)| (added, s, grown)));
        match best.min_by_key(|(added, s, _)| (*added, *s)) {
            Some((_, slot, grown)) => {
                assignment.slots[slot] = grown;
                members[slot].push(i);
                assignment.slot_of[i] = slot;
            }
            None => {
                assignment.slot_of[i] = assignment.slots.len();
                assignment.slots.push(shape);
                members.push(vec![i]);
            }
        }
    }
    assignment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_ranges_in_a_slot_never_overlap() {
        let pass = |first, last| LiveRange::Pass { first, last };
        let buffers = [
            (Slot::new(4, 640), pass(0, 2), 0),
            (Slot::new(2, 640), pass(3, 4), 0),
            (Slot::new(4, 640), pass(2, 3), 0),
            (Slot::new(4, 640), LiveRange::Carried, 0),
            (Slot::new(4, 640), pass(5, 6), 128),
            (Slot::new(1, 64), pass(5, 6), 0),
        ];
        let assignment = assign_slots(&buffers);
        for i in 0..buffers.len() {
            assert!(assignment.slots[assignment.slot_of[i]].rows >= buffers[i].0.rows);
            for j in 0..i {
                let shared = assignment.slot_of[i] == assignment.slot_of[j];
                assert!(!shared || (!buffers[i].1.overlaps(buffers[j].1) && buffers[i].2 == buffers[j].2), "{i} {j}");
            }
        }
        assert_eq!(assignment.slot_of[0], assignment.slot_of[1], "disjoint live ranges share");
        assert_eq!(assignment.slots.len(), 5);
    }
}

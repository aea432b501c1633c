//! Buffers whose lifetimes do not meet share a slot.

use super::Slot;

/// When a buffer holds something that is still needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
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

impl Lifetime {
    fn meets(self, other: Self) -> bool {
        match (self, other) {
            (Self::Pass { first: a, last: b }, Self::Pass { first: c, last: d }) => a <= d && c <= b,
            _ => true,
        }
    }
}

/// Which slot each buffer lives in, and the slots' shapes.
#[derive(Clone, Debug, Default)]
pub struct Tenancy {
    /// One for each buffer.
    pub slot_of: Vec<usize>,
    /// Shapes.
    pub slots: Vec<Slot>,
}

/// Places buffers, the largest first, each in the slot where it adds least; `key` tells buffers apart whose
/// rows must not be mixed (borders are written once, so tenants must agree on them).
pub fn share<K: PartialEq + Copy>(buffers: &[(Slot, Lifetime, K)]) -> Tenancy {
    let mut order: Vec<usize> = (0..buffers.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(buffers[i].0.bytes()));
    let mut tenants: Vec<Vec<usize>> = Vec::new();
    let mut tenancy = Tenancy { slot_of: vec![0; buffers.len()], slots: Vec::new() };
    for i in order {
        let (shape, lifetime, key) = buffers[i];
        let fits = |slot: &Slot, others: &Vec<usize>| {
            let grown = Slot { rows: slot.rows.max(shape.rows), ..*slot };
            let added = grown.bytes() - slot.bytes();
            let same = slot.row_bytes == shape.row_bytes;
            let free = others.iter().all(|&o| !buffers[o].1.meets(lifetime) && buffers[o].2 == key);
            (same && free && added < shape.bytes()).then_some((added, grown))
        };
        let best = (0..tenants.len())
            .filter_map(|s| fits(&tenancy.slots[s], &tenants[s]).map(|(added, grown)| (added, s, grown)));
        match best.min_by_key(|(added, s, _)| (*added, *s)) {
            Some((_, slot, grown)) => {
                tenancy.slots[slot] = grown;
                tenants[slot].push(i);
                tenancy.slot_of[i] = slot;
            }
            None => {
                tenancy.slot_of[i] = tenancy.slots.len();
                tenancy.slots.push(shape);
                tenants.push(vec![i]);
            }
        }
    }
    tenancy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_never_meet() {
        let pass = |first, last| Lifetime::Pass { first, last };
        let buffers = [
            (Slot::new(4, 640), pass(0, 2), 0),
            (Slot::new(2, 640), pass(3, 4), 0),
            (Slot::new(4, 640), pass(2, 3), 0),
            (Slot::new(4, 640), Lifetime::Carried, 0),
            (Slot::new(4, 640), pass(5, 6), 128),
            (Slot::new(1, 64), pass(5, 6), 0),
        ];
        let tenancy = share(&buffers);
        for i in 0..buffers.len() {
            assert!(tenancy.slots[tenancy.slot_of[i]].rows >= buffers[i].0.rows);
            for j in 0..i {
                let shared = tenancy.slot_of[i] == tenancy.slot_of[j];
                assert!(!shared || (!buffers[i].1.meets(buffers[j].1) && buffers[i].2 == buffers[j].2), "{i} {j}");
            }
        }
        assert_eq!(tenancy.slot_of[0], tenancy.slot_of[1], "disjoint lifetimes share");
        assert_eq!(tenancy.slots.len(), 5);
    }
}

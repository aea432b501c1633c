//! The halo is what the network sees: no grid cell wider, and not one shorter.
//!
//! Pictures cannot tell. What comes from far away comes through means, windows and roundings, and is lost in them: noise of full
//! contrast is seen 35 pixels away in `ctnet-tiny-x2`, whose Steps reach over 51. So rows are followed one by one through the
//! Steps of a plan, and what that says is compared with the plan's rule, which knows distances only.

use bifocal::internals::plan::Plan;
use bifocal::{Branches, Level, Model};

/// Input rows from a cut edge that may differ in the output, when a tile is cut out of a frame at its top or its bottom.
fn reach(plan: &Plan, bottom: bool) -> usize {
    let height = 16 * plan.grid;
    let rows = |buffer: usize| plan.buffers[buffer].rows.of(height);
    let mut differs: Vec<Vec<bool>> = (0..plan.buffers.len()).map(|buffer| vec![false; rows(buffer)]).collect();
    for step in &plan.steps {
        let mut made = vec![false; rows(step.write)];
        for unit in 0..step.unit_count(height) {
            let tainted = step.reads.iter().any(|read| {
                let row = |offset: &isize| read.base(unit) + offset;
                read.offsets.iter().map(row).any(|row| match usize::try_from(row) {
                    Ok(inside) if inside < rows(read.buffer) => differs[read.buffer][inside],
                    Ok(_) => bottom,
                    Err(_) => !bottom,
                })
            });
            let first = step.first_row + (unit * step.unit_rows) as isize;
            for row in (first..first + step.unit_rows as isize).filter_map(|row| usize::try_from(row).ok()) {
                if let Some(row) = made.get_mut(row) {
                    *row |= tainted;
                }
            }
        }
        differs[step.write] = made;
    }
    let output = &differs[plan.output];
    let far = |row: usize| if bottom { output.len() - row } else { row + 1 };
    let reach = output.iter().enumerate().filter(|(_, differs)| **differs).map(|(row, _)| far(row)).max().unwrap_or(0);
    assert!(reach < output.len() / 2, "the frame of the test is too small");
    reach.div_ceil(plan.scale)
}

#[test]
fn the_halo_is_the_reach_of_the_steps() {
    for name in Model::EMBEDDED {
        let model = Model::named(name).unwrap().unwrap();
        for branches in [Branches::Both, Branches::Cnn, Branches::Transformer] {
            // Not every network has both.
            let Ok(plan) = Plan::new(&model, branches, Level::SCALAR) else {
                assert!(branches != Branches::Both, "{name} has no plan");
                continue;
            };
            let reach = [false, true].map(|bottom| reach(&plan, bottom));
            let needed = reach.map(|reach| reach.next_multiple_of(plan.grid)).into_iter().max().unwrap();
            assert_eq!(plan.halo(), needed, "{name}, {}: rows are seen {reach:?} away", branches.name());
        }
    }
}

//! Which window gets what: from the picture, as its rows arrive.

use std::sync::Arc;

use super::classes::ClassMap;
use crate::frame::{Axis, PlaneFilter};
use crate::geom::{Rect, Size};
use crate::kernels::Level;
use crate::plan::{Class, Routing};

/// How classes are chosen.
#[derive(Clone, Debug)]
pub enum Rule {
    /// By a window's energy: `full` from the first, `plain` below the second.
    Energy([u32; 2]),
    /// They are given, row of windows by row of windows.
    Given(Arc<[Class]>),
}

/// Chooses the class of each window, and shows the anchor where one is `plain`: the bicubic filter's picture.
#[derive(Debug)]
pub struct Router {
    rule: Rule,
    window: usize,
    /// See [`Routing::ahead`].
    ahead: usize,
    /// Padded to the window grid.
    frame: Size,
    classes: Vec<Class>,
    energies: Vec<u32>,
    /// Rows that the network sees: those that wait until the classes below them are known, and those that the filter
    /// needs. Bands of tiles keep their own.
    ring: Vec<u8>,
    arrived: usize,
    fed: usize,
    scale: usize,
    filter: PlaneFilter,
    row: Vec<u8>,
}

impl Router {
    /// Bytes that [`Router::new`] allocates.
    pub fn bytes(size: Size, scale: usize, routing: &Routing, rows: usize) -> usize {
        let (frame, axis) = (size.padded(routing.window), Axis::centred(scale));
        let windows = frame.area() / routing.window.pow(2) + size_of::<u32>() * frame.width / routing.window;
        windows + rows * frame.width + scale * size.width + PlaneFilter::bytes(1, size, axis, axis)
    }

    /// For pictures of `size`; keeps so many rows.
    pub fn new(rule: Rule, size: Size, scale: usize, routing: &Routing, rows: usize, level: Level) -> Self {
        let (frame, axis) = (size.padded(routing.window), Axis::centred(scale));
        let windows = Size::new(frame.width / routing.window, frame.height / routing.window);
        Self {
            rule,
            window: routing.window,
            ahead: routing.ahead,
            frame,
            classes: vec![Class::Full; windows.area()],
            energies: vec![0; windows.width],
            ring: vec![0; rows * frame.width],
            arrived: 0,
            fed: 0,
            scale,
            filter: PlaneFilter::new(1, size, size.scaled(scale), axis, axis, level),
            row: vec![0; scale * size.width],
        }
    }

    /// Another frame begins.
    pub fn reset(&mut self) {
        (self.arrived, self.fed) = (0, 0);
    }

    /// The next row, which `fill` writes; chooses the classes of a row of windows that is complete with it, and tells `map`.
    pub fn push(&mut self, fill: impl FnOnce(&mut [u8]), map: &ClassMap) {
        let width = self.frame.width;
        let rows = self.ring.len() / width;
        fill(&mut self.ring[self.arrived % rows * width..][..width]);
        self.arrived += 1;
        if self.arrived.is_multiple_of(self.window) {
            let ring = std::mem::take(&mut self.ring);
            let row = self.arrived / self.window - 1;
            self.choose(row, |y| &ring[y % rows * width..][..width]);
            self.ring = ring;
            map.set(row, self.row_of(row));
        }
    }

    /// The next row for the network, if the classes that it needs are known; it counts as taken.
    pub fn next(&mut self) -> Option<&[u8]> {
        let known = self.arrived / self.window * self.window;
        let ready = self.fed < known && (self.fed + self.ahead < known || known == self.frame.height);
        ready.then(|| {
            let width = self.frame.width;
            let at = self.fed % (self.ring.len() / width) * width;
            self.fed += 1;
            &self.ring[at..][..width]
        })
    }

    fn row_of(&self, row: usize) -> &[Class] {
        let columns = self.energies.len();
        &self.classes[row * columns..][..columns]
    }

    /// Tells `map` the classes of a part of the frame.
    pub fn tell(&self, part: &Rect, map: &ClassMap) {
        let windows = |from: usize, to: usize| from / self.window..to / self.window;
        for (row, own) in windows(part.y.start, part.y.end).enumerate() {
            map.set(row, &self.row_of(own)[windows(part.x.start, part.x.end)]);
        }
    }

    /// Chooses the classes of a row of windows from its rows of pixels.
    pub fn choose<'a>(&mut self, row: usize, source: impl Fn(usize) -> &'a [u8]) {
        let Self { rule, window, classes, energies, .. } = self;
        let columns = energies.len();
        let own = &mut classes[row * columns..][..columns];
        match rule {
            Rule::Given(given) => own.copy_from_slice(&given[row * columns..][..columns]),
            Rule::Energy([full, plain]) => {
                energies.fill(0);
                let first = row * *window;
                for y in first + 1..first + *window - 1 {
                    add_energies([source(y - 1), source(y), source(y + 1)], *window, energies);
                }
                for (class, energy) in own.iter_mut().zip(energies) {
                    *class = match *energy {
                        energy if energy >= *full => Class::Full,
                        energy if energy < *plain => Class::Plain,
                        _ => Class::Structure,
                    };
                }
            }
        }
    }

    /// Output row `y` as it is shown; `made` is the network's.
    pub fn show<'a, 's>(&'a mut self, y: usize, made: &'a [u8], source: impl Fn(usize) -> &'s [u8]) -> &'a [u8] {
        let row = y / self.scale / self.window;
        let Self { window, classes, energies, scale, filter, row: shown, .. } = self;
        show(filter, shown, &classes[row * energies.len()..][..energies.len()], *scale * *window, y, made, source)
    }

    /// [`Router::show`] with the rows that are kept here.
    pub fn show_kept<'a>(&'a mut self, y: usize, made: &'a [u8]) -> &'a [u8] {
        let (row, width) = (y / self.scale / self.window, self.frame.width);
        let Self { window, classes, energies, scale, filter, row: shown, ring, .. } = self;
        let rows = ring.len() / width;
        let source = |y: usize| &ring[y % rows * width..][..width];
        show(filter, shown, &classes[row * energies.len()..][..energies.len()], *scale * *window, y, made, source)
    }
}

/// The filter's row where a window, `each` samples wide, is plain, and `made` elsewhere.
fn show<'a, 's>(
    filter: &mut PlaneFilter,
    shown: &'a mut [u8],
    classes: &[Class],
    each: usize,
    y: usize,
    made: &'a [u8],
    source: impl Fn(usize) -> &'s [u8],
) -> &'a [u8] {
    if !classes.contains(&Class::Plain) {
        return made;
    }
    filter.row_from(source, y, shown);
    for ((shown, made), class) in shown.chunks_mut(each).zip(made.chunks(each)).zip(classes) {
        if *class != Class::Plain {
            shown.copy_from_slice(&made[..shown.len()]);
        }
    }
    shown
}

/// Adds the squared Laplacians of a row's pixels, but for a window's outermost, to the energy of their windows.
fn add_energies(rows: [&[u8]; 3], window: usize, energies: &mut [u32]) {
    let [above, own, below] = rows.map(|row| row.chunks_exact(window));
    for (((above, own), below), energy) in above.zip(own).zip(below).zip(energies) {
        let middle = 1..window - 1;
        let near = own.iter().zip(&own[2..]).zip(&above[middle.clone()]).zip(&below[middle.clone()]);
        *energy += own[middle]
            .iter()
            .zip(near)
            .map(|(v, (((left, right), up), down))| {
                let around = i32::from(*left) + i32::from(*right) + i32::from(*up) + i32::from(*down);
                let laplacian = 4 * i32::from(*v) - around;
                (laplacian * laplacian) as u32
            })
            .sum::<u32>();
    }
}

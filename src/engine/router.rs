//! Which window gets what: from the picture, as its rows arrive.

use std::ops::Range;
use std::sync::Arc;

use super::classes::{ClassMap, Mark};
use super::detail::Detail;
use super::pace::Pace;
use crate::frame::{Axis, PlaneFilter};
use crate::geom::{Rect, Size};
use crate::kernels::Level;
use crate::plan::{Class, Routing};
use crate::tile::Grid;

/// How classes are chosen.
#[derive(Clone, Debug)]
pub enum Rule {
    /// All are `full`.
    Full,
    /// By what there is to see in a window: `full` from so many edges on, else `plain` below so much energy, for each effort that
    /// may be chosen; the last is the one that was asked for.
    Detail(Vec<[u32; 2]>),
    /// They are given, row of windows by row of windows.
    Given(Arc<[Class]>),
}

/// Windows of a frame by what they got.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Windows {
    /// Both branches.
    pub full: usize,
    /// The Transformer branch alone.
    pub structure: usize,
    /// The bicubic filter alone.
    pub plain: usize,
    /// Nothing: they stand still.
    pub kept: usize,
}

/// Chooses the class of each window, and shows the anchor where one is `plain`: the bicubic filter's picture.
#[derive(Debug)]
pub struct Router {
    rule: Rule,
    window: usize,
    /// See [`Routing::ahead`].
    ahead: usize,
    /// See [`Routing::near`].
    near: usize,
    /// Padded to the window grid.
    frame: Size,
    /// Do tiles begin where windows do? Else they are made as a whole.
    aligned: bool,
    /// Windows of a row.
    columns: usize,
    classes: Vec<Class>,
    marks: Vec<Mark>,
    /// Of every window, this frame's above the rows that have not arrived, below them those of the frame before.
    details: Vec<Detail>,
    /// Windows that got less than the effort that was asked for gives them, and have not been made since.
    owed: Vec<bool>,
    /// Keeps a deadline.
    pace: Option<Pace>,
    /// What the chosen effort was at least in this frame; an index of the rule's.
    effort: usize,
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
        let windows = (frame.width / routing.window) * (frame.height / routing.window);
        let each = size_of::<Class>() + size_of::<Mark>() + size_of::<Detail>() + size_of::<bool>();
        let filter = scale * size.width + PlaneFilter::bytes(1, size, axis, axis);
        windows * each + rows * frame.width + filter
    }

    /// For pictures of `size`, which the network sees as frames of `grid`; keeps so many rows.
    pub fn new(
        rule: Rule,
        size: Size,
        grid: &Grid,
        scale: usize,
        routing: &Routing,
        rows: usize,
        level: Level,
    ) -> Self {
        let (axis, frame) = (Axis::centred(scale), grid.frame);
        let aligned = grid.tile == frame
            || [grid.halo, grid.tile.width, grid.tile.height].iter().all(|n| n.is_multiple_of(routing.window));
        let windows = Size::new(frame.width.div_ceil(routing.window), frame.height.div_ceil(routing.window));
        let effort = if let Rule::Detail(efforts) = &rule { efforts.len() - 1 } else { 0 };
        Self {
            rule,
            window: routing.window,
            ahead: routing.ahead,
            near: routing.near,
            frame,
            aligned,
            classes: vec![Class::Full; windows.area()],
            marks: vec![Mark::MADE; windows.area()],
            columns: windows.width,
            details: vec![Detail::default(); windows.area()],
            owed: vec![false; windows.area()],
            pace: None,
            effort,
            ring: vec![0; rows * frame.width],
            arrived: 0,
            fed: 0,
            scale,
            filter: PlaneFilter::new(1, size, size.scaled(scale), axis, axis, level),
            row: vec![0; scale * size.width],
        }
    }

    /// With a deadline for each frame.
    pub fn with_pace(self, pace: Option<Pace>) -> Self {
        Self { pace, ..self }
    }

    /// Another frame begins.
    pub fn reset(&mut self) {
        (self.arrived, self.fed) = (0, 0);
    }

    /// The effort that was asked for, by its index.
    fn asked(&self) -> usize {
        if let Rule::Detail(efforts) = &self.rule { efforts.len() - 1 } else { 0 }
    }

    /// The controller that keeps the deadline.
    pub fn pace_mut(&mut self) -> Option<&mut Pace> {
        self.pace.as_mut()
    }

    /// Windows of a row.
    #[cfg_attr(not(feature = "cli"), allow(dead_code))]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Windows that a frame of which nothing has changed may make in time.
    pub fn spare(&self) -> usize {
        self.pace.as_ref().map_or(0, |pace| (pace.spare() * self.owed.len() as f64) as usize)
    }

    /// Windows that got less than the effort that was asked for gives them, and have not been made since.
    pub fn owed(&self) -> &[bool] {
        &self.owed
    }

    /// What the last frame's windows got, and how far below the effort that was asked for the least chosen one was.
    pub fn tally(&self) -> (Windows, usize) {
        let mut windows = Windows::default();
        for (class, mark) in self.classes.iter().zip(&self.marks) {
            *match (mark.fresh, class) {
                (false, _) => &mut windows.kept,
                (true, Class::Full) => &mut windows.full,
                (true, Class::Structure) => &mut windows.structure,
                (true, Class::Plain) => &mut windows.plain,
            } += 1;
        }
        (windows, self.asked() - self.effort)
    }

    /// What each window of the last frame got, row by row; none that is kept.
    #[cfg_attr(not(feature = "cli"), allow(dead_code))]
    pub fn shown(&self) -> impl Iterator<Item = Option<Class>> + '_ {
        self.classes.iter().zip(&self.marks).map(|(class, mark)| mark.fresh.then_some(*class))
    }

    /// The next row, which `fill` writes; chooses the classes of a row of windows that is complete with it, and tells `map`.
    pub fn push(&mut self, fill: impl FnOnce(&mut [u8]), map: &ClassMap) {
        let width = self.frame.width;
        let rows = self.ring.len() / width;
        fill(&mut self.ring[self.arrived % rows * width..][..width]);
        self.arrived += 1;
        if self.arrived.is_multiple_of(self.window) || self.arrived == self.frame.height {
            let ring = std::mem::take(&mut self.ring);
            let row = (self.arrived - 1) / self.window;
            self.choose(row, |y| &ring[y % rows * width..][..width]);
            self.ring = ring;
            let own = self.row_of(row);
            map.set(row, &self.classes[own.clone()], &self.marks[own]);
        }
    }

    /// Which windows the next frame makes anew, row by row of windows.
    pub fn mark(&mut self, fresh: &[bool], map: &ClassMap) {
        self.effort = self.asked();
        let columns = self.columns;
        let all = !self.aligned || fresh.iter().all(|fresh| *fresh);
        map.set_all(all && matches!(self.rule, Rule::Full));
        let rows = fresh.len() / columns;
        for (window, mark) in self.marks.iter_mut().enumerate() {
            let (row, column) = (window / columns, window % columns);
            let within = |at: usize, end: usize| at.saturating_sub(self.near)..(at + self.near + 1).min(end);
            let any = |y: usize| fresh[y * columns..][within(column, columns)].contains(&true);
            *mark = Mark { fresh: fresh[window], near: fresh[window] || within(row, rows).any(any) };
        }
        // What is made anew below matters to rows above it; classes follow as rows arrive. Tiles are told their own.
        if !self.ring.is_empty() {
            for row in 0..rows {
                let own = self.row_of(row);
                map.set(row, &self.classes[own.clone()], &self.marks[own]);
            }
        }
    }

    /// Is output row `y` in a row of windows of which one is made anew?
    pub fn is_made(&self, y: usize) -> bool {
        self.marks[self.row_of(y / self.scale / self.window)].iter().any(|mark| mark.fresh)
    }

    /// Is a window of this part of the frame made anew?
    pub fn is_made_in(&self, part: &Rect) -> bool {
        let columns = part.x.start / self.window..part.x.end.div_ceil(self.window);
        let mut rows = part.y.start / self.window..part.y.end.div_ceil(self.window);
        rows.any(|row| self.marks[self.row_of(row)][columns.clone()].iter().any(|mark| mark.fresh))
    }

    /// The next row for the network, if the classes that it needs are known; it counts as taken.
    pub fn next(&mut self) -> Option<&[u8]> {
        let all = self.arrived == self.frame.height;
        let known = if all { self.arrived } else { self.arrived / self.window * self.window };
        let ready = self.fed < known && (self.fed + self.ahead < known || all);
        ready.then(|| {
            let width = self.frame.width;
            let at = self.fed % (self.ring.len() / width) * width;
            self.fed += 1;
            &self.ring[at..][..width]
        })
    }

    fn row_of(&self, row: usize) -> Range<usize> {
        row * self.columns..(row + 1) * self.columns
    }

    /// Tells `map` the classes of a part of the frame.
    pub fn tell(&self, part: &Rect, map: &ClassMap) {
        let windows = |from: usize, to: usize| from / self.window..to.div_ceil(self.window);
        for (row, own) in windows(part.y.start, part.y.end).enumerate() {
            let (own, part) = (self.row_of(own), windows(part.x.start, part.x.end));
            map.set(row, &self.classes[own.clone()][part.clone()], &self.marks[own][part]);
        }
    }

    /// Chooses the classes of a row of windows from its rows of pixels.
    pub fn choose<'a>(&mut self, row: usize, source: impl Fn(usize) -> &'a [u8]) {
        let own = self.row_of(row);
        let Self { rule, window, classes, details, marks, owed, pace, effort, arrived, fed, .. } = self;
        let efforts = match rule {
            Rule::Full => return,
            Rule::Given(given) => return classes[own.clone()].copy_from_slice(&given[own]),
            Rule::Detail(efforts) => efforts,
        };
        details[own.clone()].fill(Detail::default());
        let first = row * *window;
        for y in (first + 1..first + *window - 1).step_by(2) {
            Detail::add([y - 1, y, y + 1, y + 2].map(&source), *window, &mut details[own.clone()]);
        }
        let asked = efforts.len() - 1;
        let mut chosen = asked;
        if row == 0 {
            *effort = asked;
        }
        if let Some(pace) = pace {
            pace.begin();
            // Of the rows below, what they were in the frame before.
            let coming = || details[own.start..].iter().zip(&marks[own.start..]).filter(|(_, mark)| mark.fresh);
            let work = |effort: usize| coming().map(|(detail, _)| pace.cost(class_of(*detail, efforts[effort]))).sum();
            // Tiles are made as soon as their classes are known.
            let part = if *arrived > 0 { *fed as f64 / *arrived as f64 } else { 1.0 };
            let above = own.start as f64 / details.len() as f64;
            let allowed = pace.allowed(above * part, part);
            // Work grows with effort.
            let (mut low, mut high) = (0, asked);
            while low < high {
                let middle = (low + high).div_ceil(2);
                let work: f64 = work(middle);
                if work <= allowed { low = middle } else { high = middle - 1 }
            }
            chosen = low;
            *effort = (*effort).min(chosen);
        }
        let mut work = 0.0;
        for window in own {
            let class = class_of(details[window], efforts[chosen]);
            classes[window] = class;
            if marks[window].fresh {
                owed[window] = class != class_of(details[window], efforts[asked]);
                work += pace.as_ref().map_or(0.0, |pace| pace.cost(class));
            }
        }
        if let Some(pace) = pace {
            pace.spend(work);
        }
    }

    /// Output row `y` as it is shown; `made` is the network's.
    pub fn show<'a, 's>(&'a mut self, y: usize, made: &'a [u8], source: impl Fn(usize) -> &'s [u8]) -> &'a [u8] {
        let row = y / self.scale / self.window;
        let Self { window, classes, columns, scale, filter, row: shown, .. } = self;
        show(filter, shown, &classes[row * *columns..][..*columns], *scale * *window, y, made, source)
    }

    /// [`Router::show`] with the rows that are kept here.
    pub fn show_kept<'a>(&'a mut self, y: usize, made: &'a [u8]) -> &'a [u8] {
        let (row, width) = (y / self.scale / self.window, self.frame.width);
        let Self { window, classes, columns, scale, filter, row: shown, ring, .. } = self;
        let rows = ring.len() / width;
        let source = |y: usize| &ring[y % rows * width..][..width];
        show(filter, shown, &classes[row * *columns..][..*columns], *scale * *window, y, made, source)
    }
}

/// What a window with such details gets.
fn class_of(detail: Detail, [full, plain]: [u32; 2]) -> Class {
    if detail.edges() >= full {
        Class::Full
    } else if detail.energy() < plain {
        Class::Plain
    } else {
        Class::Structure
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

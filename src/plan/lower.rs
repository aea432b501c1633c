//! Graph to Steps: what is alive, what is fused, which buffers there are. `emit` makes the Steps.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::step::{Buffer, BufferId, Kind, Read, Step};
use super::{Plan, PlanError};
use crate::kernels::{Clamp, Level, quantise};
use crate::memory::MOST_READS;
use crate::model::{Border, Branches, Graph, Input, Model, Node, Op, Ratio, Tensor, TensorId, View};

/// A unit may read so many rows.
pub const MOST_ROWS: usize = 32;

/// Plans the model.
pub(super) fn lower(model: &Model, branches: Branches, level: Level) -> Result<Plan, PlanError> {
    let zeroed: HashSet<&str> = model.zeroed(branches)?.into_iter().collect();
    let named = |node: &str, reason: String| PlanError::Unsupported {
        model: model.metadata().name.clone(),
        node: node.to_string(),
        reason,
    };
    let graph = model.graph().ok_or_else(|| named("input", model.why_float().to_string()))?;
    if let Some(missing) = zeroed.iter().find(|s| !graph.tensors.iter().any(|t| t.name == **s)) {
        return Err(named(
            missing,
            format!("metadata 'branches' names it for {}, but it is not there", branches.name()),
        ));
    }
    let mut lowering = Lowering::new(graph, &zeroed, level);
    for (index, node) in graph.nodes.iter().enumerate() {
        if lowering.alive.contains(&node.output) {
            lowering.node(index).map_err(|e| named(&graph.tensors[node.output].name, e))?;
        }
    }
    let plan = lowering.finish(model.metadata().window).map_err(|e| named("output", e))?;
    if plan.steps.is_empty() {
        return Err(named("output", "nothing is computed: it is the picture itself".into()));
    }
    Ok(plan)
}

/// What one unit of a Step makes.
pub(super) enum Unit {
    /// A row.
    Row,
    /// `n` rows of a tensor that is stored with its depth in space.
    Spread(usize),
    /// `n` rows of a plain tensor: the sum that a convolution is fused into whose depth becomes space.
    SpreadSum(usize),
    /// A row of windows, the grid moved up by `shift`; a moved grid has one more, half outside at either end.
    Windows { window: usize, shift: usize },
}

pub(super) struct Lowering<'a> {
    pub graph: &'a Graph,
    pub level: Level,
    /// Tensors that count as zero: outputs of branches that do not run.
    pub zeroed: HashSet<TensorId>,
    /// Tensors that reach the output.
    alive: HashSet<TensorId>,
    /// Reads of each live tensor.
    uses: HashMap<TensorId, usize>,
    /// Border pixels that convolutions read beside each tensor.
    borders: HashMap<TensorId, usize>,
    /// What lies outside each tensor, where that is not zeros.
    outside: HashMap<TensorId, Border>,
    /// Convolutions that are fused into an Add: their node.
    fused: HashSet<usize>,
    buffer_of: HashMap<TensorId, BufferId>,
    buffers: Vec<Buffer>,
    steps: Vec<Step>,
    writer: Vec<Option<usize>>,
}

impl<'a> Lowering<'a> {
    fn new(graph: &'a Graph, zeroed: &HashSet<&str>, level: Level) -> Self {
        let zeroed = (0..graph.tensors.len()).filter(|&t| zeroed.contains(graph.tensors[t].name.as_str())).collect();
        let mut this = Self {
            graph,
            level,
            zeroed,
            alive: HashSet::new(),
            uses: HashMap::new(),
            borders: HashMap::new(),
            outside: HashMap::new(),
            fused: HashSet::new(),
            buffer_of: HashMap::new(),
            buffers: Vec::new(),
            steps: Vec::new(),
            writer: Vec::new(),
        };
        this.mark_live();
        this.fuse();
        this
    }

    /// What reaches the output when the zeroed tensors are left out, how often it is read, and with what borders.
    fn mark_live(&mut self) {
        self.alive.extend([self.graph.output.tensor, self.graph.nodes[0].output]);
        *self.uses.entry(self.graph.output.tensor).or_default() += 1;
        for node in self.graph.nodes.iter().rev() {
            if self.zeroed.contains(&node.output) || !self.alive.contains(&node.output) {
                continue;
            }
            for input in node.inputs.iter().filter(|i| !self.zeroed.contains(&i.tensor)) {
                self.alive.insert(input.tensor);
                *self.uses.entry(input.tensor).or_default() += 1;
            }
            if let Op::Conv(weights) = &node.op {
                let block = if let View::SpaceToDepth(n) = node.inputs[0].view { n } else { 1 };
                let reach = weights.dilation * (weights.kernel / 2) * block;
                if weights.border != Border::Zero {
                    self.outside.insert(node.inputs[0].tensor, weights.border);
                }
                for part in self.parts(node.inputs[0]).unwrap_or_default() {
                    let border = self.borders.entry(part).or_default();
                    *border = (*border).max(reach);
                }
            }
        }
    }

    /// Marks the convolutions whose only reader is an Add: they are fused into it.
    fn fuse(&mut self) {
        for node in self.graph.nodes.iter().filter(|n| matches!(n.op, Op::Add) && self.alive.contains(&n.output)) {
            let zeroed = node.inputs.iter().any(|i| self.zeroed.contains(&i.tensor));
            if !zeroed && self.channels(node.inputs[0]) == self.channels(node.inputs[1]) {
                // The later of two: what else it reads is there by then.
                self.fused.extend(node.inputs.iter().filter_map(|i| self.only_for_add(*i)).max());
            }
        }
    }

    /// The convolution that makes `input`, if nothing else reads it.
    fn only_for_add(&self, input: Input) -> Option<usize> {
        let made = self.graph.nodes.iter().position(|n| n.output == input.tensor)?;
        let conv = matches!(self.graph.nodes[made].op, Op::Conv(_)) && self.uses.get(&input.tensor) == Some(&1);
        conv.then_some(made)
    }

    /// The convolution that is fused into an Add, and which of its inputs that is.
    pub fn fused_into(&self, add: &Node) -> Option<(&'a Node, usize)> {
        let graph = self.graph;
        let find = |i: usize| {
            graph.nodes.iter().position(|n| n.output == add.inputs[i].tensor).filter(|n| self.fused.contains(n))
        };
        (0..add.inputs.len()).find_map(|i| find(i).map(|n| (&graph.nodes[n], i)))
    }

    fn node(&mut self, index: usize) -> Result<(), String> {
        let graph = self.graph;
        let node = &graph.nodes[index];
        if self.fused.contains(&index) || self.zeroed.contains(&node.output) {
            return Ok(());
        }
        match &node.op {
            Op::Picture => {
                self.new_buffer(node.output, 1);
                self.writer.push(None);
                Ok(())
            }
            Op::Concat => Ok(()), // its readers read the parts
            Op::Conv(weights) => self.convolution(node, weights, None),
            Op::Add => self.sum(node),
            Op::Subtract => self.difference(node),
            Op::Copy => self.copy(node, node.inputs[0]),
            Op::Arrange => self.arrange(node),
            Op::Table(tables) => self.table(node, Arc::clone(tables)),
            Op::Gate => self.gate(node),
            Op::PoolColumns(n) => self.pool(node, *n, true),
            Op::PoolRows(n) => self.pool(node, *n, false),
            Op::Attention { window, shift, scores } => self.attention(node, *window, *shift, *scores),
        }
    }

    /// The tensor behind an input.
    pub fn tensor(&self, input: Input) -> &'a Tensor {
        &self.graph.tensors[input.tensor]
    }

    /// The tensor that a node makes.
    pub fn made(&self, node: &Node) -> &'a Tensor {
        &self.graph.tensors[node.output]
    }

    /// Channels as seen through the view.
    pub fn channels(&self, input: Input) -> usize {
        input.view.channels(self.tensor(input).channels)
    }

    /// Where the bytes of a node's output may lie.
    pub fn clamp(&self, node: &Node) -> Clamp {
        Clamp { zero_point: self.made(node).zero_point, low: node.low, high: node.high }
    }

    /// Tensors that stand side by side in `input`: concats taken apart.
    pub fn parts(&self, input: Input) -> Result<Vec<TensorId>, String> {
        if self.zeroed.contains(&input.tensor) {
            return Err("it reads a branch that does not run other than through Add".into());
        }
        let concat = self.graph.nodes.iter().find(|n| n.output == input.tensor && matches!(n.op, Op::Concat));
        let Some(concat) = concat else { return Ok(vec![input.tensor]) };
        let whole = self.tensor(input);
        let mut parts = Vec::new();
        for part in &concat.inputs {
            let t = self.tensor(*part);
            if (t.scale, t.zero_point) != (whole.scale, whole.zero_point) || part.view != View::Plain {
                return Err(format!("'{}' is concatenated with another scale, zero point or layout", t.name));
            }
            parts.extend(self.parts(*part)?);
        }
        Ok(parts)
    }

    /// The factor of DepthToSpace if all readers of a tensor view it so: it is stored so.
    pub fn spread_of(&self, tensor: TensorId) -> usize {
        let readers =
            self.graph.nodes.iter().filter(|n| self.alive.contains(&n.output) && !self.zeroed.contains(&n.output));
        let mut views = readers.flat_map(|n| n.inputs.iter().filter(|i| i.tensor == tensor).map(|i| i.view));
        match views.next() {
            Some(View::DepthToSpace(n))
                if self.graph.output.tensor != tensor && views.all(|v| v == View::DepthToSpace(n)) =>
            {
                n
            }
            _ => 1,
        }
    }

    fn new_buffer(&mut self, tensor: TensorId, spread: usize) -> BufferId {
        let t = &self.graph.tensors[tensor];
        let border = self.borders.get(&tensor).copied().unwrap_or(0);
        let grown = |r: Ratio| Ratio::new(r.num * spread, r.den);
        self.buffers.push(Buffer {
            name: t.name.clone(),
            stride: t.channels / (spread * spread),
            rows: grown(t.rows),
            columns: grown(t.columns),
            left: border,
            right: border,
            zero: t.zero_point,
            border: self.outside.get(&tensor).copied().unwrap_or_default(),
        });
        self.buffer_of.insert(tensor, self.buffers.len() - 1);
        self.buffers.len() - 1
    }

    /// The buffer of an input that is read as it is stored.
    pub fn stored(&self, input: Input) -> Result<BufferId, String> {
        let name = &self.tensor(input).name;
        let buffer = *self
            .buffer_of
            .get(&input.tensor)
            .ok_or_else(|| format!("'{name}' is read in a way that is not supported"))?;
        let spread = self.buffers[buffer].stride != self.tensor(input).channels;
        match input.view {
            View::Plain if !spread => Ok(buffer),
            View::DepthToSpace(_) if spread => Ok(buffer),
            view => Err(format!("it views '{name}' as {view:?}, which is not supported here")),
        }
    }

    /// A buffer by its index.
    pub fn buffer(&self, id: BufferId) -> &Buffer {
        &self.buffers[id]
    }

    /// Adds a Step that makes `tensor`.
    pub fn push(
        &mut self,
        name: &str,
        kind: Kind,
        reads: Vec<Read>,
        tensor: TensorId,
        unit: Unit,
        macs: usize,
    ) -> Result<BufferId, String> {
        if reads.iter().map(|r| r.offsets.len()).sum::<usize>() > MOST_ROWS {
            return Err(format!("it reads more than {MOST_ROWS} rows at once"));
        }
        // One entry is the padding rows'.
        if reads.len() >= MOST_READS {
            return Err(format!("it reads more than {} tensors at once", MOST_READS - 1));
        }
        let (stored, unit_rows, spread, shift) = match unit {
            Unit::Row => (1, 1, 1, 0),
            Unit::Spread(n) => (n, n, n, 0),
            Unit::SpreadSum(n) => (1, n, n, 0),
            Unit::Windows { window, shift } => (1, window, 1, shift),
        };
        let write = self.new_buffer(tensor, stored);
        self.writer.push(Some(self.steps.len()));
        let Buffer { rows, columns, .. } = self.buffers[write];
        self.steps.push(Step {
            name: name.to_string(),
            kind,
            reads,
            write,
            units: Ratio::new(rows.num, rows.den * unit_rows),
            extra_unit: shift > 0,
            unit_rows,
            first_row: -(shift as isize),
            macs,
            mac_columns: Ratio::new(columns.num, columns.den * spread),
        });
        Ok(write)
    }

    fn finish(mut self, window: usize) -> Result<Plan, String> {
        let graph = self.graph;
        let (t, scale) = (self.tensor(graph.output), graph.scale);
        let output = match graph.output.view {
            View::Plain => self.stored(graph.output)?,
            View::DepthToSpace(n) if n * n * graph.channels == t.channels => self.shuffle(graph.output.tensor, n)?,
            view => return Err(format!("the picture seen as {view:?}")),
        };
        let picture = &graph.tensors[graph.nodes[0].output];
        let quantise = |byte: u8| {
            let clamp = Clamp { zero_point: picture.zero_point, low: 0, high: 255 };
            quantise((graph.range.exact(byte) / f64::from(picture.scale)) as f32, clamp)
        };
        let show = |byte: u8| {
            let real = (f64::from(byte) - f64::from(t.zero_point)) * f64::from(t.scale);
            graph.range.steps_of(real).round_ties_even().clamp(0.0, 255.0) as u8
        };
        let grid = self.steps.iter().map(|s| self.grid_of(s)).fold(window.max(1), lowest_common_multiple);
        Ok(Plan {
            input: self.buffer_of[&graph.nodes[0].output],
            output,
            scale,
            channels: graph.channels,
            order: graph.order,
            grid,
            input_table: table(quantise),
            output_table: table(show),
            buffers: self.buffers,
            steps: self.steps,
            writer: self.writer,
            routing: None,
        })
    }

    /// The picture as `n * n` channels becomes rows of pixels.
    fn shuffle(&mut self, tensor: TensorId, n: usize) -> Result<BufferId, String> {
        let read = Read::same(self.stored(Input { tensor, view: View::Plain })?);
        self.push("picture", Kind::Shuffle(n), vec![read], tensor, Unit::Spread(n), 0)
    }

    /// Input pixels that the height and width must be multiples of for this Step.
    fn grid_of(&self, step: &Step) -> usize {
        let pixels = |r: Ratio, n: usize| (n * r.den).div_ceil(r.num);
        let own = |b: BufferId| pixels(self.buffers[b].rows, 1).max(pixels(self.buffers[b].columns, 1));
        match &step.kind {
            Kind::Attention(a) => pixels(self.buffers[step.write].rows, a.window),
            _ => own(step.write),
        }
    }
}

/// `f` as a table; none when it changes nothing.
fn table(f: impl Fn(u8) -> u8) -> Option<Box<[u8; 256]>> {
    let table: [u8; 256] = std::array::from_fn(|i| f(i as u8));
    table.iter().enumerate().any(|(i, &b)| i != usize::from(b)).then(|| Box::new(table))
}

fn lowest_common_multiple(a: usize, b: usize) -> usize {
    a / Ratio::gcd(a, b) * b
}

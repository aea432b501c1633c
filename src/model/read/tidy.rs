//! A graph as the plan has it: no depth to space in another order of channels, concatenations of one scale, and views that
//! no Step reads through made tensors.

use std::collections::HashMap;

use crate::model::graph::{Border, Graph, Input, Node, Op, Ratio, Tensor, TensorId, View};

pub(super) fn tidy(graph: &mut Graph) -> Result<(), String> {
    if graph.nodes.iter().filter(|n| matches!(n.op, Op::Picture)).count() != 1 {
        return Err("the picture is quantised in several ways".into());
    }
    read_through(graph);
    rows_first(graph);
    one_scale(graph);
    arrange(graph);
    one_border(graph);
    Ok(())
}

/// Who reads a tensor: each node, with its view.
fn readers(graph: &Graph, tensor: TensorId) -> impl Iterator<Item = (usize, View)> {
    let of = move |(at, n): (usize, &Node)| {
        let views: Vec<_> = n.inputs.iter().filter(|i| i.tensor == tensor).map(|i| (at, i.view)).collect();
        views
    };
    let output = (graph.output.tensor == tensor).then_some((usize::MAX, graph.output.view));
    let all: Vec<_> = graph.nodes.iter().enumerate().flat_map(of).chain(output).collect();
    all.into_iter()
}

/// Readers of an arranged tensor read what it was arranged from, where they read it as it is.
fn read_through(graph: &mut Graph) {
    let arranged: HashMap<TensorId, Input> =
        graph.nodes.iter().filter(|n| matches!(n.op, Op::Arrange)).map(|n| (n.output, n.inputs[0])).collect();
    let through = |input: &mut Input| {
        if let (View::Plain, Some(from)) = (input.view, arranged.get(&input.tensor)) {
            *input = *from;
        }
    };
    graph.nodes.iter_mut().flat_map(|n| &mut n.inputs).for_each(through);
    through(&mut graph.output);
    let used: Vec<bool> = graph
        .nodes
        .iter()
        .map(|n| !arranged.contains_key(&n.output) || readers(graph, n.output).next().is_some())
        .collect();
    let mut used = used.into_iter();
    graph.nodes.retain(|_| used.next().unwrap_or(true));
}

/// `ChannelsToSpace` to `DepthToSpace`, where outputs of convolutions can change places.
fn rows_first(graph: &mut Graph) {
    for tensor in 0..graph.tensors.len() {
        let view = readers(graph, tensor).find_map(|(_, view)| match view {
            View::ChannelsToSpace(n) => Some(n),
            _ => None,
        });
        let Some(n) = view else { continue };
        let Some(makers) = makers(graph, tensor, n) else { continue };
        let (blocks, each) = (n * n, graph.tensors[tensor].channels / (n * n));
        let from = |o: usize| o % each * blocks + o / each;
        for maker in makers {
            match &mut graph.nodes[maker].op {
                Op::Conv(w) => {
                    let size = w.data.len() / w.outputs;
                    w.data = (0..w.outputs).flat_map(|o| w.data[from(o) * size..][..size].to_vec()).collect();
                    w.scales = (0..w.outputs).map(|o| w.scales[from(o)]).collect();
                    w.bias = (0..w.outputs).map(|o| w.bias[from(o)]).collect();
                }
                Op::Table(tables) if tables.len() > 1 => {
                    *tables = (0..tables.len()).map(|o| tables[from(o)]).collect();
                }
                _ => {}
            }
        }
        let seen = graph.nodes.iter_mut().flat_map(|n| &mut n.inputs).chain([&mut graph.output]);
        seen.filter(|i| i.tensor == tensor).for_each(|i| i.view = View::DepthToSpace(n));
    }
}

/// The nodes whose channels change places so that those of `tensor` do, if all that read it see them as space.
fn makers(graph: &Graph, tensor: TensorId, n: usize) -> Option<Vec<usize>> {
    if readers(graph, tensor).any(|(_, view)| view != View::ChannelsToSpace(n)) {
        return None;
    }
    let mut found = vec![];
    let mut at = tensor;
    loop {
        let maker = graph.nodes.iter().position(|n| n.output == at)?;
        found.push(maker);
        let node = &graph.nodes[maker];
        match &node.op {
            Op::Conv(w) if !w.depthwise => return Some(found),
            Op::Table(_) | Op::Copy => {
                at = node.inputs[0].tensor;
                if node.inputs[0].view != View::Plain || readers(graph, at).count() != 1 {
                    return None;
                }
            }
            _ => return None,
        }
    }
}

/// Tensors that are concatenated have the scale, the zero point and the layout of the whole, or are copied.
fn one_scale(graph: &mut Graph) {
    let nodes = std::mem::take(&mut graph.nodes);
    for mut node in nodes {
        if matches!(node.op, Op::Concat) {
            let Tensor { scale, zero_point, .. } = graph.tensors[node.output];
            for input in &mut node.inputs {
                let part = graph.tensors[input.tensor].clone();
                if (part.scale, part.zero_point) == (scale, zero_point) {
                    continue;
                }
                let made = seen(&Tensor { scale, zero_point, ..part }, input.view);
                graph.tensors.push(made);
                let output = graph.tensors.len() - 1;
                let inputs = vec![std::mem::replace(input, Input { tensor: output, view: View::Plain })];
                graph.nodes.push(Node { op: Op::Copy, inputs, output, low: 0, high: 255 });
            }
        }
        graph.nodes.push(node);
    }
}

/// A tensor as it is seen.
fn seen(of: &Tensor, view: View) -> Tensor {
    let times = |r: Ratio, n: usize| Ratio::new(r.num * n, r.den);
    let (rows, columns) = match view {
        View::DepthToSpace(n) | View::ChannelsToSpace(n) | View::Repeat(n) => (times(of.rows, n), times(of.columns, n)),
        View::SpaceToDepth(n) => {
            (Ratio::new(of.rows.num, of.rows.den * n), Ratio::new(of.columns.num, of.columns.den * n))
        }
        View::RepeatColumns(n) => (of.rows, times(of.columns, n)),
        View::RepeatRows(n) => (times(of.rows, n), of.columns),
        View::Plain | View::Channels { .. } => (of.rows, of.columns),
    };
    let name = format!("{} ({view:?})", of.name);
    Tensor { name, channels: view.channels(of.channels), rows, columns, ..of.clone() }
}

/// Views that no Step reads through, and concatenations that others than convolutions read, become tensors.
fn arrange(graph: &mut Graph) {
    let nodes = graph.nodes.clone();
    let mut made: HashMap<(TensorId, View), TensorId> = HashMap::new();
    let concat = |tensor: TensorId| nodes.iter().find(|n| n.output == tensor && matches!(n.op, Op::Concat));
    let mut through = |graph: &mut Graph, input: Input| -> Input {
        let mut input = input;
        for view in [View::Plain, input.view] {
            // A concatenation first comes together; then it is seen.
            let parts = match (view, concat(input.tensor)) {
                (View::Plain, Some(whole)) => whole.inputs.clone(),
                (View::Plain, None) => continue,
                _ => vec![Input { tensor: input.tensor, view }],
            };
            let key = (input.tensor, view);
            let tensor = made.get(&key).copied().unwrap_or_else(|| {
                let tensor = seen(&graph.tensors[input.tensor], view);
                graph.tensors.push(tensor);
                let output = graph.tensors.len() - 1;
                graph.nodes.push(Node { op: Op::Arrange, inputs: parts, output, low: 0, high: 255 });
                output
            });
            made.insert(key, tensor);
            input.tensor = tensor;
        }
        Input { view: View::Plain, ..input }
    };
    let whole = graph.clone();
    graph.nodes.clear();
    for mut node in whole.nodes.iter().cloned() {
        for slot in 0..node.inputs.len() {
            let input = node.inputs[slot];
            if !is_read_so(&whole, &node, slot, concat(input.tensor).is_some()) {
                node.inputs[slot] = through(graph, input);
            }
        }
        graph.nodes.push(node);
    }
    let Input { tensor, view } = graph.output;
    let shuffled = matches!(view, View::DepthToSpace(n) if n * n * graph.channels == whole.tensors[tensor].channels);
    if concat(tensor).is_some() || !(shuffled || view == View::Plain) {
        graph.output = through(graph, graph.output);
    }
}

/// Does the plan have a Step that reads this input as it is viewed?
fn is_read_so(graph: &Graph, node: &Node, slot: usize, concat: bool) -> bool {
    let Input { tensor, view } = node.inputs[slot];
    match view {
        // Borders are those of one tensor, as it is.
        _ if border(node) != Border::Zero => view == View::Plain && !concat,
        View::Plain => !concat || matches!(node.op, Op::Conv(_) | Op::Concat),
        _ if concat || matches!(node.op, Op::Concat) => false,
        _ if matches!(node.op, Op::Arrange) => true,
        View::SpaceToDepth(_) => matches!(node.op, Op::Conv(_)),
        View::RepeatColumns(_) | View::RepeatRows(_) => matches!(node.op, Op::Gate) && slot == 1,
        View::DepthToSpace(n) => {
            let maker = graph.nodes.iter().find(|n| n.output == tensor).map(|n| &n.op);
            // A convolution can store its depth as space, if all see it so.
            matches!(maker, Some(Op::Conv(w)) if !w.depthwise)
                && readers(graph, tensor).all(|(at, view)| at != usize::MAX && view == View::DepthToSpace(n))
        }
        View::ChannelsToSpace(_) | View::Repeat(_) | View::Channels { .. } => false,
    }
}

/// What a node reads outside its input.
fn border(node: &Node) -> Border {
    match &node.op {
        Op::Conv(weights) => weights.border,
        _ => Border::Zero,
    }
}

/// A tensor that is read with several borders is copied for those that are not zeros.
fn one_border(graph: &mut Graph) {
    let nodes = std::mem::take(&mut graph.nodes);
    let mut made: Vec<(TensorId, Border, TensorId)> = vec![];
    for mut node in nodes.iter().cloned() {
        let own = border(&node);
        let others = |n: &Node| {
            matches!(n.op, Op::Conv(_) | Op::Concat)
                && n.inputs.iter().any(|i| i.tensor == node.inputs[0].tensor)
                && border(n) != own
        };
        if own != Border::Zero && nodes.iter().any(others) {
            let from = node.inputs[0];
            let known = made.iter().find(|(tensor, border, _)| (*tensor, *border) == (from.tensor, own));
            let tensor = known.map(|(.., copy)| *copy).unwrap_or_else(|| {
                let copy = Tensor {
                    name: format!("{} ({own:?})", graph.tensors[from.tensor].name),
                    ..graph.tensors[from.tensor].clone()
                };
                graph.tensors.push(copy);
                let output = graph.tensors.len() - 1;
                graph.nodes.push(Node { op: Op::Arrange, inputs: vec![from], output, low: 0, high: 255 });
                made.push((from.tensor, own, output));
                output
            });
            node.inputs[0].tensor = tensor;
        }
        graph.nodes.push(node);
    }
}

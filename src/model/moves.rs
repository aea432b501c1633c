//! Chains of operations that only move data, recognised by what they do.
//!
//! An exporter may spell a window partition in many ways (reshapes, transposes, SpaceToDepth, pads). The chain
//! is run once on a ramp, whose values are the places they come from, and compared with the moves we know.

use tract_onnx::tract_core::internal::*;

use super::MOST_SCALE;
use super::graph::View;

/// A chain's meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// One of the views that a Step can read through.
    View(View),
    /// `1 x C x h x w` to `h' x w' x T x C`: windows of `window` squared pixels on a grid shifted by `shift`.
    Windows { window: usize, shift: usize },
    /// The same with the last two axes exchanged.
    WindowsTransposed { window: usize, shift: usize },
    /// The inverse of `Windows`.
    Merge { window: usize, shift: usize },
}

const WINDOWS: [usize; 4] = [8, 4, 16, 2];

/// An operation of a chain, and its constant inputs.
pub(super) type Link = (Box<dyn TypedOp>, Vec<Arc<Tensor>>);

/// Runs the chain on a ramp of `shape` and names what it does.
pub(super) fn recognise(chain: &[Link], shape: &[usize]) -> TractResult<Option<Move>> {
    if chain.is_empty() {
        return Ok(Some(Move::View(View::Plain)));
    }
    let count: usize = shape.iter().product();
    ensure!(count < 1 << 24, "too large to recognise");
    let ramp: Vec<f32> = (0..count).map(|i| i as f32).collect();
    let mut value: TValue = Tensor::from_shape(shape, &ramp)?.into_tvalue();
    for (op, constants) in chain {
        let mut inputs = tvec!(value);
        inputs.extend(constants.iter().map(|c| c.clone().into_tvalue()));
        let mut outputs = op.eval_out_of_plan(inputs)?.ok_or_else(|| format_err!("cannot be folded"))?;
        value = outputs.remove(0);
    }
    let moved = super::load::unchecked_f32(&value);
    let first = moved.first().copied().unwrap_or(0.0);
    Ok(candidates(shape, value.shape(), first).into_iter().find(|m| matches(*m, shape, value.shape(), &moved)))
}

/// Moves that would give this output shape, and begin with element `first`.
fn candidates(from: &[usize], to: &[usize], first: f32) -> Vec<Move> {
    let mut found = Vec::new();
    if from.len() != 4 || to.len() != 4 {
        return found;
    }
    if from == to {
        found.push(Move::View(View::Plain));
    }
    let (c, h, w) = (from[1], from[2], from[3]);
    for n in 2..=MOST_SCALE {
        if to == [1, n * n * c, h / n, w / n] {
            found.push(Move::View(View::SpaceToDepth(n)));
        }
        if c % (n * n) == 0 && to == [1, c / (n * n), h * n, w * n] {
            found.push(Move::View(View::DepthToSpace(n)));
            found.push(Move::View(View::ChannelsToSpace(n)));
        }
        if to == [1, c, h * n, w * n] {
            found.push(Move::View(View::Repeat(n)));
        }
    }
    if to[1] < c && (to[2], to[3]) == (h, w) && (first as usize).is_multiple_of(h * w) {
        found.push(Move::View(View::Channels { first: first as usize / (h * w), count: to[1] }));
    }
    if to[..3] == from[..3] && to[3] > w && to[3].is_multiple_of(w) {
        found.push(Move::View(View::RepeatColumns(to[3] / w)));
    }
    if to[1] == c && to[3] == w && to[2] > h && to[2].is_multiple_of(h) {
        found.push(Move::View(View::RepeatRows(to[2] / h)));
    }
    for window in WINDOWS {
        for shift in [0, window / 2] {
            if to[2] == window * window {
                found.push(Move::Windows { window, shift });
            }
            if to[3] == window * window {
                found.push(Move::WindowsTransposed { window, shift });
            }
            if from[2] == window * window {
                found.push(Move::Merge { window, shift });
            }
        }
    }
    found
}

/// Does element `i` of the output come from where the move says, for all `i`?
fn matches(candidate: Move, from: &[usize], to: &[usize], moved: &[f32]) -> bool {
    if moved.len() != to.iter().product::<usize>() {
        return false;
    }
    let source = |axes: [usize; 4]| {
        let inside = axes.iter().zip(from).all(|(a, n)| a < n);
        inside.then(|| ((axes[0] * from[1] + axes[1]) * from[2] + axes[2]) * from[3] + axes[3])
    };
    let mut i = 0;
    for a in 0..to[0] {
        for b in 0..to[1] {
            for c in 0..to[2] {
                for d in 0..to[3] {
                    let expected = source(origin(candidate, from, [a, b, c, d]));
                    if expected.is_none_or(|e| moved[i] != e as f32) {
                        return false;
                    }
                    i += 1;
                }
            }
        }
    }
    true
}

/// Where the element at `to` comes from.
fn origin(candidate: Move, from: &[usize], to: [usize; 4]) -> [usize; 4] {
    let [a, b, c, d] = to;
    match candidate {
        Move::View(View::Plain) => to,
        Move::View(View::SpaceToDepth(n)) => {
            let (block, channel) = (b / from[1], b % from[1]);
            [a, channel, n * c + block / n, n * d + block % n]
        }
        Move::View(View::DepthToSpace(n)) => [a, ((c % n) * n + d % n) * (from[1] / (n * n)) + b, c / n, d / n],
        Move::View(View::ChannelsToSpace(n)) => [a, (b * n + c % n) * n + d % n, c / n, d / n],
        Move::View(View::Repeat(n)) => [a, b, c / n, d / n],
        Move::View(View::Channels { first, .. }) => [a, b + first, c, d],
        Move::View(View::RepeatColumns(n)) => [a, b, c, d / n],
        Move::View(View::RepeatRows(n)) => [a, b, c / n, d],
        Move::Windows { window, shift } => inside(window, shift, from, (a, b), c, d),
        Move::WindowsTransposed { window, shift } => inside(window, shift, from, (a, b), d, c),
        Move::Merge { window, shift } => {
            let (y, x) = (c + shift, d + shift);
            [y / window, x / window, (y % window) * window + x % window, b]
        }
    }
}

/// Pixel `token` of window `at`, clamped to the frame.
fn inside(window: usize, shift: usize, from: &[usize], at: (usize, usize), token: usize, channel: usize) -> [usize; 4] {
    let clamp = |place: usize, size: usize| place.saturating_sub(shift).min(size - 1);
    let (y, x) = (at.0 * window + token / window, at.1 * window + token % window);
    [0, channel, clamp(y, from[2]), clamp(x, from[3])]
}

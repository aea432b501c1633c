//! Processors with AVX2 and without 8-bit dot products add products of u8 and s8 in pairs, in 16 bits that saturate. Engines
//! lay weights out with channels or with taps innermost, so in no shipped file may neighbours in either order be able to
//! exceed 16 bits: only then does every engine give the same bytes on every processor.
//!
//! What attention multiplies is u8 with u8, which the same processors widen to 16 bits before they multiply.

use bifocal::Model;
use bifocal::internals::model::{Border, ConvWeights, Op};

/// 255 times as much is below 32768.
const MOST: i32 = 128;

/// The largest |w0| + |w1| of neighbours, at any alignment.
fn worst(weights: impl Iterator<Item = i8>) -> i32 {
    let weights: Vec<i32> = weights.map(|w| i32::from(w).abs()).collect();
    weights.windows(2).map(|pair| pair[0] + pair[1]).max().unwrap_or(0)
}

/// That of a convolution, with taps innermost (as they are in the file) and with channels innermost.
fn pair(weights: &ConvWeights) -> i32 {
    let taps = weights.kernel * weights.kernel;
    let of_output = |output: &[i8]| {
        let channels_innermost = (0..taps).flat_map(|tap| (0..weights.inputs).map(move |c| output[c * taps + tap]));
        worst(output.iter().copied()).max(worst(channels_innermost))
    };
    weights.data.chunks(weights.inputs * taps).map(of_output).max().unwrap()
}

#[test]
fn no_pair_of_weights_saturates() {
    let mut found = vec![];
    for name in Model::EMBEDDED {
        let model = Model::named(name).unwrap().unwrap();
        let mut convolutions = 0;
        for node in &model.graph().unwrap().nodes {
            if let Op::Conv(weights) = &node.op {
                convolutions += 1;
                let sum = pair(weights);
                if sum > MOST {
                    found.push(format!("{name}, {}: {sum}", model.graph().unwrap().tensors[node.output].name));
                }
            }
        }
        assert!(convolutions > 0, "{name} has no weights");
    }
    assert!(found.is_empty(), "pairs above {MOST}:\n{}", found.join("\n"));
}

#[test]
fn pairs_are_found_in_both_orders_and_at_any_place() {
    let conv = |data: Vec<i8>| ConvWeights {
        outputs: data.len() / 18,
        data,
        scales: vec![1.0; 2],
        bias: vec![0.0; 2],
        inputs: 2,
        kernel: 3,
        dilation: 1,
        depthwise: false,
        border: Border::Zero,
    };
    let with = |places: [usize; 2]| {
        let mut data = vec![0; 36];
        places.iter().for_each(|&place| data[place] = -100);
        pair(&conv(data))
    };
    assert_eq!(with([1, 2]), 200, "taps of a row, at an odd place");
    assert_eq!(with([18 + 2, 18 + 3]), 200, "the end of a row and the next");
    assert_eq!(with([8, 9]), 200, "the last tap of a channel and the first of the next");
    assert_eq!(with([4, 13]), 200, "channels of a tap");
    assert_eq!(with([9, 1]), 200, "the last channel of a tap and the first of the next");
    assert_eq!(with([17, 18]), 100, "outputs are apart");
    assert_eq!(with([0, 2]), 100);
}

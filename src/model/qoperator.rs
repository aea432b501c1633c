//! Operators on quantised tensors (`QLinearConv` and its like) spelt as QDQ: dequantised, computed, quantised.

use std::collections::HashMap;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto, attribute_proto::AttributeType};

use super::node::name;

/// The operator in real numbers, and how the inputs of the quantised one lie: tensors with scale and zero point, beginning
/// at these places, and the place of the output's.
fn form(operator: &str, inputs: usize) -> Option<(&'static str, Vec<usize>, usize)> {
    Some(match operator {
        "QLinearConv" => ("Conv", vec![0, 3], 6),
        "QLinearAdd" => ("Add", vec![0, 3], 6),
        "QLinearMul" => ("Mul", vec![0, 3], 6),
        "QLinearLeakyRelu" => ("LeakyRelu", vec![0], 3),
        "QLinearSigmoid" => ("Sigmoid", vec![0], 3),
        "QLinearAveragePool" => ("AveragePool", vec![0], 3),
        "QLinearConcat" => ("Concat", (2..inputs).step_by(3).collect(), 0),
        _ => return None,
    })
}

/// Spells all of them as QDQ; the error names the node.
pub(super) fn spelt_out(graph: &mut GraphProto) -> Result<(), String> {
    if !graph.node.iter().any(|n| form(&n.op_type, n.input.len()).is_some()) {
        return Ok(());
    }
    let constants: HashMap<String, TensorProto> =
        graph.initializer.iter().map(|t| (t.name.clone(), t.clone())).collect();
    let nodes = std::mem::take(&mut graph.node);
    for node in nodes {
        let Some((operator, tensors, output)) = form(&node.op_type, node.input.len()) else {
            graph.node.push(node);
            continue;
        };
        let bad = |why: &str| format!("node '{}' ({}): {why}", name(&node), node.op_type);
        let input = |at: usize| node.input.get(at).cloned().unwrap_or_default();
        let called = name(&node).to_string();
        let mut real = vec![];
        for at in tensors {
            let made = format!("{called}.real{at}");
            let weights = operator == "Conv" && at > 0;
            let attribute = weights.then(|| AttributeProto {
                name: "axis".into(),
                r#type: AttributeType::Int.into(),
                i: 0,
                ..AttributeProto::default()
            });
            graph.node.push(NodeProto {
                op_type: "DequantizeLinear".into(),
                name: made.clone(),
                input: given([input(at), input(at + 1), input(at + 2)]),
                output: vec![made.clone()],
                attribute: attribute.into_iter().collect(),
                ..NodeProto::default()
            });
            real.push(made);
        }
        if operator == "Conv" && !input(8).is_empty() {
            // A bias counts in steps of the product of both scales.
            let known = |at: usize| constants.get(&input(at)).ok_or_else(|| bad("scales and bias must be constants"));
            let (steps, scale, scales) = (numbers(known(8)?), numbers(known(1)?), numbers(known(4)?));
            let (Some(&scale), false) = (scale.first(), scales.is_empty()) else { return Err(bad("no scale")) };
            let bias = steps.iter().enumerate().map(|(o, v)| v * scale * scales[o % scales.len()]);
            let made = format!("{called}.bias");
            graph.initializer.push(TensorProto {
                name: made.clone(),
                dims: vec![steps.len() as i64],
                data_type: DataType::Float.into(),
                raw_data: bias.flat_map(f32::to_le_bytes).collect(),
                ..TensorProto::default()
            });
            real.push(made);
        }
        let made = format!("{called}.made");
        graph.node.push(NodeProto {
            op_type: operator.into(),
            domain: String::new(),
            name: called.clone(),
            input: real,
            output: vec![made.clone()],
            ..node.clone()
        });
        let (scale, zero) =
            if operator == "Concat" { (input(0), input(1)) } else { (input(output), input(output + 1)) };
        graph.node.push(NodeProto {
            op_type: "QuantizeLinear".into(),
            name: format!("{called}.quantised"),
            input: given([made, scale, zero]),
            output: node.output.clone(),
            ..NodeProto::default()
        });
    }
    Ok(())
}

/// Without a last input that is left out.
fn given(inputs: [String; 3]) -> Vec<String> {
    inputs.into_iter().filter(|i| !i.is_empty()).collect()
}

/// The values of a constant of 32 bits.
fn numbers(tensor: &TensorProto) -> Vec<f32> {
    let single = tensor.data_type == i32::from(DataType::Float);
    let value = |b: &[u8; 4]| if single { f32::from_le_bytes(*b) } else { i32::from_le_bytes(*b) as f32 };
    match (tensor.raw_data.is_empty(), single) {
        (false, _) => tensor.raw_data.as_chunks::<4>().0.iter().map(value).collect(),
        (true, true) => tensor.float_data.clone(),
        (true, false) => tensor.int32_data.iter().map(|v| *v as f32).collect(),
    }
}

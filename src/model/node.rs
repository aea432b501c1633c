//! Nodes of the file.

use tract_onnx::pb::NodeProto;

/// What a node is called in messages: by its name, or by its first output.
pub(super) fn name(node: &NodeProto) -> &str {
    if node.name.is_empty() { node.output.first().map_or("", String::as_str) } else { &node.name }
}

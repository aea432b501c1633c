//! ONNX, through tract's typed graph, to [`Graph`] for the int8 plan or to a [`FloatNetwork`] for tract's executor. The
//! only module that names tract, and the only one that knows ONNX.

mod catalogue;
#[cfg_attr(not(feature = "models"), path = "none.rs")]
mod embedded;
mod executor;
mod file;
mod float;
mod format;
mod graph;
mod load;
mod moves;
mod node;
mod qoperator;
mod reach;
mod read;
mod reference;

use std::cell::Cell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

pub use catalogue::{Place, find};
pub use executor::Executor;
pub use float::{FloatFacts, FloatNetwork};
pub use format::{Layout, Order, Range};
pub use graph::{Border, ConvWeights, Graph, Input, Node, Op, Ratio, Tensor, TensorId, View};
pub use reference::evaluate;

thread_local! {
    /// Set while a panic of the parser is being caught.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// True while a panic on this thread is an ordinary error of a damaged model: a panic hook may print nothing.
pub fn panic_is_handled() -> bool {
    QUIET.with(Cell::get)
}

/// Output pixels for an input pixel, along one axis, at most.
const MOST_SCALE: usize = 8;

/// Why what is well formed is not planned, where there is no more to say.
const UNSUPPORTED: &str = "not supported here";

/// Which branches run.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Branches {
    /// Both, as trained.
    Both,
    /// The CNN branch alone.
    Cnn,
    /// The Transformer branch alone.
    Transformer,
    /// What each window of the picture needs.
    Auto,
}

impl Branches {
    /// Name on the command line and in the model file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Cnn => "cnn",
            Self::Transformer => "transformer",
            Self::Auto => "auto",
        }
    }
}

impl FromStr for Branches {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Both, Self::Cnn, Self::Transformer, Self::Auto];
        all.into_iter()
            .find(|b| b.name() == text)
            .ok_or_else(|| format!("'{text}' is not one of both, cnn, transformer, auto"))
    }
}

/// What the file says of itself.
#[non_exhaustive]
#[derive(Clone, Debug, serde::Serialize)]
pub struct Metadata {
    /// Name.
    pub name: String,
    /// Output pixels for an input pixel, along one axis.
    pub scale: usize,
    /// Window grid in input pixels: the frame is padded to multiples of it.
    pub window: usize,
    /// What the network sees.
    pub colour: String,
    /// Choices of `--branches` that the file supports.
    pub branches: Vec<Branches>,
    /// Licence of the weights.
    pub licence: String,
    /// What it was trained on.
    pub training_data: String,
    /// SHA-256 of the float weights.
    pub weights_sha256: String,
    /// Which windows need which branches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<Thresholds>,
}

/// Thresholds on what there is to see in a window (`engine/detail.rs`), for efforts of 0, 10, ... 100.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Thresholds {
    /// From so many edges on it gets both branches.
    pub edges: [u32; 11],
    /// Else none below so much energy.
    pub energy: [u32; 11],
}

impl Thresholds {
    /// Both at an effort of at most 100; between two that are given, on the line.
    fn at(&self, effort: u8) -> [u32; 2] {
        let (index, part) = (usize::from(effort / 10).min(10), u64::from(effort % 10));
        [&self.edges, &self.energy].map(|table| {
            let (low, high) = (u64::from(table[index]), u64::from(table[(index + 1).min(10)]));
            ((low * (10 - part) + high * part) / 10) as u32
        })
    }

    /// Do they fall, and is nothing left out at 100?
    fn sound(&self) -> bool {
        let falls = |table: &[u32; 11]| table.is_sorted_by(|a, b| a >= b) && table[10] == 0;
        falls(&self.edges) && falls(&self.energy)
    }
}

/// Why a model cannot be used.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file cannot be read.
    #[error("cannot read model {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is damaged, or holds what is not supported; the reason names node and operator.
    #[error("model {name}: {reason}")]
    Parse {
        /// The model.
        name: String,
        /// Why.
        reason: String,
    },
    /// There is no model of that name.
    #[error("there is no model '{name}'; known are {known}; anything else is the path of an ONNX file")]
    Unknown {
        /// The name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// No model is named, and there is none in this build.
    #[error("this build has no models inside; name the file of one")]
    NoneEmbedded,
    /// The file does not say which windows need which branches.
    #[error("model {name} has no thresholds, which --branches auto needs; use both, or write them with models/route")]
    Thresholds {
        /// The model.
        name: String,
    },
    /// The file does not say how to run one branch alone.
    #[error("model {name} cannot run the {branches} branch alone")]
    Branches {
        /// The model.
        name: String,
        /// The branch asked for.
        branches: &'static str,
    },
}

/// The way that a network runs.
#[derive(Clone, Debug)]
enum Network {
    /// Integers, by the plan; and the file, for floats should the plan refuse it. Models inside the binary are not refused.
    Int8(Graph, Option<Arc<[u8]>>),
    /// Floats, by tract; and why not by the plan.
    Float(Box<FloatNetwork>, String),
}

/// A parsed model.
#[derive(Clone, Debug)]
pub struct Model {
    metadata: Metadata,
    network: Network,
    zeroed: serde_json::Map<String, serde_json::Value>,
}

impl Model {
    /// Names of the models inside the binary; none without the feature `models`. The first is the default, and the first of
    /// a scale that scale's.
    pub const EMBEDDED: &[&str] = embedded::NAMES;

    /// The default model.
    pub fn embedded() -> Result<Self, ModelError> {
        let name = Self::EMBEDDED.first().ok_or(ModelError::NoneEmbedded)?;
        Self::named(name)?.ok_or(ModelError::NoneEmbedded)
    }

    /// An embedded model by name; none if there is none of that name.
    pub fn named(name: &str) -> Result<Option<Self>, ModelError> {
        Self::embedded_onnx(name)?.map(|onnx| load::trusting(|| Self::read_file(name, &onnx, false))).transpose()
    }

    /// The default model of a scale; none if there is none of that scale.
    pub fn of_scale(scale: usize) -> Result<Option<Self>, ModelError> {
        embedded::of_scale(scale).map_or(Ok(None), Self::named)
    }

    /// The file of an embedded model; none if there is none of that name.
    pub fn embedded_onnx(name: &str) -> Result<Option<Vec<u8>>, ModelError> {
        embedded::onnx(name)
    }

    /// An embedded model by name, a file in a folder of models by name, or a file by its path. The folders are those that the
    /// variable `BIFOCAL_MODELS` names, and `/usr/share/bifocal/models`.
    pub fn find(model: &Path) -> Result<Self, ModelError> {
        match find(model)? {
            Place::Embedded(name) => Self::named(name)?.ok_or(ModelError::NoneEmbedded),
            Place::File(path) => Self::open(&path),
        }
    }

    /// Names and paths of the files in folders of models.
    pub fn files() -> Vec<(String, PathBuf)> {
        catalogue::files()
    }

    /// Reads a file.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        Self::parse(&path.display().to_string(), &Self::read(path)?)
    }

    /// The bytes of a file.
    pub(crate) fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
        std::fs::read(path).map_err(|source| ModelError::Read { path: path.display().to_string(), source })
    }

    /// Parses ONNX. `name` is for messages, and for a file that does not name itself.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, ModelError> {
        Self::read_file(name, bytes, true)
    }

    fn read_file(name: &str, bytes: &[u8], keep: bool) -> Result<Self, ModelError> {
        let fail = |reason: String| ModelError::Parse { name: name.to_string(), reason };
        let (network, texts) = load::fenced(name, || network(name, bytes, keep))?;
        let text = |key: &str| texts.get(key).cloned().unwrap_or_default();
        let scale = match &network {
            Network::Int8(graph, _) => graph.scale,
            Network::Float(network, _) => network.scale,
        };
        let zeroed = match texts.get("branches") {
            None => serde_json::Map::new(),
            Some(json) => {
                serde_json::from_str(json).map_err(|_| fail("metadata 'branches' is not a JSON object".into()))?
            }
        };
        let mut branches = vec![Branches::Both];
        branches.extend([Branches::Cnn, Branches::Transformer].into_iter().filter(|b| zeroed.contains_key(b.name())));
        let said = match texts.get("scale") {
            None => None,
            Some(text) => {
                let number = text.parse().ok().filter(|n| (1..=MOST_SCALE).contains(n));
                Some(number.ok_or_else(|| fail(format!("metadata says scale {text}, the network's is {scale}")))?)
            }
        };
        let thresholds = match texts.get("thresholds") {
            None => None,
            Some(json) => {
                let table: Option<Thresholds> = serde_json::from_str(json).ok();
                Some(table.filter(Thresholds::sound).ok_or_else(|| fail("metadata 'thresholds' are no such".into()))?)
            }
        };
        let named = text("name");
        let metadata = Metadata {
            name: if named.is_empty() { name.to_string() } else { named },
            scale,
            window: text("window").parse().unwrap_or(1),
            colour: if text("colour").is_empty() { network.sees().into() } else { text("colour") },
            branches,
            licence: text("licence"),
            training_data: text("training_data"),
            weights_sha256: text("weights_sha256"),
            thresholds,
        };
        let mut model = Self { metadata, network, zeroed };
        let range = texts.get("range").map(|t| t.parse()).transpose().map_err(|e| fail(format!("metadata: {e}")))?;
        let order = texts.get("order").map(|t| t.parse()).transpose().map_err(|e| fail(format!("metadata: {e}")))?;
        model.read_as(range, order, said).map_err(|e| fail(format!("metadata: {e}")))?;
        Ok(model)
    }

    /// What the file says of itself.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The network in integers, if the int8 plan takes it.
    #[doc(hidden)]
    pub fn graph(&self) -> Option<&Graph> {
        match &self.network {
            Network::Int8(graph, _) => Some(graph),
            Network::Float(..) => None,
        }
    }

    /// The network in floats, if the int8 plan does not take it.
    #[doc(hidden)]
    pub fn float(&self) -> Option<&FloatNetwork> {
        match &self.network {
            Network::Int8(..) => None,
            Network::Float(network, _) => Some(network),
        }
    }

    /// Gives the picture's numbers another meaning than was found. A scale, where the network has none of its own, says
    /// how much the picture is enlarged for it.
    pub(crate) fn read_as(
        &mut self,
        range: Option<Range>,
        order: Option<Order>,
        scale: Option<usize>,
    ) -> Result<(), String> {
        let (channels, own) = match &self.network {
            Network::Int8(graph, _) => (graph.channels, graph.scale),
            Network::Float(network, _) => (network.channels, network.scale),
        };
        if order.is_some() && channels == 1 {
            return Err("an order of colours, for a network that sees luma".into());
        }
        if let Some(scale) = scale.filter(|scale| *scale != own) {
            if own != 1 || !(1..=MOST_SCALE).contains(&scale) {
                return Err(format!("scale {scale}, for a network that enlarges {own} times itself"));
            }
            let reason = "it is given an enlarged picture".to_string();
            if let Some(float) = self.float_instead().map_err(|e| e.to_string())? {
                self.network = Network::Float(Box::new(float), reason);
            }
        }
        match &mut self.network {
            Network::Int8(graph, _) => {
                graph.range = range.unwrap_or(graph.range);
                graph.order = order.unwrap_or(graph.order);
            }
            Network::Float(network, _) => {
                network.range = range.unwrap_or(network.range);
                network.order = order.unwrap_or(network.order);
                network.enlarged = scale.map_or(network.enlarged, |scale| scale / own);
                self.metadata.scale = network.factor();
            }
        }
        Ok(())
    }

    /// The network in floats although it could be read in integers: for what the plan refuses. None if the file is not at hand.
    pub(crate) fn float_instead(&self) -> Result<Option<FloatNetwork>, ModelError> {
        let Network::Int8(graph, Some(file)) = &self.network else { return Ok(None) };
        let name = &self.metadata.name;
        let mut float = load::fenced(name, || {
            let mut proto = file::decode(file)?;
            file::plain(&mut proto)?;
            FloatNetwork::new(name, proto, file.len())
        })?;
        (float.range, float.order) = (graph.range, graph.order);
        Ok(Some(float))
    }

    /// The model as it runs when the plan refuses it for this reason.
    #[cfg_attr(not(feature = "cli"), expect(dead_code))]
    pub(crate) fn refused_by_plan(mut self, reason: String) -> Result<Self, ModelError> {
        if let Some(float) = self.float_instead()? {
            self.network = Network::Float(Box::new(float), reason);
        }
        Ok(self)
    }

    /// Why the int8 plan does not take the network; nothing if it does.
    #[doc(hidden)]
    pub fn why_float(&self) -> &str {
        match &self.network {
            Network::Int8(..) => "",
            Network::Float(_, why) => why,
        }
    }

    /// The thresholds on edges and energy.
    pub(crate) fn thresholds(&self, effort: u8) -> Result<[u32; 2], ModelError> {
        let missing = || ModelError::Thresholds { name: self.metadata.name.clone() };
        let table = self.metadata.thresholds.as_ref().ok_or_else(missing)?;
        Ok(table.at(effort))
    }

    /// Names of the tensors that count as zero when only `branches` run.
    pub(crate) fn zeroed(&self, branches: Branches) -> Result<Vec<&str>, ModelError> {
        if matches!(branches, Branches::Both | Branches::Auto) {
            return Ok(vec![]);
        }
        let missing = || ModelError::Branches { name: self.metadata.name.clone(), branches: branches.name() };
        let names = self.zeroed.get(branches.name()).and_then(|v| v.as_array()).ok_or_else(missing)?;
        names.iter().map(|n| n.as_str().ok_or_else(missing)).collect()
    }

    /// Bytes that the model holds on the heap, from parsing until it is dropped.
    pub fn bytes(&self) -> usize {
        let weights = |n: &Node| match &n.op {
            Op::Conv(w) => w.data.len() + size_of::<f32>() * (w.scales.len() + w.bias.len()),
            Op::Table(tables) => size_of_val(&**tables),
            _ => 0,
        };
        let node = |n: &Node| size_of::<Node>() + n.inputs.len() * size_of::<Input>() + weights(n);
        let (graph, file) = match &self.network {
            Network::Int8(graph, file) => (graph, file.as_ref().map_or(0, |file| file.len())),
            Network::Float(network, _) => return network.held_bytes(),
        };
        let nodes: usize = graph.nodes.iter().map(node).sum();
        file + nodes + graph.tensors.iter().map(|t| size_of::<Tensor>() + t.name.len()).sum::<usize>()
    }

    /// Weights and biases.
    pub fn parameters(&self) -> usize {
        let of = |n: &Node| match &n.op {
            Op::Conv(w) => w.data.len() + w.bias.len(),
            _ => 0,
        };
        match &self.network {
            Network::Int8(graph, _) => graph.nodes.iter().map(of).sum(),
            Network::Float(network, _) => network.parameters(),
        }
    }
}

impl Network {
    /// What it sees of a picture.
    fn sees(&self) -> &'static str {
        let (channels, order) = match self {
            Self::Int8(graph, _) => (graph.channels, graph.order),
            Self::Float(network, _) => (network.channels, network.order),
        };
        if channels == 1 { "luma" } else { order.name() }
    }
}

/// The network of a file, and its metadata.
fn network(name: &str, bytes: &[u8], keep: bool) -> Result<(Network, HashMap<String, String>), String> {
    let mut proto = file::decode(bytes)?;
    file::plain(&mut proto)?;
    let texts = proto.metadata_props.iter().map(|p| (p.key.clone(), p.value.clone())).collect();
    let quantised = proto.graph.iter().flat_map(|g| &g.node).any(|n| n.op_type == "QuantizeLinear");
    let why = match quantised {
        false => "its numbers are floats".to_string(),
        // A mistake of ours in reading must not take away the other way.
        true => match load::quietly(|| read::graph(&proto, bytes.len())) {
            Ok(graph) => return Ok((Network::Int8(graph, keep.then(|| bytes.into())), texts)),
            Err(why) => load::shown(&why),
        },
    };
    let float = FloatNetwork::new(name, proto, bytes.len())?;
    Ok((Network::Float(Box::new(float), why), texts))
}

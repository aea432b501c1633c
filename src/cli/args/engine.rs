//! Arguments of every command that runs a model: which, where and how.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::board::Machine;
use crate::cli::failure::Failure;
use crate::kernels::Level;
use crate::kernels::isa::TABLE;
use crate::memory::Budget;
use crate::model::{Branches, Order, Range};
use crate::tile::Tile;

/// How the engine runs.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct EngineArgs {
    #[command(flatten)]
    pub(in crate::cli) model: ModelArgs,

    /// Scale: without -m, the default model of that scale; with it, a check
    #[arg(short, long, value_name = "N")]
    pub(in crate::cli) scale: Option<usize>,

    #[command(flatten)]
    pub(in crate::cli) board: BoardArgs,

    /// Most memory that the engine may take, as 16MiB or 512k [default: the board's, or 32MiB]
    #[arg(long, value_name = "SIZE")]
    pub(in crate::cli) mem: Option<Budget>,

    /// Tile in input pixels: auto, or at most N on a side; the same bytes but for rounding of networks in floats
    #[arg(short, long, value_name = "auto|N", default_value = "auto")]
    pub(in crate::cli) tile: Tile,

    /// Threads, 1 to 16 [default: the board's, or one for each processor; fewer if the budget asks for it]
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(in crate::cli) threads: Option<u8>,

    /// Branches of the network to run: both, cnn, transformer, or auto: in each window what it needs [default: both]
    #[arg(long, value_name = "BRANCHES")]
    pub(in crate::cli) branches: Option<Branches>,

    /// How much `--branches auto` may compute, from 0, the bicubic filter alone, to 100, both branches everywhere; about so
    /// many percent of the multiply-adds on an ordinary photograph [default: 75]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(in crate::cli) effort: Option<u8>,

    /// What the model's numbers mean: 0..1, 0..255 or -1..1 [default: what its file says, or a probe finds]
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    pub(in crate::cli) model_range: Option<Range>,

    /// Order of the model's colours: rgb or bgr [default: what its file says, or rgb]
    #[arg(long, value_name = "ORDER")]
    pub(in crate::cli) model_order: Option<Order>,

    /// Factor by which pictures are enlarged for a model that keeps their size, as SRCNN and VDSR want it [default: what its
    /// file says, or 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=8))]
    pub(in crate::cli) model_scale: Option<u8>,

    /// Kernels [default: the best of this processor]
    #[arg(long, value_name = "LEVEL", value_parser = level_parser())]
    pub(in crate::cli) level: Option<Level>,
}

/// The names of the table of levels; only those of this processor are taken.
fn level_parser() -> impl TypedValueParser<Value = Level> {
    let names = TABLE.iter().map(|isa| PossibleValue::new(isa.name).help(isa.title));
    PossibleValuesParser::new(names).try_map(|name| Level::named(&name))
}

/// Which board this is.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct BoardArgs {
    /// Board whose defaults to use [default: what the device tree says]
    #[arg(long, value_name = "NAME", hide_possible_values = true)]
    #[arg(value_parser = PossibleValuesParser::new(crate::board::names()))]
    pub(in crate::cli) board: Option<String>,

    /// Folder that holds proc and sys; another one than / is for tests
    #[arg(long, value_name = "DIR", hide = true, default_value = "/")]
    root: PathBuf,
}

impl BoardArgs {
    /// The machine, by name or as it is.
    pub(in crate::cli) fn machine(&self) -> Result<Machine, Failure> {
        Machine::look(&self.root, self.board.as_deref()).map_err(|error| Failure::usage(error.to_string()))
    }
}

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct ModelArgs {
    /// Model by name, or the path of an ONNX file; names are those of `bifocal models list`
    #[arg(short, long, value_name = "NAME|PATH")]
    pub(in crate::cli) model: Option<PathBuf>,
}

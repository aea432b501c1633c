//! What `live` is to do: the command line, then the config, then the defaults of the board.

use std::path::Path;

use clap::ValueEnum;

use super::args::{Compare, Live, Policy, parse_deadline};
use super::failure::{Code, Failure};
use crate::board::{Config, FileError, names};
use crate::io::{SinkUri, SourceUri, parse_duration};
use crate::kernels::Level;
use crate::live::InfoText;
use crate::model::Branches;

/// A config is a page of text at most.
const LONGEST: u64 = 64 << 10;

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self::usage(error.to_string())
    }
}

/// `args` with everything that they do not say filled in; source and sink are there.
pub(super) fn resolve(args: &Live) -> Result<Live, Failure> {
    let mut args = args.clone();
    if let Some(path) = args.config.clone() {
        merge(&mut args, &read(&path)?)?;
    }
    if args.source.is_none() || args.sink.is_none() {
        let machine = args.engine.board.machine()?;
        let (name, defaults) = (&machine.board.name, &machine.board.defaults);
        let missing = |what: &str| {
            Failure::usage(format!(
                "{what} is missing, and the board ({name}) has no default; see 'bifocal live --help'"
            ))
        };
        args.source = Some(args.source.or_else(|| defaults.source.clone()).ok_or_else(|| missing("SOURCE_URI"))?);
        args.sink = Some(args.sink.or_else(|| defaults.sink.clone()).ok_or_else(|| missing("SINK_URI"))?);
    }
    if args.deadline.is_some() {
        let branches = *args.engine.branches.get_or_insert(Branches::Auto);
        if branches != Branches::Auto {
            return Err(Failure::usage("--deadline is for --branches auto"));
        }
    }
    Ok(args)
}

fn read(path: &Path) -> Result<Config, Failure> {
    use std::io::Read;
    let name = path.display().to_string();
    let mut text = String::new();
    let file = std::fs::File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text));
    file.map_err(|error| Failure::new(Code::Usage, format!("{name}: {error}")))?;
    if text.len() as u64 > LONGEST {
        return Err(Failure::usage(format!("{name}: longer than {LONGEST} bytes; this is no config")));
    }
    Ok(Config::parse(&name, &text)?)
}

/// Everything in the config is judged, also what the command line rules over.
fn merge(args: &mut Live, config: &Config) -> Result<(), FileError> {
    let source = config.value(&config.source, |text| text.parse::<SourceUri>().map(|_| text.to_string()))?;
    let sink = config.value(&config.sink, |text| text.parse::<SinkUri>().map(|_| text.to_string()))?;
    let board = config.value(&config.board, |name| match names().any(|known| known == name) {
        true => Ok(name.to_string()),
        false => Err(format!("'{name}' is not one of {}", names().collect::<Vec<_>>().join(", "))),
    })?;
    let drop = config.value(&config.drop, choice::<Policy>)?;
    let still = config.value(&config.still, str::parse)?;
    let deadline = config.value(&config.deadline, parse_deadline)?;
    let compare = config.value(&config.compare, choice::<Compare>)?;
    let info_text = config.value(&config.info_text, |text| text.parse::<InfoText>().map(|_| text.to_string()))?;
    let stats = config.value(&config.stats, parse_duration)?;
    let level = config.value(&config.level, Level::named)?;
    let branches = config.value(&config.branches, str::parse)?;
    let model = config.model.as_ref().map(|entry| entry.text.clone().into());

    let engine = &mut args.engine;
    engine.board.board = engine.board.board.take().or(board);
    engine.model.model = engine.model.model.take().or(model);
    engine.mem = engine.mem.or(config.memory);
    engine.threads = engine.threads.or(config.threads);
    engine.level = engine.level.or(level);
    engine.branches = engine.branches.or(branches);
    args.source = args.source.take().or(source);
    args.sink = args.sink.take().or(sink);
    args.queue = args.queue.or(config.queue);
    args.drop = args.drop.or(drop);
    args.still = args.still.or(still);
    args.deadline = args.deadline.or(deadline);
    args.compare = args.compare.or(compare);
    args.info_text = args.info_text.take().or(info_text);
    args.stats = args.stats.or(stats);
    Ok(())
}

fn choice<T: ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, false).map_err(|_| {
        let known =
            T::value_variants().iter().filter_map(|value| Some(value.to_possible_value()?.get_name().to_string()));
        format!("'{text}' is not one of {}", known.collect::<Vec<_>>().join(", "))
    })
}

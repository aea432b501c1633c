//! The properties, with the names and texts of the command's options.

use bifocal::{BadBudget, Branches, Budget, DEFAULT_EFFORT, Level, MOST_THREADS, Model, Options, Threads};
use gst::glib::{self, prelude::*};
use gst::prelude::*;

/// Branches of the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstBifocalBranches")]
#[repr(i32)]
pub enum Choice {
    /// Both, as trained.
    #[default]
    #[enum_value(name = "Both, as trained", nick = "both")]
    Both,
    /// One of them.
    #[enum_value(name = "The CNN branch alone", nick = "cnn")]
    Cnn,
    /// The other.
    #[enum_value(name = "The Transformer branch alone", nick = "transformer")]
    Transformer,
    /// By the picture.
    #[enum_value(name = "In each window of the picture what it needs", nick = "auto")]
    Auto,
}

impl From<Choice> for Branches {
    fn from(choice: Choice) -> Self {
        match choice {
            Choice::Both => Self::Both,
            Choice::Cnn => Self::Cnn,
            Choice::Transformer => Self::Transformer,
            Choice::Auto => Self::Auto,
        }
    }
}

/// What the properties say. Texts are read when an engine is prepared, where an error can be told.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The default one, where there is no name.
    pub model: Option<String>,
    mem: Option<String>,
    threads: u32,
    level: Option<String>,
    branches: Choice,
    effort: Option<u8>,
}

/// Which engine a property is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Another model, with the next start.
    Model,
    /// The same model, from the next frame on.
    Engine,
}

impl Settings {
    /// The properties, but for those that are only read.
    pub fn specs() -> Vec<glib::ParamSpec> {
        let model = format!("Model by name ({}), or the path of an ONNX file", Model::EMBEDDED.join(", "));
        let levels = Level::all().iter().map(|level| level.name()).collect::<Vec<_>>().join(", ");
        let level = format!("Kernels; this processor has {levels}; none: the best of them");
        let threads = "Threads; 0: one for each processor, fewer if the budget asks for it";
        let branches = "Branches of the network to run";
        let effort = "How much branches=auto may compute, from 0, the bicubic filter alone, to 100, both branches everywhere; \
             about so many percent of the multiply-adds on an ordinary photograph";
        let mem = "Most memory that the engine may take, as 16MiB or 512k";
        vec![
            glib::ParamSpecString::builder("model")
                .nick("Model")
                .blurb(&model)
                .default_value(Model::EMBEDDED.first().copied())
                .mutable_ready()
                .build(),
            glib::ParamSpecString::builder("mem")
                .nick("Memory")
                .blurb(mem)
                .default_value(Some("32MiB"))
                .mutable_playing()
                .build(),
            glib::ParamSpecUInt::builder("threads")
                .nick("Threads")
                .blurb(threads)
                .maximum(MOST_THREADS as u32)
                .mutable_playing()
                .build(),
            glib::ParamSpecString::builder("level").nick("Level").blurb(&level).mutable_playing().build(),
            glib::ParamSpecEnum::builder::<Choice>("branches")
                .nick("Branches")
                .blurb(branches)
                .mutable_playing()
                .build(),
            glib::ParamSpecUInt::builder("effort")
                .nick("Effort")
                .blurb(effort)
                .maximum(100)
                .default_value(DEFAULT_EFFORT.into())
                .mutable_playing()
                .build(),
        ]
    }

    /// Takes the value of a property over; none is what it was.
    pub fn set(&mut self, name: &str, value: &glib::Value) -> Option<Change> {
        let text = || value.get::<Option<String>>().ok().flatten().filter(|text| !text.is_empty());
        match name {
            "model" => self.model = text(),
            "mem" => self.mem = text(),
            "threads" => self.threads = value.get().unwrap_or_default(),
            "level" => self.level = text(),
            "branches" => self.branches = value.get().unwrap_or_default(),
            "effort" => self.effort = value.get::<u32>().ok().and_then(|effort| effort.try_into().ok()),
            _ => return None,
        }
        Some(if name == "model" { Change::Model } else { Change::Engine })
    }

    /// The value of a property.
    pub fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "model" => self.model.as_deref().or(Model::EMBEDDED.first().copied()).to_value(),
            "mem" => self.mem.as_deref().unwrap_or("32MiB").to_value(),
            "threads" => self.threads.to_value(),
            "level" => self.level.to_value(),
            "branches" => self.branches.to_value(),
            "effort" => u32::from(self.effort.unwrap_or(DEFAULT_EFFORT)).to_value(),
            _ => return None,
        })
    }

    /// Threads that were asked for.
    pub fn threads(&self) -> Threads {
        if self.threads > 0 { Threads::Fixed(self.threads as usize) } else { Threads::default() }
    }

    /// `options` with what the properties say.
    ///
    /// # Errors
    ///
    /// A line that names the property.
    pub fn apply(&self, options: Options) -> Result<Options, String> {
        let mut options = options.with_branches(self.branches.into());
        if let Some(mem) = &self.mem {
            options.budget = mem.parse().map_err(|error: BadBudget| format!("mem: {error}"))?;
        } else {
            options.budget = Budget::default();
        }
        if let Some(level) = &self.level {
            options.level = Level::named(level).map_err(|error| error.to_string())?;
        }
        if let Some(effort) = self.effort {
            if self.branches != Choice::Auto {
                return Err("effort is for branches=auto".into());
            }
            options.effort = effort;
        }
        Ok(options)
    }
}

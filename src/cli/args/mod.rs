//! Arguments. Names follow what users of the field already type.

mod engine;
mod live;
#[cfg(unix)]
mod video;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(super) use engine::{BoardArgs, EngineArgs};
pub(super) use live::{Compare, Deadline, Live, OnError, Policy, parse_deadline};
#[cfg(unix)]
pub(super) use video::{Video, VideoCodec};

use super::shard::Shard;
use crate::geom::Size;
use crate::io::{Encoding, MAX_SIDE, parse_duration};

/// Upscales pictures with a small neural network, inside a fixed memory budget.
#[derive(Debug, Parser)]
#[command(name = "bifocal", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,

    /// Say more; twice, say everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,

    /// Say nothing but errors, show no progress
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
}

const EXAMPLES: &str = "\
Examples:
  bifocal upscale photo.jpg large.png           one picture
  bifocal upscale album/ large/                 every picture of a folder
  bifocal upscale --mem 16MiB huge.png out.png  row by row, in 16 MiB
  bifocal video movie.mkv movie-x2.mkv          a video with its sound, through ffmpeg
  bifocal plan --size 1920x1080 --mem 16MiB     what it will take, without running
  bifocal bench --size 640x360                  how fast this machine is
  bifocal doctor                                what this board offers, and what is in the way

Exit codes: 0 done, 1 failed, 2 command line or input is wrong, 3 memory budget too small";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Upscale a picture, a folder of pictures, or a pipe
    Upscale(Upscale),
    /// Upscale a video file, with its sound and everything else in it
    #[cfg(unix)]
    Video(Video),
    /// Upscale video as it comes: a camera, a stream, a file, a pipe, a test picture
    Live(Live),
    /// Print the tile and memory plan, run nothing
    Plan(Plan),
    /// List, inspect or verify models
    Models(Models),
    /// Measure PSNR and SSIM on a folder of high-resolution pictures
    Eval(Eval),
    /// Measure the latency of a frame on this machine
    Bench(Bench),
    /// Say what this board offers and what is in the way
    Doctor(Doctor),
    /// Write the manual and shell completions, for packages
    #[command(hide = true)]
    Generate {
        /// Folder to write them into
        folder: PathBuf,
    },
}

const UPSCALE_EXAMPLES: &str = "\
Examples:
  bifocal upscale in.png out.png
  bifocal upscale in.png                        to in-x2.png
  bifocal upscale -r --resume album/ large/     what an earlier run has not finished, folders inside too
  bifocal upscale --resume --shard 2/4 album/ large/    this machine's quarter of a folder that all see
  bifocal upscale -i in.jpg -o out.jpg -j 4
  bifocal upscale album/ large/ -f png
  curl -s URL | bifocal upscale - - -f ppm | magick ppm:- out.tif

PNG, PPM and PGM are read and written row by row, in any height. JPEG, WebP, BMP, TIFF, GIF and interlaced PNG are
held whole, and count against --mem as long as that leaves 64 MiB of it. An output file appears once it is complete;
the input is never overwritten. ICC profile, EXIF and resolution are kept where the format can hold them, and so are
16 bits. Animated GIF, PNG and WebP become animated GIF or PNG, picture by picture. Without OUTPUT, photo.jpg becomes
photo-x2.jpg beside it (a format that cannot be written, .png), and album becomes album-x2.";

#[derive(Debug, Args)]
#[command(after_help = UPSCALE_EXAMPLES)]
pub(super) struct Upscale {
    /// Picture or folder to read; - is standard input
    #[arg(value_name = "INPUT", required_unless_present = "input_flag", conflicts_with = "input_flag")]
    input: Option<OsString>,

    /// Picture or folder to write; - is standard output [default: photo-x2.jpg beside photo.jpg, album-x2 beside album]
    #[arg(value_name = "OUTPUT", conflicts_with = "output_flag")]
    output: Option<OsString>,

    /// Same as INPUT
    #[arg(short = 'i', long = "input", value_name = "INPUT")]
    input_flag: Option<OsString>,

    /// Same as OUTPUT
    #[arg(short = 'o', long = "output", value_name = "OUTPUT")]
    output_flag: Option<OsString>,

    /// Format of the output: png, ppm, pgm, pnm, jpg, webp, bmp, tif [default: by name; png for a pipe]
    #[arg(short = 'f', long, value_name = "FORMAT")]
    pub(super) format_out: Option<Encoding>,

    /// Enter the folders inside a folder too, each once; the output has the same folders
    #[arg(short = 'r', long)]
    pub(super) recursive: bool,

    /// Leave out what is finished: an output that is no older than its input, of the right size, and can be read to its end
    #[arg(long)]
    pub(super) resume: bool,

    /// Of a folder only the i-th of n parts, split by name, so that many machines share it: i/n, or auto in a Slurm array, or
    /// auto/n in a Kubernetes indexed job
    #[arg(long, value_name = "SHARD")]
    pub(super) shard: Option<Shard>,

    /// What becomes of a folder when a picture fails: skip it (and end with 1 after the others), or stop there [default: skip]
    #[arg(long, value_enum, value_name = "HOW")]
    pub(super) on_error: Option<OnPictureError>,

    #[command(flatten)]
    pub(super) engine: EngineArgs,

    /// What to print on standard output when done
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

impl Upscale {
    /// INPUT and OUTPUT, however they were written.
    pub(super) fn places(&self) -> (OsString, Option<OsString>) {
        let given = |a: &Option<OsString>, b: &Option<OsString>| a.clone().or_else(|| b.clone());
        (given(&self.input, &self.input_flag).unwrap_or_default(), given(&self.output, &self.output_flag))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OnPictureError {
    /// Go on with the others
    Skip,
    /// End there
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum TableFormat {
    Text,
    Json,
    Csv,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bifocal plan --size 1920x1080 --mem 16MiB
  bifocal plan photo.png --format json")]
pub(super) struct Plan {
    /// Picture to plan for
    #[arg(value_name = "INPUT", required_unless_present = "size", conflicts_with = "size")]
    pub(super) input: Option<OsString>,

    /// Size of the frame to plan for, as 640x360
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    pub(super) size: Option<Size>,

    #[command(flatten)]
    pub(super) engine: EngineArgs,

    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bifocal models list
  bifocal models inspect ctnet-tiny-x2 --format json
  bifocal models verify mine.onnx")]
pub(super) struct Models {
    #[command(subcommand)]
    pub(super) command: ModelsCommand,

    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    pub(super) format: Format,
}

#[derive(Debug, Subcommand)]
pub(super) enum ModelsCommand {
    /// Models inside this program, then those in the folders of BIFOCAL_MODELS and in /usr/share/bifocal/models
    List,
    /// What a model says of itself
    Inspect {
        /// Name or path [default: the built-in default]
        model: Option<PathBuf>,
    },
    /// Run a model at every level and in two tilings; all must give the same bytes
    Verify {
        /// Name or path [default: the built-in default]
        model: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bifocal eval Set5/
  bifocal eval Set14/ --format csv > set14.csv

Each picture is shrunk by antialiased bicubic (Matlab's imresize) and upscaled as `bifocal upscale` does; the luma of the
result is compared on BT.601 studio swing (grey pictures as they are) with a border of `scale` pixels cut.")]
pub(super) struct Eval {
    /// Folder of high-resolution pictures
    pub(super) folder: PathBuf,

    #[command(flatten)]
    pub(super) engine: EngineArgs,

    /// How to print
    #[arg(long, value_enum, default_value_t = TableFormat::Text)]
    pub(super) format: TableFormat,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bifocal bench
  bifocal bench --size 1280x720 -j 4 --num-runs 50 --format json
  bifocal bench --profile
  bifocal bench --duration 10m --cooldown 50 --report report.html
  bifocal bench --format json > old.json; bifocal bench --compare old.json")]
pub(super) struct Bench {
    /// Size of the input frame
    #[arg(long, value_name = "WxH", default_value = "640x360", value_parser = parse_size)]
    pub(super) size: Size,

    /// Measure the frames of this Y4M file, over again, in the place of a made picture: what windows need depends on what they
    /// show
    #[arg(long, value_name = "FILE.Y4M", conflicts_with = "size")]
    pub(super) scene: Option<PathBuf>,

    /// Frames before measuring
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) warmup_runs: usize,

    /// Measured frames
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = parse_runs)]
    pub(super) num_runs: usize,

    /// Stop measuring after this many seconds
    #[arg(long, value_name = "S", default_value_t = 20)]
    pub(super) max_secs: u64,

    /// Measure for this long instead, as 10m, and show how speed and temperature change
    #[arg(long, value_name = "TIME", value_parser = parse_duration, conflicts_with_all = ["num_runs", "max_secs"])]
    pub(super) duration: Option<Duration>,

    /// Wait until the processor is as cool as this, in degrees Celsius
    #[arg(long, value_name = "CELSIUS", value_parser = parse_celsius)]
    pub(super) cooldown: Option<f64>,

    /// Longest such wait; then measure all the same
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "5m", requires = "cooldown")]
    pub(super) cooldown_limit: Duration,

    /// Write a page with charts, all in one HTML file
    #[arg(long, value_name = "REPORT.HTML")]
    pub(super) report: Option<PathBuf>,

    /// Pixels of the frame
    #[arg(long, value_enum, default_value_t = Pixels::Rgb)]
    pub(super) pixels: Pixels,

    /// Take the time of each Step, too, and its share of the peak; not with --format csv. A convolution that is computed with
    /// fewer multiply-adds than it has may be above the peak
    #[arg(long)]
    pub(super) profile: bool,

    /// Result of an earlier run, made by --format json, to compare with; not with --format csv
    #[arg(long, value_name = "OLD.JSON")]
    pub(super) compare: Option<PathBuf>,

    #[command(flatten)]
    pub(super) engine: EngineArgs,

    /// How to print
    #[arg(long, value_enum, default_value_t = TableFormat::Text)]
    pub(super) format: TableFormat,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bifocal doctor
  bifocal doctor --format json
  bifocal doctor --board rpi4        as if this were one

Each line says ok, warn or fail, and the line below what mends it. The exit code is 1 if anything fails.")]
pub(super) struct Doctor {
    #[command(flatten)]
    pub(super) board: BoardArgs,

    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

/// Pixels of the frame that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Pixels {
    /// Luma only: the network and nothing else
    Gray,
    /// With colour, as pictures have it
    Rgb,
}

fn parse_size(text: &str) -> Result<Size, String> {
    let sides = text.split_once(['x', 'X']);
    match sides.map(|(width, height)| (width.parse(), height.parse())) {
        Some((Ok(w), Ok(h))) if (1..=MAX_SIDE).contains(&w) && (1..=MAX_SIDE).contains(&h) => Ok(Size::new(w, h)),
        _ => Err(format!("write WIDTHxHEIGHT, each from 1 to {MAX_SIDE}")),
    }
}

fn parse_celsius(text: &str) -> Result<f64, String> {
    let degrees: Option<f64> = text.parse().ok();
    degrees
        .filter(|degrees| (0.0..=150.0).contains(degrees))
        .ok_or_else(|| "write degrees Celsius, from 0 to 150".into())
}

fn parse_runs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if (1..=1_000_000).contains(&n) => Ok(n),
        _ => Err("write a number from 1 to 1000000".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_size("640x360"), Ok(Size::new(640, 360)));
        for bad in ["", "640", "0x1", "1x", "x", "1x2x3", "-1x2", "100000x1"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn both_ways_to_name_files() {
        let parse = |words: &[&str]| Cli::try_parse_from([&["bifocal", "upscale"], words].concat());
        for words in [&["a.png", "b.png"][..], &["-i", "a.png", "-o", "b.png"]] {
            let Ok(Cli { command: Command::Upscale(args), .. }) = parse(words) else { panic!("{words:?}") };
            assert_eq!(args.places(), ("a.png".into(), Some("b.png".into())));
        }
        for words in [&["a.png"][..], &["-i", "a.png"]] {
            let Ok(Cli { command: Command::Upscale(args), .. }) = parse(words) else { panic!("{words:?}") };
            assert_eq!(args.places(), ("a.png".into(), None));
        }
        assert!(parse(&["-", "-"]).is_ok());
        for words in [&[][..], &["-o", "b.png"], &["a.png", "-i", "b", "-o", "c"], &["a.png", "b.png", "-o", "c"]] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }
}

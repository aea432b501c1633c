//! Arguments of `live`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{EngineArgs, Format};
use crate::engine::Tolerance;
use crate::io::parse_duration;

const LIVE_EXAMPLES: &str = "\
Examples:
  bifocal live --list
  bifocal live 'v4l2:///dev/video0?width=640&height=360' drm:// --stats 1s
  bifocal live clip.y4m large.y4m
  bifocal live file://movie.mp4 drm://
  bifocal live rtsp://camera/stream drm:// --stats 1s
  bifocal live 'test://bars?width=320&height=180' null:// --stats 1s --duration 10s
  bifocal live file://frames/%05d.png 'file://large/%05d.png'
  bifocal live csi://0 drm:// --info-text '%fps %lat %temp %drop'
  bifocal live csi://0 'spi://0.0?panel=ili9341&dc=24&reset=25&rotate=90&fit=contain'
  bifocal live csi://0 http://127.0.0.1:8080/
  bifocal live --config /etc/bifocal.toml
  ssh camera rpicam-vid --codec yuv420 -t 0 --width 640 --height 360 -o - |
    bifocal live '-?format=yuv420p&range=full&width=640&height=360' - | ffplay -

Sources: v4l2:///dev/video0 (?width=&height=&fps=&format=auto|nv12|yuv420p|yuyv|uyvy|mjpeg|gray&input=), csi://0 (the
board's own camera; ?width=&height=&fps=&stride=&command=, which comes last, is all the rest and writes planes of YUV
4:2:0), test://bars, rtsp://, rtsps://, http://, https:// (through ffmpeg; all of the URL is the server's, and a stream that
breaks off is taken up again), file:// (Y4M, and with ffmpeg any video; sound is for `bifocal video`), - (Y4M); file:// and -
raw with ?format=nv12|yuv420p|yuv422p|yuv444p|yuyv|uyvy|gray|rgb24&width=&height=; numbered pictures (?start=). Options, but of streams: fps=, matrix=bt601|bt709, range=limited|full: of YUV, what it is; of
RGB, what Y4M and raw planes are made of it.
Sinks: drm://card0/HDMI-A-1 or drm:// (?mode=1280x720@60&fit=none|contain|cover&format=xr24|rg16; a display without a
desktop), fb:///dev/fb0 (?fit=; a framebuffer of the kernel), spi://0.0 (?panel=ili9341|st7735|st7789&dc=LINE; more:
reset=LINE, backlight=LINE, chip=gpiochip0, speed=HZ, rotate=90|180|270, fit=, width=, height=, offset=X,Y,
mirror=on|off, invert=on|off, order=rgb|bgr), v4l2:///dev/video10 (v4l2loopback),
http://127.0.0.1:8080/ (?viewers=4&quality=85; a page with before and after for browsers; addresses that other machines
reach need token=, of 16 letters and digits or more), file://NAME.y4m, - (raw with
?format=), numbered pictures (?start=; without it, numbers are those of the source), null:// (?delay=20ms). Y4M and raw
take matrix= and range=. An option that would change nothing is an error. In names, %3F is ? and %25 is %. q, Ctrl-C
and SIGTERM end cleanly; a second time, at once. A recording of a live source keeps time: where frames are dropped, the
one before is written again.

A config is TOML with any of: source, sink, model, board, level, branches, still, deadline, drop, compare, info-text,
stats (as text), memory (\"32MiB\"), threads, queue (numbers). The command line rules over it, and it over the board's defaults.";

#[derive(Clone, Debug, Args)]
#[command(after_help = LIVE_EXAMPLES)]
pub(in crate::cli) struct Live {
    /// Where frames come from [default: the config's, or the board's]
    #[arg(value_name = "SOURCE_URI", allow_hyphen_values = true)]
    pub(in crate::cli) source: Option<String>,

    /// Where frames go to [default: the config's, or the board's]
    #[arg(value_name = "SINK_URI", allow_hyphen_values = true)]
    pub(in crate::cli) sink: Option<String>,

    /// File that says what the command line does not, as /etc/bifocal.toml
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) config: Option<PathBuf>,

    /// List cameras with formats, displays with modes, and what cannot be used with its reason; then end
    #[arg(long, conflicts_with_all = ["source", "config"])]
    pub(in crate::cli) list: bool,

    #[command(flatten)]
    pub(in crate::cli) engine: EngineArgs,

    /// Frames that may wait for the network, 1 to 16 [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(in crate::cli) queue: Option<u8>,

    /// Which frame goes when the queue is full [default: oldest for live sources, never for files and pipes]
    #[arg(long, value_enum, value_name = "WHICH")]
    pub(in crate::cli) drop: Option<Policy>,

    /// From a sequence of pictures to another: leave out what is finished, by the rule of `upscale`
    #[arg(long)]
    pub(in crate::cli) resume: bool,

    /// Leave windows as they are that stand still: off, auto (what differs by no more than noise), or within N levels; 0 is exact
    /// [default: auto for cameras, else 0 where the budget has room for it]
    #[arg(long, value_name = "off|auto|N")]
    pub(in crate::cli) still: Option<Standing>,

    /// Time that a frame may take, as 33ms, or fps: that between frames of the source. Where `--branches auto`, which this
    /// implies, would take longer, less is computed, the hardest windows first; what stands still is made up for
    #[arg(long, value_name = "TIME|fps", value_parser = parse_deadline)]
    pub(in crate::cli) deadline: Option<Deadline>,

    /// What becomes of pictures and frames that are damaged or missing; skipped and repeated ones are counted [default: stop]
    #[arg(long, value_enum, value_name = "HOW")]
    pub(in crate::cli) on_error: Option<OnError>,

    /// Print statistics on standard error this often, as 1s
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(in crate::cli) stats: Option<Duration>,

    /// End after this time, as 10s
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(in crate::cli) duration: Option<Duration>,

    /// End after so many frames of the source
    #[arg(long, value_name = "N")]
    pub(in crate::cli) frames: Option<u64>,

    /// How long to wait for a camera or stream that has gone, as 30s; 0s ends at once [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(in crate::cli) reconnect: Option<Duration>,

    /// Make frames of the fields of interlaced video, which is refused otherwise
    #[arg(long)]
    pub(in crate::cli) deinterlace: bool,

    /// Show the bicubic filter on the left half (split), or what windows get (map): both branches are framed in red, one in
    /// yellow, none in blue
    #[arg(long, value_enum, value_name = "HOW")]
    pub(in crate::cli) compare: Option<Compare>,

    /// Write this on the picture; %fps, %lat (median latency), %temp (processor), %drop (frames) and %effort are numbers
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(in crate::cli) info_text: Option<String>,

    /// How to print statistics, on standard error, and the list
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(in crate::cli) format: Format,
}

/// Which windows count as still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Standing(pub(in crate::cli) Option<Tolerance>);

impl FromStr for Standing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self(None)),
            "auto" => Ok(Self(Some(Tolerance::Noise))),
            _ => match text.parse() {
                Ok(levels) => Ok(Self(Some(Tolerance::Levels(levels)))),
                Err(_) => Err("write off, auto, or levels from 0 to 255".into()),
            },
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Policy {
    Oldest,
    Newest,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum OnError {
    /// End there; what came before is kept
    Stop,
    /// Leave it out
    Skip,
    /// The frame before takes its place
    Repeat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Compare {
    Split,
    Map,
}

/// What a frame may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Deadline {
    /// So long.
    Time(Duration),
    /// As long as it is until the next.
    Fps,
}

pub(in crate::cli) fn parse_deadline(text: &str) -> Result<Deadline, String> {
    match text {
        "fps" => Ok(Deadline::Fps),
        _ => match parse_duration(text) {
            Ok(time) if !time.is_zero() => Ok(Deadline::Time(time)),
            _ => Err("write a time, as 33ms, or fps".into()),
        },
    }
}

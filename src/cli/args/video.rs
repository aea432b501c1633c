//! Arguments of `video`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{EngineArgs, Format};

const VIDEO_EXAMPLES: &str = "\
Examples:
  bifocal video movie.mkv movie-x2.mkv
  bifocal video phone.mp4 phone-x2.mp4 --codec x265
  bifocal video movie.mkv movie-x2.mkv --ffmpeg-out '-crf 16 -preset slow'
  bifocal video --resume movie.mkv movie-x2.mkv     goes on after a crash, a power cut or Ctrl-C
  bifocal video --deinterlace tape.vob tape-x2.mkv

Reads and writes through the programs ffmpeg and ffprobe, which must be installed (5.1 or newer) and take memory of their
own beside --mem. OUTPUT is .mkv, .mp4, .m4v, .mov, .webm, .nut, .ts or .avi; it is written when all frames are
made, and takes the place of one that was there. Where INPUT breaks off, or damage ends it before its length, it has what came
before, with exit code 2; of damage within it there is a line.

What is kept: sound, subtitles, chapters, attachments and other streams as they are, bit for bit; metadata; the time stamp of
every frame, to the tick where OUTPUT has the ticks of INPUT (.mp4, .mov), in .mkv to its millisecond; shape of pixels,
primaries, matrix, transfer, range, place of chroma. How a phone's picture is to be turned stays a note in .mp4 and .mov;
elsewhere the picture itself is turned. x265 keeps what HDR10 says of screen and light. Not kept: other metadata of HDR
(HDR10+, Dolby Vision), and closed captions inside the video. Whenever INPUT begins, OUTPUT begins at 0, as with ffmpeg itself.
A picture whose size changes on the way is brought to the size that it begins with.

The network sees 8 bits. 10 bits in (4:2:0, 4:2:2, 4:4:4, grey) are 10 bits out: the bicubic filter enlarges all of them,
chroma and luma, and what the network adds to luma is added in steps of 8 bits, without those that rounding makes.

Until it is complete, there is a folder OUTPUT.parts with parts of 250 frames, each encoded by itself. --resume goes on at
the first that is not whole; the result is that of a run at once. What is complete and no older than INPUT is left as it is
by --resume.

Ctrl-C, TERM, HUP or q end early: OUTPUT has what was done until then, --resume still goes on, and the exit code is that of
the signal (130, 143, 129; 130 after q). A second one ends at once: no OUTPUT, the parts stay. Once all frames are made, a
first one comes too late: OUTPUT is complete soon, and the exit code 0. What is not all of INPUT takes the place of nothing
but less of the same: a complete OUTPUT that was there before stays.";

#[derive(Debug, Args)]
#[command(after_help = VIDEO_EXAMPLES)]
pub(in crate::cli) struct Video {
    /// Video file to read
    #[arg(value_name = "INPUT")]
    pub(in crate::cli) input: PathBuf,

    /// Video file to write; its ending says which kind
    #[arg(value_name = "OUTPUT")]
    pub(in crate::cli) output: PathBuf,

    /// What to encode with [default: x264, for more than 8 bits x265, for .webm av1]
    #[arg(long, value_enum, value_name = "CODEC")]
    pub(in crate::cli) codec: Option<VideoCodec>,

    /// More options of ffmpeg for the encoder, quoted as in a shell, as '-crf 16 -preset slow'
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
    pub(in crate::cli) ffmpeg_out: Option<String>,

    /// Make frames of the fields of interlaced video, which is refused otherwise
    #[arg(long)]
    pub(in crate::cli) deinterlace: bool,

    /// Go on with what an earlier run has not finished
    #[arg(long)]
    pub(in crate::cli) resume: bool,

    #[command(flatten)]
    pub(in crate::cli) engine: EngineArgs,

    /// What to print on standard output when done
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(in crate::cli) format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum VideoCodec {
    /// H.264, which everything plays; quality 18
    X264,
    /// H.265: smaller files, slower; quality 20
    X265,
    /// AV1 by SVT: 4:2:0 only; quality 28
    Av1,
    /// FFV1: nothing is lost, large files
    Ffv1,
    /// That of the source, if it is one of these
    CopyOfSource,
}

//! Bifocal upscales photos, video and camera feeds on small ARM boards, inside a fixed memory budget.
//!
//! It runs CTNet, a network with two branches: one of convolutions that sees local texture, one of window
//! attention that sees structure, fused by learnt weights. The network is an ordinary int8 ONNX file in QDQ form.
//!
//! ```
//! use bifocal::{Budget, Engine, Model, Options, PixelFormat, Size};
//!
//! let model = Model::open("models/ctnet-tiny-x2.onnx".as_ref())?;
//! let options = Options::new(Size::new(40, 30), PixelFormat::Rgb8).with_budget(Budget::mib(4));
//! let mut engine = Engine::prepare(&model, &options)?; // plans, allocates, validates
//! drop(model); // the engine has what it needs
//! let mut upscaled = Vec::new();
//! for _ in 0..30 {
//!     let row = [128; 3 * 40];
//!     engine.push(&row, |out| Ok::<(), std::io::Error>(upscaled.extend_from_slice(out)))?; // allocates nothing itself
//! }
//! assert_eq!(upscaled.len(), 80 * 60 * 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Rows go in and come out with [`Engine::push`]; [`Engine::upscale`] takes whole frames in the caller's memory, strided and
//! planar ones too, and writes to memory of the caller's. `examples/` has a program for each.
//!
//! # Features
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `cli` (default) | the `bifocal` program: files, cameras and displays, live video, benchmarks, reports |
//! | `models` (default) | the networks of `models/`, inside the binary: [`Model::embedded`], [`Model::named`] |
//! | `v4l2`, `drm`, `spi` (default) | drivers of the program; each implies `cli` |
//!
//! Without any of them the library reads models from files or memory, and upscales.
//!
//! # The way of a frame
//!
//! PREPARE happens once, may allocate, and validates everything:
//!
//! ```text
//! ONNX file -> model: Graph -> plan: fused integer Steps
//! frame size + budget -> tile: strips or tiles -> memory: Arena (one block)
//! ```
//!
//! FRAME happens for ever and allocates nothing: rows go in; a *pass* visits every Step once and lets it make the
//! rows whose inputs are there; finished rows come out. Each tensor is a ring of the rows that a later unit still
//! needs, so nothing is computed twice and memory does not grow with the height. When a budget is too small for
//! rings of the frame's full width, the frame is cut into tiles with a halo, and each runs like a small frame.
//!
//! With several threads each runs a pass of its own, as a wavefront: a pass takes a Step when the pass before is far
//! enough ahead, which a counter tells, and the memory plan knows which rows are alive then.
//!
//! Whatever the network does beyond a few pixels is defined on a fixed grid of windows of the frame, never on the
//! tile, and every number is an integer or one IEEE single operation with a defined rounding. Hence the result is
//! the same bytes for every tile, thread count, budget and instruction set.
//!
//! # What is kept
//!
//! What was finished is kept, whatever fails after it; nothing half-written bears its final name, and what was there before
//! stays until the new is whole and on the disk. The exit code follows.
//!
//! | | a picture | a folder of pictures | a sequence of pictures | a recording (Y4M, raw) | a video file | a display, a page |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | the source fails | nothing; 2, of the system 1 | all others; 1 | those before; 2, of the system 1 | whole frames before; 2, of the system 1 | frames before, and `--resume`; 2, of the system 1 | 2, of the system 1 |
//! | the same with `--on-error` | - | `stop`: those before; as for a picture | `skip`, `repeat`: all others, counted; 0 | `skip`, `repeat`: all others, counted; 0 | - | `skip`, `repeat`: 0 |
//! | memory is short | nothing; 3 | all others; 1 | none; 3 | none; 3 | none; 3 | 3 |
//! | the same where nobody could ask before | nothing; 3 | those before; 3 | those before; 3 | none; 3 | whole parts before, for `--resume`; 3 | 3 |
//! | the sink fails | nothing; 1 | all others; 1 | those before; 1 | whole frames before; 1 | whole parts before, for `--resume`; 1 | 1 |
//! | the disk is full, a limit on files | nothing; 1 | what fitted; 1 | those before; 1 | whole frames before; 1 | whole parts before, for `--resume`; 1 | - |
//! | the reader of a pipe leaves | 0 | - | - | 0 | - | - |
//! | Ctrl-C, TERM, HUP | nothing; by the signal | those before; by the signal | those before and on their way; 0 | whole frames, those on their way too; 0 | frames on their way too, and `--resume`; 0 | 0 |
//! | one more of them | - | - | those before; 1 | whole frames before; 1 | whole parts before, for `--resume`; 1 | 1 |
//! | a crash, a power cut | the old output; a temporary file, which the next run removes | those before, and such a file | those before, and such a file | the old recording, and such a file | the old file; whole parts, for `--resume` | - |
//!
//! A video file (`bifocal video`) grows as parts of 250 frames in a folder beside it, and is there once they are joined with
//! the sound; a part that is not whole is made again. Without a single frame there is no recording. A display that is unplugged is waited for, and so is a camera, as
//! `--reconnect` says. A page fails with its address alone, such as a port that another program has (1), and not with those who
//! come and go.
//!
//! # The modules
//!
//! | module | what it is for | may use |
//! | --- | --- | --- |
//! | `guide` | pages of this documentation about the program | - |
//! | `geom` | sizes, spans, rectangles; integers, pixels | - |
//! | `sync` | atomics and locks, which loom replaces in its tests | - |
//! | `frame` | pixel formats, views of the caller's memory, luma, colour | kernels, geom |
//! | `memory` | budget, slots shared by live range, arena with its borrow table, the program's allocator | sync |
//! | `model` | ONNX to `Graph`, through tract's typed graph; the only module that names tract | geom |
//! | `kernels` | the kernel contract, `Level` and the table of levels; `scalar` defines the result, the others are fast | - |
//! | `plan` | `Graph` to Steps: recognise, fuse, requantise, schedule | model, kernels, memory, geom |
//! | `tile` | how a frame is cut, and what cutting costs | geom |
//! | `engine` | PREPARE and FRAME: owns the arena and the threads | plan, tile, kernels, memory, frame, geom, model, sync |
//! | `io` | sources and sinks: `image` photos, `video` frames, `device` drivers, `net` the page for browsers, `uri` text to specs | frame, geom, memory |
//! | `live` | capture, upscale, show: queues, drop policy, what stands still, statistics | engine, io, frame, geom |
//! | `board` | `boards/*.toml`, which board this is, its sensors, `bifocal.toml` | kernels, memory |
//! | `bench` | measured runs | engine, board, memory |
//! | `boot` | the first process of a card image: mounts, modules, card; Linux only | - |
//! | `cli` | arguments, progress, printing, exit codes | bench, board, engine, frame, geom, io, kernels, live, memory, model, plan, tile |
//!
//! `tests/modules.rs` reads this table and fails when a module uses what it may not, or when modules form a circle.
//!
//! # Words of our own
//!
//! | word | meaning |
//! | --- | --- |
//! | PREPARE, FRAME | everything before the first row, which may allocate and fail; everything after, which does neither |
//! | level | an instruction set with its kernels, from `scalar` up; all give the same bytes |
//! | branch | one of the two halves of the network, `cnn` or `transformer`; either can run alone |
//! | Step | an operation of the plan, with what is fused into it |
//! | unit | what a Step computes at once: a row, some rows, or a row of attention windows |
//! | pass | one visit to every Step; it adds a strip of rows to the frame |
//! | strip | rows of full width that a pass works on: with strips nothing is computed twice |
//! | grid | the fixed grid of attention windows, in input pixels, that frames are padded to |
//! | class | what a window of the grid gets: both branches (`full`), the Transformer branch (`structure`), the anchor (`plain`) |
//! | fresh, kept | of a window: made anew, or left as it is since nothing that it is made from has changed |
//! | held | of a picture: what windows were last made from; what differs from it within the tolerance is not taken over |
//! | ring | the rows of a slot that a tensor cycles through |
//! | carried | of a tensor: rows of it stay alive from one pass to the next |

#[cfg(doc)]
pub mod guide;

#[cfg(feature = "cli")]
mod bench;
#[cfg(feature = "cli")]
mod board;
#[cfg(all(feature = "cli", target_os = "linux"))]
mod boot;
#[cfg(feature = "cli")]
mod cli;
mod engine;
mod frame;
mod geom;
#[cfg(feature = "cli")]
mod io;
mod kernels;
#[cfg(feature = "cli")]
mod live;
mod memory;
mod model;
mod plan;
mod sync;
mod tile;

pub use engine::{
    BufferReport, DEFAULT_EFFORT, Engine, FrameError, MOST_THREADS, Options, PrepareError, PushError, Report,
    StepReport, Still, Threads, Tolerance, Windows, Work, survey,
};
pub use frame::{Matrix, PixelFormat, Plane, PlaneMut, Range, Siting, YuvFormat};
pub use geom::{MAX_SIDE, Size};
pub use kernels::{Level, Unavailable};
pub use memory::{BadBudget, Budget};
pub use model::{Branches, Metadata, Model, ModelError, Thresholds};
pub use plan::PlanError;
pub use tile::Tile;

/// The `bifocal` command; as the first process of a card image, everything between the kernel and the picture.
#[cfg(feature = "cli")]
#[doc(hidden)]
pub fn command() -> std::process::ExitCode {
    #[cfg(target_os = "linux")]
    if boot::wanted() {
        boot::main();
    }
    cli::main()
}

/// What the tests and benches of this package reach for. It promises nothing and changes without notice.
#[doc(hidden)]
pub mod internals {
    /// Modules of the program, item by item.
    macro_rules! modules {
        ($($(#[$attribute:meta])* $module:ident),+ $(,)?) => {
            $($(#[$attribute])* pub mod $module { pub use crate::$module::*; })+
        };
    }
    modules! {
        #[cfg(feature = "cli")]
        bench,
        #[cfg(feature = "cli")]
        board,
        engine,
        frame,
        geom,
        #[cfg(feature = "cli")]
        io,
        kernels,
        #[cfg(feature = "cli")]
        live,
        memory,
        model,
        plan,
        tile,
    }
}

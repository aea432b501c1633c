//! Bifocal upscales photos, video and camera feeds on small ARM boards, inside a fixed memory budget.
//!
//! It runs CTNet, a network with two branches: one of convolutions that sees local texture, one of window
//! attention that sees structure, fused by learnt weights. The network is an ordinary int8 ONNX file in QDQ form.
//!
//! ```
//! use bifocal::engine::{Engine, Options};
//! use bifocal::frame::PixelFormat;
//! use bifocal::geom::Size;
//! use bifocal::memory::Budget;
//! use bifocal::model::Model;
//!
//! let model = Model::embedded()?;
//! let mut options = Options::new(Size::new(40, 30), PixelFormat::Rgb8);
//! options.budget = Budget::mib(4);
//! let mut engine = Engine::prepare(&model, &options)?; // plans, allocates, validates
//! let mut upscaled = Vec::new();
//! for _ in 0..30 {
//!     let row = [128; 3 * 40];
//!     engine.push(&row, |out| Ok::<(), std::io::Error>(upscaled.extend_from_slice(out)))?; // allocates nothing
//! }
//! assert_eq!(upscaled.len(), 80 * 60 * 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
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
//! With several threads each runs a pass of its own, one behind the other: a pass takes a Step when the pass before is
//! far enough ahead, which a counter tells, and the memory plan knows which rows are alive then.
//!
//! Whatever the network does beyond a few pixels is defined on a fixed grid of windows of the frame, never on the
//! tile, and every number is an integer or one IEEE single operation with a defined rounding. Hence the result is
//! the same bytes for every tile, thread count, budget and instruction set.
//!
//! # The rooms
//!
//! | room | what it is for | may use |
//! | --- | --- | --- |
//! | [`geom`] | sizes, spans, rectangles; integers, pixels | - |
//! | [`frame`] | pixel formats, luma, colour | kernels, geom |
//! | [`memory`] | budget, sharing by lifetime, arena | - |
//! | [`model`] | ONNX to `Graph`, through tract's typed graph; the only room that names tract | geom |
//! | [`kernels`] | the kernel contract, `Level` and the table of levels; `scalar` the truth, the others the speed | geom |
//! | [`plan`] | `Graph` to Steps: recognise, fuse, requantise, schedule | model, kernels, memory, geom |
//! | [`tile`] | how a frame is cut, and what cutting costs | geom, memory |
//! | [`engine`] | PREPARE and FRAME: owns the arena and the threads | plan, tile, kernels, memory, frame, geom, model |
//! | [`io`] | sources and sinks: pictures and video; files, pipes, cameras, displays, panels | frame, geom |
//! | [`live`] | capture, upscale, show: queues, drop policy, statistics | engine, io, frame, geom |
//! | [`board`] | `boards/*.toml`, which board this is, its sensors, `bifocal.toml` | geom, kernels, memory |
//! | [`mod@bench`] | measured runs | engine, board, frame, geom |
//! | `boot` | the first process of a card image: mounts, modules, card; Linux only | - |
//! | [`cli`] | arguments, progress, printing, exit codes | all |
//!
//! `tests/rooms.rs` holds the same table and fails when a room reaches where it may not.

pub mod bench;
pub mod board;
#[cfg(target_os = "linux")]
pub mod boot;
pub mod cli;
pub mod engine;
pub mod frame;
pub mod geom;
pub mod io;
pub mod kernels;
pub mod live;
pub mod memory;
pub mod model;
pub mod plan;
pub mod tile;

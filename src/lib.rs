//! Bifocal.

pub mod bench;
pub mod cli;
pub mod engine;
pub mod frame;
pub mod geom;
pub mod io;
pub mod kernels;
pub mod memory;
pub mod model;
pub mod plan;
pub mod tile;

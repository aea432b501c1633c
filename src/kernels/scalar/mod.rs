//! The truth: plain loops, no cleverness.

mod colour;
mod conv;
mod depthwise;
mod elementwise;
mod pack;
mod table;

use std::sync::Arc;

use super::contract::{
    Add, ConvKernel, ConvRow, DepthwiseRow, FilterPhase, Gate, Kernels, Pool, Scratch, Weights, WindowAttention,
};
use super::drivers::attention;

pub(super) use colour::{blend_rows, enlarge_row, luma_row, round_row, shade_alpha_row, shade_row, split_row};
pub(super) use elementwise::{add_row, add_spread_row, gate_row, pool_columns, pool_rows, shuffle_row};

/// The level of any processor.
pub struct Scalar;

impl Kernels for Scalar {
    fn base(&self) -> &'static dyn Kernels {
        &Self
    }

    fn reads_signed(&self) -> bool {
        false
    }

    fn prepare(&self, weights: &Weights) -> Arc<dyn ConvKernel> {
        Arc::new(conv::Quads(weights.data.to_vec()))
    }

    fn product(&self, weights: &[i8], row: ConvRow) {
        conv::conv_row(weights, row);
    }

    fn depthwise_row(&self, row: DepthwiseRow) {
        depthwise::depthwise_row(row);
    }

    fn add_row(&self, add: &Add, a: &[u8], b: &[u8], out: &mut [u8]) {
        add_row(add, a, b, out);
    }

    fn add_spread_row(&self, add: &Add, repeat: usize, a: &[u8], b: &[u8], out: &mut [u8]) {
        add_spread_row(add, repeat, a, b, out);
    }

    fn shuffle_row(&self, n: usize, y: usize, x: &[u8], out: &mut [u8]) {
        shuffle_row(n, y, x, out);
    }

    fn gate_row(&self, gate: &Gate, channels: usize, x: &[u8], gates: &[u8], out: &mut [u8]) {
        gate_row(gate, channels, x, gates, out);
    }

    fn pool_columns(&self, pool: &Pool, channels: usize, x: &[u8], out: &mut [u8]) {
        pool_columns(pool, channels, x, out);
    }

    fn pool_rows(&self, pool: &Pool, rows: &[&[u8]], out: &mut [u8]) {
        pool_rows(pool, rows, out);
    }

    fn table_row(&self, tables: &[[u8; 256]], channels: usize, x: &[u8], out: &mut [u8]) {
        table::table_row(tables, channels, x, out);
    }

    fn split_row(&self, channels: usize, row: &[u8], planes: &mut [u8]) {
        split_row(channels, row, planes);
    }

    fn luma_row(&self, planes: [&[u8]; 3], out: &mut [u8]) {
        luma_row(planes, out);
    }

    fn blend_rows(&self, weights: [i16; 4], rows: [&[u8]; 4], out: &mut [i16]) {
        blend_rows(weights, rows, out);
    }

    fn enlarge_row(&self, phases: &[FilterPhase], row: &[i16], out: &mut [i16]) {
        enlarge_row(phases, row, out);
    }

    fn round_row(&self, fine: &[i16], out: &mut [u8]) {
        round_row(fine, out);
    }

    fn shade_row(&self, luma: &[u8], fine: [&[i16]; 4], out: &mut [u8]) {
        shade_row(luma, fine, out);
    }

    fn shade_alpha_row(&self, luma: &[u8], fine: [&[i16]; 5], out: &mut [u8]) {
        shade_alpha_row(luma, fine, out);
    }

    fn pack_columns(&self, b: &[u8], outputs: usize, depth: usize, data: &mut [i8], sums: &mut [i32]) {
        pack::pack_columns(b, outputs, depth, data, sums);
    }

    fn pack_rows(&self, b: &[u8], outputs: usize, depth: usize, data: &mut [i8], sums: &mut [i32]) {
        pack::pack_rows(b, outputs, depth, data, sums);
    }

    fn wide_scratch(&self, _: &WindowAttention) -> usize {
        0
    }

    fn attention_window(
        &self,
        a: &WindowAttention,
        query: &[u8],
        keys: &[u8],
        values: &[u8],
        scratch: &mut Scratch,
        out: &mut [u8],
    ) {
        attention::window(self, a, query, keys, values, scratch, out);
    }
}

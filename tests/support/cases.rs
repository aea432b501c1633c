//! Values that tests are given: the same on every run, and made smaller when a test fails.

#![allow(dead_code)] // a test takes what it needs

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Runs `test`, which panics if it fails, with so many values; tells the simplest one that fails.
pub fn each<S: Strategy>(cases: u32, given: S, test: impl Fn(S::Value)) {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 1000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let result = runner.run(&given, |value| {
        test(value);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

/// Damage to a file, for [`damaged`].
#[derive(Clone, Debug)]
pub enum Damage {
    /// A bit is another.
    Flip(prop::sample::Index, u8),
    /// A byte is another.
    Put(prop::sample::Index, u8),
    /// All that follows is gone.
    Cut(prop::sample::Index),
    /// So many bytes stand there twice.
    Repeat(prop::sample::Index, usize),
}

/// A bit that flips.
pub fn flip() -> impl Strategy<Value = Damage> {
    (any::<prop::sample::Index>(), 0..8u8).prop_map(|(at, bit)| Damage::Flip(at, bit))
}

/// A byte in place of another.
pub fn put(byte: impl Strategy<Value = u8>) -> impl Strategy<Value = Damage> {
    (any::<prop::sample::Index>(), byte).prop_map(|(at, byte)| Damage::Put(at, byte))
}

/// All that follows is gone.
pub fn cut() -> impl Strategy<Value = Damage> {
    any::<prop::sample::Index>().prop_map(Damage::Cut)
}

/// A piece stands there twice.
pub fn repeat() -> impl Strategy<Value = Damage> {
    (any::<prop::sample::Index>(), 1..40usize).prop_map(|(at, count)| Damage::Repeat(at, count))
}

/// The file with that damage, of which flips and puts hit its first `within` bytes only.
pub fn damaged(original: &[u8], within: usize, damage: &[Damage]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for damage in damage {
        let length = bytes.len();
        if length == 0 {
            break;
        }
        match damage {
            Damage::Flip(at, bit) => bytes[at.index(length.min(within))] ^= 1 << bit,
            Damage::Put(at, byte) => bytes[at.index(length.min(within))] = *byte,
            Damage::Cut(at) => bytes.truncate(at.index(length)),
            Damage::Repeat(at, count) => {
                let at = at.index(length);
                let piece = bytes[at..(at + count).min(length)].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

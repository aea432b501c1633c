//! The table of levels: which there are, in which order, how they are found and what runs them.
//!
//! Nothing else lists levels. `--level`, `doctor`, boards and tests read this table; see `kernels` for how one is added.

use super::contract::Kernels;
use super::{arch, scalar};

/// A row of the table.
#[derive(Debug)]
pub struct Isa {
    /// What `--level` calls it.
    pub name: &'static str,
    /// `x86_64`, `aarch64` or `any`.
    pub architecture: &'static str,
    /// The instructions that it is named after, for people.
    pub title: &'static str,
    /// Feature names in `/proc/cpuinfo`: the processor can run the level if it has all names of one of these sets.
    pub cpuinfo: &'static [&'static [&'static str]],
    /// Kernels in this build, each with how the processor is asked whether it can run them; the first that it can is
    /// taken. None in a build for another architecture.
    pub(super) forms: &'static [Form],
}

/// Kernels, and whether this processor can run them.
pub(super) struct Form {
    pub(super) detected: fn() -> bool,
    pub(super) kernels: &'static Kernels,
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("Form").field("detected", &(self.detected)()).finish()
    }
}

/// The forms of a level of an architecture; none in a build for another.
macro_rules! forms {
    ($architecture:tt, $macro:ident, $($features:tt => $kernels:expr),+) => {{
        #[cfg(target_arch = $architecture)]
        const FORMS: &[Form] = &[$(Form { detected: || $macro!($features), kernels: &$kernels }),+];
        #[cfg(not(target_arch = $architecture))]
        const FORMS: &[Form] = &[];
        FORMS
    }};
}

macro_rules! x86 {
    ($($features:tt => $kernels:expr),+) => { forms!("x86_64", detected_x86, $($features => $kernels),+) };
}
macro_rules! arm {
    ($($features:tt => $kernels:expr),+) => { forms!("aarch64", detected_arm, $($features => $kernels),+) };
}
#[cfg(target_arch = "x86_64")]
macro_rules! detected_x86 {
    ([$($feature:tt),+]) => { $(std::arch::is_x86_feature_detected!($feature))&&+ };
}
#[cfg(target_arch = "aarch64")]
macro_rules! detected_arm {
    ([$($feature:tt),+]) => { $(std::arch::is_aarch64_feature_detected!($feature))&&+ };
}

/// All levels, of each architecture the slowest first.
pub static TABLE: &[Isa] = &[
    Isa {
        name: "scalar",
        architecture: "any",
        title: "plain Rust, on any processor",
        cpuinfo: &[&[]],
        forms: &[Form { detected: || true, kernels: &scalar::KERNELS }],
    },
    Isa {
        name: "avx2",
        architecture: "x86_64",
        title: "x86-64 with AVX2",
        cpuinfo: &[&["avx2"]],
        forms: x86!(["avx2"] => arch::avx2::KERNELS),
    },
    Isa {
        name: "avxvnni",
        architecture: "x86_64",
        title: "x86-64 with 256-bit VNNI",
        cpuinfo: &[&["avx2", "avx_vnni"], &["avx2", "avx512f", "avx512vl", "avx512_vnni"]],
        forms: x86!(
            ["avx2", "avxvnni"] => arch::avxvnni::VEX,
            ["avx2", "avx512f", "avx512vl", "avx512vnni"] => arch::avxvnni::EVEX
        ),
    },
    Isa {
        name: "vnni",
        architecture: "x86_64",
        title: "x86-64 with AVX-512 VNNI",
        cpuinfo: &[&["avx2", "avx512f", "avx512bw", "avx512vl", "avx512_vnni"]],
        forms: x86!(["avx2", "avx512f", "avx512bw", "avx512vl", "avx512vnni"] => arch::avx512vnni::KERNELS),
    },
    Isa {
        name: "neon",
        architecture: "aarch64",
        title: "64-bit ARM",
        cpuinfo: &[&["asimd"]],
        forms: arm!(["neon"] => arch::neon::KERNELS),
    },
    Isa {
        name: "dotprod",
        architecture: "aarch64",
        title: "64-bit ARM with dot product",
        cpuinfo: &[&["asimd", "asimddp"]],
        forms: arm!(["neon", "dotprod"] => arch::dotprod::KERNELS),
    },
    Isa {
        name: "i8mm",
        architecture: "aarch64",
        title: "64-bit ARM with matrix product",
        cpuinfo: &[&["asimd", "asimddp", "i8mm"]],
        forms: arm!(["neon", "dotprod", "i8mm"] => arch::i8mm::KERNELS),
    },
];

/// Refuses a name that no level has.
pub fn known(name: &str) -> Result<(), String> {
    let names = || TABLE.iter().map(|isa| isa.name).collect::<Vec<_>>().join(", ");
    if Isa::named(name).is_some() { Ok(()) } else { Err(format!("'{name}' is not one of {}", names())) }
}

impl Isa {
    /// The level of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        TABLE.iter().find(|isa| isa.name == name)
    }

    /// Its place in the table: of two levels of one architecture the faster stands later.
    pub fn rank(&self) -> usize {
        TABLE.iter().take_while(|isa| isa.name != self.name).count()
    }

    /// The best level of a processor with these features, as `/proc/cpuinfo` names them.
    pub fn best_of(features: &str) -> &'static Self {
        Self::all_of(features).last().unwrap_or(&TABLE[0])
    }

    /// All levels of a processor with these features, as `/proc/cpuinfo` names them.
    pub fn all_of(features: &str) -> impl Iterator<Item = &'static Self> {
        let has = |wanted: &&str| features.split_whitespace().any(|feature| feature == *wanted);
        TABLE.iter().filter(move |isa| isa.cpuinfo.iter().any(|names| names.iter().all(has)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn features_name_the_level() {
        let best = |features: &str| Isa::best_of(features).name;
        assert_eq!(best("fpu sse2"), "scalar");
        assert_eq!(best("fpu avx2 avx512f avx512bw avx512vl"), "avx2");
        assert_eq!(best("fpu avx2 avx_vnni"), "avxvnni");
        assert_eq!(best("fpu avx2 avx512f avx512bw avx512vl avx512_vnni"), "vnni");
        assert_eq!(best("fp asimd evtstrm crc32"), "neon");
        assert_eq!(best("fp asimd asimddp"), "dotprod");
        assert_eq!(best("fp asimd asimddp i8mm bf16"), "i8mm");
    }

    #[test]
    fn names_are_unique_and_levels_found() {
        for (i, isa) in TABLE.iter().enumerate() {
            assert_eq!((Isa::named(isa.name).map(Isa::rank), isa.rank()), (Some(i), i), "{}", isa.name);
        }
        for level in Level::all() {
            assert_eq!(Level::named(level.name()).unwrap(), level);
        }
        assert!(Level::named("mmx").unwrap_err().to_string().contains("scalar"));
    }
}

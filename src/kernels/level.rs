//! Which kernels this processor can run.

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Vnni,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(target_arch = "aarch64")]
    DotProd,
}

/// Proof that the processor has what the kernels of this level need: it cannot be made otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(pub(super) Kind);

/// A level that this processor, or this build, lacks.
#[derive(Debug, thiserror::Error)]
#[error("level '{name}' is not available here; this processor has: {have}")]
pub struct Unavailable {
    name: String,
    have: String,
}

impl Level {
    /// The plain kernels, on any processor.
    pub const SCALAR: Self = Self(Kind::Scalar);

    /// All levels of this processor, slowest first.
    pub fn all() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut levels = vec![Self::SCALAR];
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            levels.push(Self(Kind::Avx2));
            let avx512 = std::arch::is_x86_feature_detected!("avx512f")
                && std::arch::is_x86_feature_detected!("avx512bw")
                && std::arch::is_x86_feature_detected!("avx512vl")
                && std::arch::is_x86_feature_detected!("avx512vnni");
            if avx512 {
                levels.push(Self(Kind::Vnni));
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            if std::arch::is_aarch64_feature_detected!("neon") {
                levels.push(Self(Kind::Neon));
            }
            if std::arch::is_aarch64_feature_detected!("dotprod") {
                levels.push(Self(Kind::DotProd));
            }
        }
        levels
    }

    /// The fastest level of this processor.
    pub fn best() -> Self {
        *Self::all().last().unwrap_or(&Self::SCALAR)
    }

    /// A level by name, if this processor has it.
    pub fn named(name: &str) -> Result<Self, Unavailable> {
        let all = Self::all();
        all.iter().copied().find(|l| l.name() == name).ok_or_else(|| Unavailable {
            name: name.to_string(),
            have: all.iter().map(|l| l.name()).collect::<Vec<_>>().join(", "),
        })
    }

    /// `scalar`, `avx2`, `vnni`, `neon` or `dotprod`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Vnni => "vnni",
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => "neon",
            #[cfg(target_arch = "aarch64")]
            Kind::DotProd => "dotprod",
        }
    }

    /// Bias for sums over activations as this level reads them.
    ///
    /// NEON multiplies signed by signed: its kernels read an activation `x` as `x - 128`, and what that takes
    /// from the sum, 128 times the sum of the weights, is given back here.
    pub fn bias(self, bias: i32, weight_sum: i32) -> i32 {
        match self.0 {
            #[cfg(target_arch = "aarch64")]
            Kind::Neon | Kind::DotProd => bias + 128 * weight_sum,
            _ => {
                let _ = weight_sum;
                bias
            }
        }
    }
}

impl Serialize for Level {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.name())
    }
}

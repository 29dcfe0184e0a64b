//! Names and types of backends: what to open, what was opened, what is missing.

use crate::kernel::{Ops, Precision, Product};
use burn::tensor::backend::AutodiffBackend;

/// What the method needs of a backend: gradients, and the fused operations with and without them.
pub trait TrainBackend: AutodiffBackend<InnerBackend: Ops> + Ops {}
impl<B: AutodiffBackend<InnerBackend: Ops> + Ops> TrainBackend for B {}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    Flex,
    Tch,
    Cuda,
}

impl Name {
    /// Every known backend, compiled in or not.
    pub const ALL: [Self; 3] = [Self::Flex, Self::Tch, Self::Cuda];

    /// The name on the command line and in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::Tch => "tch",
            Self::Cuda => "cuda",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    pub(crate) const fn summary(self) -> &'static str {
        match self {
            Self::Flex => "burn-flex, pure Rust on the processor",
            Self::Tch => "burn-tch, LibTorch 2.9.0 on the processor or an NVIDIA device",
            Self::Cuda => "burn-cuda, NVIDIA devices",
        }
    }

    /// How products in bf16 are computed on its first device.
    pub(crate) fn bf16(self) -> &'static str {
        match self {
            Self::Flex | Self::Tch => Product::of_this_processor().about(),
            Self::Cuda => "bf16 by tensor cores",
        }
    }

    /// What will change with burn 0.22, to which this program is not moved for that reason.
    pub(crate) const fn note(self) -> Option<&'static str> {
        match self {
            Self::Flex => None,
            Self::Tch => Some("burn deprecates it from 0.22 on; this program stays with 0.21"),
            Self::Cuda => Some("from burn 0.22 on its build needs a download; this program stays with 0.21"),
        }
    }

    pub(crate) const fn how_to_get(self) -> &'static str {
        match self {
            Self::Flex => "",
            Self::Tch => {
                "set LibTorch up with `eval \"$(backends/setup-libtorch)\"`, then build with `cargo build --release \
                 --features tch`"
            }
            Self::Cuda => {
                "build with `cargo build --release --features cuda` and run where an NVIDIA driver and CUDA's libraries \
                 (libcuda, libnvrtc) can be loaded and CUDA's headers are in /usr/local/cuda/include or \
                 $CUDA_PATH/include: kernels are compiled on first use"
            }
        }
    }
}

/// Which backend and device to compute on.
#[derive(Clone, Debug)]
pub struct Choice {
    pub name: Name,
    /// Device number; None is the processor (flex, tch) or the first device (cuda).
    pub device: Option<usize>,
    /// Threads on the processor; None is one per core.
    pub threads: Option<usize>,
    /// Number type of matrix products.
    pub precision: Precision,
}

impl Choice {
    /// A backend in fp32, on its first device, with all cores.
    pub fn of(name: Name) -> Self {
        Self {
            name,
            device: None,
            threads: None,
            precision: Precision::F32,
        }
    }
}

/// What a run records about where it computed.
#[derive(Clone, Debug)]
pub struct Facts {
    pub name: &'static str,
    /// The device in words.
    pub device: String,
    /// Its number among CUDA's devices. None on the processor.
    pub cuda: Option<usize>,
    /// Version of the library that computes.
    pub library: String,
    /// None on a GPU.
    pub threads: Option<usize>,
    /// Whether matrix products in fp32 may round their operands to TF32, 10 bits of fraction.
    pub tf32: bool,
    /// How products in bf16 are computed, in words.
    pub bf16: &'static str,
}

/// Work that is generic over the backend.
pub trait Job {
    type Output;
    fn run<B: TrainBackend>(self, device: B::Device, facts: Facts) -> Self::Output;
}

/// A known backend and whether it can be used.
#[derive(Clone, Debug)]
pub struct BackendState {
    pub name: &'static str,
    /// What it is, in one line.
    pub summary: &'static str,
    pub availability: Availability,
    /// How products in bf16 are computed where no device is chosen, in words.
    pub bf16: &'static str,
    /// What to expect of it in the future.
    pub note: Option<&'static str>,
    /// None if it is ready.
    pub how_to_get: Option<String>,
}

/// Whether a backend can be used in this build on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    Ready,
    NotCompiled,
    /// Compiled in, but its library or device is missing, as described.
    Unavailable(String),
}

/// Why a backend cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    #[error("backend {name} is not compiled into this program")]
    NotCompiled { name: &'static str, how_to_get: String },
    #[error("backend {name} cannot be opened: {reason}")]
    Unavailable {
        name: &'static str,
        reason: String,
        how_to_get: String,
    },
}

impl BackendError {
    /// How to get what is missing.
    pub fn how_to_get(&self) -> &str {
        match self {
            Self::NotCompiled { how_to_get, .. } | Self::Unavailable { how_to_get, .. } => how_to_get,
        }
    }
}

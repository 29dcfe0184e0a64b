//! Chooses a burn backend and device by name at run time, and says how to get what is missing.
//!
//! The method is written once over [`TrainBackend`]. The program names a backend; [`run`] opens it and calls the job
//! once with that type. Each backend that is compiled in costs one more copy of the generic code, so `tch` and `cuda`
//! are features of the build and `flex` (pure Rust) is always there.

pub mod kernel;

#[cfg(feature = "cuda")]
mod cuda;
mod flex;
#[cfg(feature = "tch")]
mod libtorch;

use burn::tensor::backend::AutodiffBackend;

pub use kernel::{Ops, Precision};

/// What the method needs of a backend: gradients, and this crate's fused operations with and without them.
pub trait TrainBackend: AutodiffBackend<InnerBackend: Ops> + Ops {}
impl<B: AutodiffBackend<InnerBackend: Ops> + Ops> TrainBackend for B {}

/// A backend by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// burn-flex: pure Rust on the processor, no set-up.
    Flex,
    /// burn-tch: LibTorch on the processor or an NVIDIA device.
    Tch,
    /// burn-cuda: NVIDIA devices through CubeCL.
    Cuda,
}

impl Name {
    /// Every backend this program knows, compiled in or not.
    pub const ALL: [Self; 3] = [Self::Flex, Self::Tch, Self::Cuda];

    /// The name used on the command line and in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::Tch => "tch",
            Self::Cuda => "cuda",
        }
    }

    /// The backend called `name`, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    const fn summary(self) -> &'static str {
        match self {
            Self::Flex => "burn-flex, pure Rust on the processor",
            Self::Tch => "burn-tch, LibTorch 2.9.0 on the processor or an NVIDIA device",
            Self::Cuda => "burn-cuda, NVIDIA devices",
        }
    }
}

/// Which backend and device to compute on.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The backend.
    pub name: Name,
    /// Device number; None lets the backend take its processor (flex, tch) or first device (cuda).
    pub device: Option<usize>,
    /// Threads for processor backends; None takes every core.
    pub threads: Option<usize>,
    /// Number type of matrix products.
    pub precision: Precision,
}

/// What a run records about where it computed.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The backend's name.
    pub name: &'static str,
    /// The device in words.
    pub device: String,
    /// Version of the library that computes.
    pub library: String,
    /// Threads in use (None on a GPU).
    pub threads: Option<usize>,
    /// Whether matrix products in fp32 may round their operands to TF32, 10 bits of fraction.
    pub tf32: bool,
}

/// Whether a backend can be used, and if not, what to do.
#[derive(Clone, Debug)]
pub struct BackendState {
    /// The backend's name.
    pub name: &'static str,
    /// One line on what it is.
    pub summary: &'static str,
    /// Whether it can be used now.
    pub state: State,
    /// How to get it, when it is not ready.
    pub how_to_get: Option<String>,
}

/// State of a backend in this build on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Compiled in, and its device opens.
    Ready,
    /// Left out of this build.
    NotCompiled,
    /// Compiled in, but its library or device is missing.
    Unavailable(String),
}

/// Why a backend could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The build does not hold it.
    #[error("backend {name} is not compiled into this program")]
    NotCompiled {
        /// The backend.
        name: &'static str,
        /// How to get it.
        how_to_get: String,
    },
    /// Its library or device is missing.
    #[error("backend {name} cannot be opened: {reason}")]
    Unavailable {
        /// The backend.
        name: &'static str,
        /// What is missing.
        reason: String,
        /// How to get it.
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

/// Work that is generic over the backend.
pub trait Job {
    /// What it gives back.
    type Output;
    /// Does the work on an opened device.
    fn run<B: TrainBackend>(self, device: B::Device, facts: Facts) -> Self::Output;
}

/// Opens the chosen backend and runs `job` on it.
///
/// # Errors
/// If the backend is not compiled in, or its library or device cannot be opened.
pub fn run<J: Job>(choice: &Choice, job: J) -> Result<J::Output, BackendError> {
    kernel::with_precision(choice.precision, || open(choice, job))
}

fn open<J: Job>(choice: &Choice, job: J) -> Result<J::Output, BackendError> {
    match choice.name {
        Name::Flex => flex::run(choice, job),
        #[cfg(feature = "tch")]
        Name::Tch => libtorch::run(choice, job),
        #[cfg(feature = "cuda")]
        Name::Cuda => cuda::run(choice, job),
        #[cfg(not(all(feature = "tch", feature = "cuda")))]
        name => Err(BackendError::NotCompiled {
            name: name.as_str(),
            how_to_get: how_to_get(name),
        }),
    }
}

/// Every known backend with its state on this machine.
pub fn list() -> Vec<BackendState> {
    Name::ALL
        .into_iter()
        .map(|name| {
            let state = probe(name);
            let how_to_get = (state != State::Ready).then(|| how_to_get(name));
            BackendState {
                name: name.as_str(),
                summary: name.summary(),
                state,
                how_to_get,
            }
        })
        .collect()
}

/// The backends compiled into this program.
pub fn compiled() -> Vec<Name> {
    Name::ALL
        .into_iter()
        .filter(|&name| probe(name) != State::NotCompiled)
        .collect()
}

fn probe(name: Name) -> State {
    match name {
        Name::Flex => State::Ready,
        #[cfg(feature = "tch")]
        Name::Tch => State::Ready,
        #[cfg(feature = "cuda")]
        Name::Cuda => cuda::probe(0).map_or_else(State::Unavailable, |()| State::Ready),
        #[cfg(not(all(feature = "tch", feature = "cuda")))]
        _ => State::NotCompiled,
    }
}

fn how_to_get(name: Name) -> String {
    match name {
        Name::Flex => String::new(),
        Name::Tch => {
            "set LibTorch up with `eval \"$(backends/setup-libtorch)\"`, then build with `cargo build --release \
                      --features tch`"
                .to_owned()
        }
        Name::Cuda => "build with `cargo build --release --features cuda` and run where an NVIDIA driver and CUDA's \
                       libraries (libcuda, libnvrtc) can be loaded and its headers lie in /usr/local/cuda/include or \
                       $CUDA_PATH/include: kernels are compiled on first use"
            .to_owned(),
    }
}

//! Backends: chooses one of burn's by name at run time, and adds fused operations to each.
//!
//! The method is written once over [`TrainBackend`]. The program names a backend; [`run`] opens it
//! and calls the job with that type. Each backend that is compiled in is one more copy of the
//! generic code, so `tch` and `cuda` are features of the build; `flex` (pure Rust) is always there.

mod backend;
#[cfg(feature = "cuda")]
mod cuda;
mod flex;
pub mod kernel;
#[cfg(feature = "tch")]
mod libtorch;
mod open;
pub mod processor;

pub use backend::{Availability, BackendError, BackendState, Choice, Facts, Job, Name, TrainBackend};
pub use kernel::{Ops, Precision};
#[cfg(feature = "tch")]
pub use libtorch::start_with_short_waits;
pub use open::{compiled, list, run};

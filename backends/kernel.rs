//! Operations that backends can compute faster than a chain of small ones.
//!
//! [`Ops`] has the plain form of each as default body, forward and backward. A backend overrides
//! what it computes faster; tests compare values and gradients of every override with the plain
//! form. With gradients, each operation is one node of the graph that keeps its inputs and computes
//! its gradients through the same trait.

mod autodiff;
mod checkpoint;
mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
mod graph;
mod mode;
mod ops;
pub mod plain;
mod ranks;
mod tensors;

pub use cpu::product::Product;
pub use mode::{Precision, checkpoints, plainly, with_checkpoints, with_precision};
pub use ops::{Filled, Ops};
pub use ranks::{ranks, sum_all_over_ranks, sum_over_ranks, with_ranks};
pub use tensors::{AdamWFactors, AdamWState, BlockSizes, BlockTensors, LinearGrads, MlpTensors, NormGrads, Selection};

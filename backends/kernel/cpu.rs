//! The fused operations on processors: on f32 slices, for flex and for LibTorch.

mod attention;
mod bf16;
mod codes;
mod flex;
#[cfg(feature = "tch")]
mod libtorch;
mod matmul;
mod matrix;
pub(super) mod product;
mod rows;
mod simd;
mod slices;
mod threads;
mod tiles;

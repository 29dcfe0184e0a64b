//! The fused operations on LibTorch.

use super::Ops;

impl Ops for burn_tch::LibTorch {}

//! How a quantizer uses its codes, and what the labels made from them say.

mod codebook;
pub mod labels;

pub use codebook::{CodebookCounts, CodebookError, CodebookStatistics};

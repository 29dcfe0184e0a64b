//! How bf16 products are computed. The processor decides it and no measurement, so that equal processors
//! compute equal bits.

use super::bf16;
use super::tiles::Engine;
use std::sync::LazyLock;

/// How products of bf16 numbers are computed on a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// On the tiles of AMX.
    Tiles,
    /// By AVX-512's dot products of pairs.
    Pairs,
    /// By f32 products of operands rounded to bf16.
    Rounded,
}

impl Product {
    /// The fastest of them.
    pub fn of_this_processor() -> Self {
        // virtual machines take long to ask the processor
        static FASTEST: LazyLock<Product> = LazyLock::new(|| {
            if Engine::of_this_processor().is_some() {
                Product::Tiles
            } else if bf16::pairs_are_fast() {
                Product::Pairs
            } else {
                Product::Rounded
            }
        });
        *FASTEST
    }

    /// In words.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Tiles => "bf16 by AMX",
            Self::Pairs => "bf16 by AVX-512",
            Self::Rounded => "bf16 rounded, f32 products",
        }
    }
}

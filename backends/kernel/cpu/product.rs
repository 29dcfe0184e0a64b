//! How bf16 products are computed. The processor decides it and no measurement, so that equal processors
//! compute equal bits.

use super::bf16;
use super::tiles::Engine;
use std::sync::LazyLock;

/// How products are computed where bf16 is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// On the tiles of AMX.
    Tiles,
    /// By AVX-512's dot products of pairs.
    Pairs,
    /// In f32, without rounding: the processor has no products for bf16, or none faster than f32.
    F32,
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
                Product::F32
            }
        });
        *FASTEST
    }

    /// In words.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Tiles => "bf16 by AMX",
            Self::Pairs => "bf16 by AVX-512",
            Self::F32 => "f32, as no bf16 products are faster here",
        }
    }
}

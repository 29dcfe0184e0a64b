//! Learning rates as functions of training time: warm-up and cosine, and layer-wise decay.
//!
//! Everything is pure and in f64, so that the same step has the same rate on every backend and
//! after every resume.

use crate::plan::Phase;
use std::f64::consts::PI;

/// Linear warm-up, then half a cosine down to the least rate (Loshchilov and Hutter 2017, without
/// restarts).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The rate at the end of the warm-up.
    pub rate: f64,
    /// The rate at the end of training.
    pub least: f64,
    /// Length of the warm-up, in epochs.
    pub warmup_epochs: f64,
    /// Length of training, in epochs.
    pub epochs: f64,
}

impl Schedule {
    /// The schedule of a phase of pretraining: warm-up, then a cosine to 0.
    pub const fn of(phase: &Phase) -> Self {
        Self {
            rate: phase.rate,
            least: 0.0,
            warmup_epochs: phase.warmup_epochs,
            epochs: phase.epochs as f64,
        }
    }

    /// The rate at a fractional epoch (epoch + iteration / iterations per epoch).
    pub fn at(&self, epoch: f64) -> f64 {
        if epoch < self.warmup_epochs {
            return self.rate * epoch / self.warmup_epochs;
        }
        let rest = self.epochs - self.warmup_epochs;
        // without a rest the warm-up was all of training, and only its very end can be asked for
        // here
        let progress = if rest > 0.0 {
            (epoch - self.warmup_epochs) / rest
        } else {
            1.0
        };
        self.least + (self.rate - self.least) * 0.5 * (1.0 + (PI * progress).cos())
    }
}

/// Layer-wise rate decay: the further a layer is from the head, the smaller its rate (Clark et al.
/// 2020, as in BEiT).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerDecay {
    /// Factor from one layer to the next below, in (0, 1].
    pub decay: f64,
    /// Transformer blocks of the encoder.
    pub blocks: usize,
}

impl LayerDecay {
    /// How many layer ids there are: the embedding, each block, and the head with the last norm.
    pub fn layers(&self) -> usize {
        self.blocks + 2
    }

    /// The layer of a parameter, by its name in the authors' state dict: 0 for the class token, the
    /// position table and the patch embedding, i + 1 for `blocks.<i>.*`, blocks + 1 for everything
    /// else.
    pub fn layer(&self, parameter: &str) -> usize {
        if matches!(parameter, "cls_token" | "pos_embed") || parameter.starts_with("patch_embed") {
            return 0;
        }
        let block = parameter
            .strip_prefix("blocks.")
            .and_then(|rest| rest.split('.').next()?.parse::<usize>().ok());
        block.map_or(self.blocks + 1, |block| block + 1)
    }

    /// The factor on the rate of a layer: decay^(last layer - layer), so that the head keeps the
    /// full rate.
    pub fn scale(&self, layer: usize) -> f64 {
        let below_head = (self.blocks + 1).saturating_sub(layer);
        self.decay.powi(below_head as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_rate_rises_then_falls_and_stays_in_range(
            rate in 1e-6..1.0f64, least in 0.0..1e-7f64, warmup in 0.0..10.0f64, more in 0.5..100.0f64, at in 0.0..1.0f64,
        ) {
            let schedule = Schedule { rate, least, warmup_epochs: warmup, epochs: warmup + more };
            let (early, late) = (at * warmup, warmup + at * more);
            prop_assert!(schedule.at(early) <= rate * (1.0 + 1e-12));
            prop_assert!(schedule.at(early * 0.5) <= schedule.at(early) * (1.0 + 1e-12));
            prop_assert!(schedule.at(late) >= least && schedule.at(late) <= rate);
            prop_assert!(schedule.at(late) >= schedule.at(warmup + more) - 1e-12);
            prop_assert!((schedule.at(warmup + more) - least).abs() < 1e-12);
        }
    }

    #[test]
    fn layers_follow_the_parameter_names() {
        let decay = LayerDecay {
            decay: 0.75,
            blocks: 12,
        };
        let layer = |name| decay.layer(name);
        assert_eq!(
            (layer("cls_token"), layer("pos_embed"), layer("patch_embed.proj.weight")),
            (0, 0, 0)
        );
        assert_eq!(
            (layer("blocks.0.attn.qkv.weight"), layer("blocks.11.norm2.bias")),
            (1, 12)
        );
        assert_eq!((layer("fc_norm.weight"), layer("head.bias")), (13, 13));
        assert_eq!(decay.scale(13), 1.0);
        assert!((decay.scale(0) - 0.75f64.powi(13)).abs() < 1e-15);
        assert_eq!(decay.layers(), 14);
    }
}

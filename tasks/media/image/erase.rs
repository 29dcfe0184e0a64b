//! Random erasing (Zhong et al. 2017), as timm does it on normalised inputs: one patch becomes
//! normal noise.

use bridle_seed::Stream;
use serde::{Deserialize, Serialize};

/// Smallest and largest share of the area.
const AREAS: [f64; 2] = [0.02, 1.0 / 3.0];
/// Smallest and largest height over width.
const ASPECTS: [f64; 2] = [0.3, 1.0 / 0.3];
/// Draws before the patch is given up.
const ATTEMPTS: usize = 10;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erasing {
    /// Share of the inputs that lose a patch.
    pub probability: f32,
}

impl Erasing {
    pub(super) fn fault(&self) -> Option<String> {
        let probability = self.probability;
        let usable = (0.0..=1.0).contains(&probability);
        (!usable).then(|| format!("the probability {probability} of erasing is not from 0 to 1"))
    }

    /// Erases in `input`, \[3, side, side\].
    pub(super) fn apply(&self, input: &mut [f32], side: usize, stream: &mut Stream) {
        if stream.uniform() >= self.probability {
            return;
        }
        let mut between = |[low, high]: [f64; 2]| low + (high - low) * stream.uniform_f64();
        let found = (0..ATTEMPTS).find_map(|_| {
            let area = between(AREAS) * (side * side) as f64;
            let aspect = between(ASPECTS.map(f64::ln)).exp();
            let height = (area * aspect).sqrt().round_ties_even() as usize;
            let width = (area / aspect).sqrt().round_ties_even() as usize;
            (width < side && height < side).then_some((width, height))
        });
        let Some((width, height)) = found else { return };
        let (top, left) = (stream.below(side - height + 1), stream.below(side - width + 1));
        for plane in input.chunks_exact_mut(side * side) {
            for row in plane.chunks_exact_mut(side).skip(top).take(height) {
                row[left..left + width]
                    .iter_mut()
                    .for_each(|value| *value = stream.normal());
            }
        }
    }
}

//! RandAugment (Cubuk et al. 2019) as timm has it: a few operations at random, their strengths
//! growing with magnitude.

use bridle_seed::Stream;
use serde::{Deserialize, Serialize};

use super::operation::Operation;
use super::picture::Picture;

/// The largest magnitude.
const MOST: f64 = 10.0;
/// Number of operations to choose from.
const KINDS: usize = 15;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandAugment {
    /// Operations in a row, each applied to half of the pictures.
    pub layers: usize,
    /// Mean strength, from 0 to 10.
    pub magnitude: f64,
    /// Standard deviation of the strength.
    pub deviation: f64,
}

impl RandAugment {
    pub(super) fn fault(&self) -> Option<String> {
        let Self {
            magnitude, deviation, ..
        } = self;
        if !(0.0..=MOST).contains(magnitude) {
            return Some(format!(
                "the magnitude {magnitude} of RandAugment is not from 0 to {MOST}"
            ));
        }
        let usable = deviation.is_finite() && *deviation >= 0.0;
        (!usable).then(|| format!("the deviation {deviation} of RandAugment is not a number from 0"))
    }

    /// Applies it; `fill` is the colour of what geometry leaves empty.
    pub(super) fn apply(&self, picture: Picture, fill: [u8; 3], stream: &mut Stream) -> Picture {
        (0..self.layers).fold(picture, |picture, _| {
            let kind = stream.below(KINDS);
            if stream.below(2) == 0 {
                return picture;
            }
            let magnitude = self.magnitude + self.deviation * f64::from(stream.normal());
            let level = magnitude.clamp(0.0, MOST) / MOST;
            operation(kind, level, stream).apply(&picture, fill)
        })
    }
}

/// Operation number `kind` at a level from 0 to 1; if it has two directions, one is drawn.
fn operation(kind: usize, level: f64, stream: &mut Stream) -> Operation {
    let mut either = |most: f64| {
        if stream.below(2) == 0 {
            most * level
        } else {
            -most * level
        }
    };
    let mut share = || (1.0 + either(0.9)).max(0.1) as f32;
    match kind {
        0 => Operation::AutoContrast,
        1 => Operation::Equalize,
        2 => Operation::Invert,
        3 => Operation::Posterize(4 - (level * 4.0) as u32),
        4 => Operation::Solarize(256 - (level * 256.0) as u32),
        5 => Operation::SolarizeAdd((level * 110.0) as u32),
        6 => Operation::Colour(share()),
        7 => Operation::Contrast(share()),
        8 => Operation::Brightness(share()),
        9 => Operation::Sharpness(share()),
        10 => Operation::Rotate(either(30.0)),
        11 => Operation::ShearX(either(0.3)),
        12 => Operation::ShearY(either(0.3)),
        13 => Operation::TranslateX(either(0.45)),
        _ => Operation::TranslateY(either(0.45)),
    }
}

#[cfg(test)]
mod tests {
    use bridle_seed::Seed;

    use super::*;
    use crate::media::image::tests::pattern;

    #[test]
    fn strengths_are_those_of_timm() {
        let mut stream = Seed::root(1).stream();
        let mut at = |kind, level| operation(kind, level, &mut stream);
        assert_eq!(
            [at(3, 0.0), at(3, 0.9), at(3, 1.0)],
            [4, 1, 0].map(Operation::Posterize)
        );
        assert_eq!(
            [at(4, 0.0), at(4, 0.9), at(4, 1.0)],
            [256, 26, 0].map(Operation::Solarize)
        );
        assert_eq!(
            [at(5, 0.0), at(5, 0.9), at(5, 1.0)],
            [0, 99, 110].map(Operation::SolarizeAdd)
        );
        assert_eq!(at(8, 0.0), Operation::Brightness(1.0));
        for _ in 0..20 {
            assert!([Operation::Colour(0.1), Operation::Colour(1.9)].contains(&at(6, 1.0)));
            assert!([Operation::Rotate(15.0), Operation::Rotate(-15.0)].contains(&at(10, 0.5)));
        }
    }

    #[test]
    fn nothing_without_layers_and_something_with_many() {
        let picture = pattern(20, 20);
        let augmented = |layers, seed| {
            let rand_augment = RandAugment {
                layers,
                magnitude: 9.0,
                deviation: 0.5,
            };
            rand_augment.apply(picture.clone(), [120; 3], &mut Seed::root(seed).stream())
        };
        assert_eq!(augmented(0, 1), picture);
        assert_ne!(augmented(8, 1), picture);
        assert_eq!(augmented(8, 1), augmented(8, 1));
        assert_ne!(augmented(8, 1), augmented(8, 2));
    }
}

//! Random views for training: region, flip, RandAugment, then erasing; every draw from one stream.

use bridle_seed::Stream;
use serde::{Deserialize, Serialize};

use super::crop::{Resizer, random_region};
use super::erase::Erasing;
use super::picture::{Picture, to_input};
use super::rand_augment::RandAugment;
use crate::media::Views;

/// Settings; part of a run's plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageAugment {
    /// Smallest and largest share of the picture's area.
    pub scale: [f64; 2],
    /// Mirrors half of the views.
    pub flip: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rand_augment: Option<RandAugment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erasing: Option<Erasing>,
}

impl ImageAugment {
    /// Of these views; `mirror` allows mirrored ones.
    pub(crate) fn of(views: Views, mirror: bool) -> Self {
        let augment = match views {
            Views::Pretraining => Self::pretraining(),
            Views::FineTuning => Self::fine_tuning(),
        };
        Self {
            flip: augment.flip && mirror,
            ..augment
        }
    }

    /// For pretraining: a region of 0.2 to 1 of the area, and flips (He et al. 2022, table 8).
    pub fn pretraining() -> Self {
        Self {
            scale: [0.2, 1.0],
            flip: true,
            rand_augment: None,
            erasing: None,
        }
    }

    /// For fine-tuning: a region of 0.08 to 1, flips, RandAugment (9, 0.5) and erasing 0.25 (He et
    /// al. 2022, table 9, and their code for the two last).
    pub fn fine_tuning() -> Self {
        let rand_augment = Some(RandAugment {
            layers: 2,
            magnitude: 9.0,
            deviation: 0.5,
        });
        Self {
            scale: [0.08, 1.0],
            flip: true,
            rand_augment,
            erasing: Some(Erasing { probability: 0.25 }),
        }
    }

    /// What is wrong with these values, if something is.
    pub fn fault(&self) -> Option<String> {
        let [least, most] = self.scale;
        if !(0.0 < least && least <= most && most <= 1.0) {
            return Some(format!(
                "the scale [{least}, {most}] is not two rising shares above 0 and up to 1"
            ));
        }
        let rand_augment = self.rand_augment.as_ref().and_then(RandAugment::fault);
        rand_augment.or_else(|| self.erasing.as_ref().and_then(Erasing::fault))
    }

    /// A random view of `picture` as model input, \[3, side, side\]. `mean` also fills what
    /// geometry leaves empty.
    pub fn input(
        &self,
        picture: &Picture,
        side: usize,
        mean: [f64; 3],
        std: [f64; 3],
        stream: &mut Stream,
    ) -> Vec<f32> {
        let region = random_region(picture.width, picture.height, self.scale, stream);
        let mut view = Resizer::default().square(picture, region, side);
        if self.flip && stream.below(2) == 1 {
            view.flip();
        }
        if let Some(rand_augment) = &self.rand_augment {
            let fill = mean.map(|mean| (255.0 * mean).round_ties_even() as u8);
            view = rand_augment.apply(view, fill, stream);
        }
        let mut input = to_input(&view, mean, std);
        if let Some(erasing) = &self.erasing {
            erasing.apply(&mut input, side, stream);
        }
        input
    }
}

#[cfg(test)]
mod tests {
    use bridle_seed::Seed;

    use super::*;
    use crate::media::image::tests::pattern;

    const MEAN: [f64; 3] = [0.485, 0.456, 0.406];
    const STD: [f64; 3] = [0.229, 0.224, 0.225];

    fn input(augment: &ImageAugment, seed: u64) -> Vec<f32> {
        let mut stream = Seed::root(0).child("augment").indexed(seed).stream();
        augment.input(&pattern(90, 70), 32, MEAN, STD, &mut stream)
    }

    #[test]
    fn the_place_in_the_tree_of_seeds_decides_the_view() {
        for augment in [ImageAugment::pretraining(), ImageAugment::fine_tuning()] {
            assert_eq!(augment.fault(), None);
            assert_eq!(input(&augment, 3).len(), 3 * 32 * 32);
            assert_eq!(input(&augment, 3), input(&augment, 3));
            assert_ne!(input(&augment, 3), input(&augment, 4));
        }
    }

    #[test]
    fn without_changes_the_whole_picture_is_seen() {
        let whole = ImageAugment {
            scale: [1.0, 1.0],
            flip: false,
            rand_augment: None,
            erasing: None,
        };
        let picture = pattern(32, 32);
        // the area is the whole, and of all aspects only 1 fits; else the centre is taken, which is
        // the whole again
        let view = whole.input(&picture, 32, MEAN, STD, &mut Seed::root(1).stream());
        assert_eq!(view, to_input(&picture, MEAN, STD));
    }

    #[test]
    fn erasing_makes_one_patch_of_noise_as_often_as_it_should() {
        let erased = |seed: u64| {
            let mut input = vec![9.0; 3 * 32 * 32];
            Erasing { probability: 0.25 }.apply(&mut input, 32, &mut Seed::root(seed).stream());
            input
        };
        let shares: Vec<f64> = (0..2_000)
            .map(|seed| erased(seed).iter().filter(|value| **value != 9.0).count() as f64 / (3.0 * 32.0 * 32.0))
            .filter(|share| *share > 0.0)
            .collect();
        // 500 expected, standard deviation 19
        assert!((420..580).contains(&shares.len()), "{}", shares.len());
        assert!(shares.iter().all(|share| (0.01..0.36).contains(share)), "{shares:?}");
    }

    #[test]
    fn values_that_make_no_sense_are_named() {
        let fault = |change: fn(&mut ImageAugment)| {
            let mut augment = ImageAugment::fine_tuning();
            change(&mut augment);
            augment.fault().unwrap_or_default()
        };
        insta::assert_snapshot!(fault(|a| a.scale = [0.5, 0.2]), @"the scale [0.5, 0.2] is not two rising shares above 0 and up to 1");
        insta::assert_snapshot!(fault(|a| a.scale = [f64::NAN, 1.0]), @"the scale [NaN, 1] is not two rising shares above 0 and up to 1");
        insta::assert_snapshot!(fault(|a| a.erasing = Some(Erasing { probability: 1.5 })), @"the probability 1.5 of erasing is not from 0 to 1");
        let rand_augment = |magnitude, deviation| {
            Some(RandAugment {
                layers: 2,
                magnitude,
                deviation,
            })
        };
        let mut augment = ImageAugment {
            rand_augment: rand_augment(11.0, 0.5),
            ..ImageAugment::fine_tuning()
        };
        insta::assert_snapshot!(augment.fault().unwrap_or_default(), @"the magnitude 11 of RandAugment is not from 0 to 10");
        augment.rand_augment = rand_augment(9.0, f64::INFINITY);
        insta::assert_snapshot!(augment.fault().unwrap_or_default(), @"the deviation inf of RandAugment is not a number from 0");
    }
}

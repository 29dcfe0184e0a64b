//! Augmentation of fine-tuning's inputs and the soft targets that go with it, on the host, drawn
//! per sample and step.
//!
//! Sound is augmented as log-mel energies, which are computed once: a roll of the waveform is a
//! roll of its frames, its magnitude a constant added to its log energies, a sum of two waveforms a
//! sum of energies (without the interference of the two). SpecAugment (arXiv 1904.08779) hides
//! bands of mels and of frames behind silence. Inputs of an encoder of others are treated as what they
//! are: see [`Mixes`].

use super::Finetune;
use super::values::Mixes;
use crate::data::gain::{beta, gain, least};
use crate::data::roll::{roll, silence, sounding_frames};
use crate::plan::{Core, Roll};
use bridle_seed::{Seed, Stream};
use bridle_tasks::pipeline::{Kaldi, NOTHING, Normalise, Pipeline, SpeechBrain, own};
use bridle_tasks::{DataError, Dataset, InputSpec, Views};

/// What a plan's augmentation needs to know.
#[derive(Clone)]
pub struct Augment<'a> {
    /// The plan's values.
    values: &'a Finetune,
    /// The data.
    dataset: &'a Dataset,
    /// What an input is.
    input: InputSpec,
    /// Bands of a spectrogram, and what they are hidden behind.
    masks: Option<(usize, f32)>,
    /// What waves go through again when they were mixed.
    waves: Option<Pipeline>,
    /// Samples that may be mixed in.
    train: &'a [usize],
    /// Whether sound is rolled in time.
    rolls: bool,
}

/// One augmented sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Augmented {
    /// The input, row-major.
    pub values: Vec<f32>,
    /// Soft targets, [C]; those of samples of one class sum to 1.
    pub targets: Vec<f32>,
}

impl<'a> Augment<'a> {
    /// As the plan says.
    pub fn new(values: &'a Finetune, dataset: &'a Dataset, plan: &Core, train: &'a [usize]) -> Self {
        let input = spectrogram(plan).unwrap_or_else(|| plan.fixed_input().clone());
        let masks = match (&input, plan.pipeline()) {
            (&InputSpec::Audio { mels, .. }, _) => Some((mels, silence(&input))),
            (_, Some(Pipeline::Kaldi(Kaldi { mels, .. }) | Pipeline::SpeechBrain(SpeechBrain { mels, .. }))) => {
                Some((*mels, 0.0))
            }
            _ => None,
        };
        let waves = plan.pipeline().filter(|pipeline| Mixes::of(pipeline) == Mixes::Waves);
        let augment = plan.augment.as_ref();
        Self {
            values,
            dataset,
            input,
            masks,
            waves: waves.cloned(),
            train,
            rolls: augment.is_some_and(|augment| augment.roll == Roll::Uniform),
        }
    }

    /// Sample `index` as training sees it, drawn from `seed`.
    ///
    /// # Errors
    /// If a sample that is decoded when it is wanted cannot be read any more.
    pub fn sample(&self, index: usize, seed: &Seed) -> Result<Augmented, DataError> {
        let mut stream = seed.stream();
        let (view, other_view) = (seed.child("view"), seed.child("other view"));
        let mut values = self.single(index, &view, &mut stream)?;
        let mut targets = vec![0.0; self.dataset.classes.len()];
        let mut share = 1.0;
        let partner = |stream: &mut Stream| self.train[stream.below(self.train.len())];
        // pictures are mixed only where the plan says so: the authors build their mixing and never
        // apply it
        let mixes = self.values.batch_mixup.unwrap_or(true);
        if mixes && stream.uniform() < self.values.mixup as f32 {
            share = beta(self.values.mixup_alpha, &mut stream);
            let other = partner(&mut stream);
            let other_values = self.single(other, &other_view, &mut stream)?;
            mix(&mut values, &other_values, share, &self.input);
            if let Some(waves) = &self.waves {
                values = again(waves, &values)?;
            }
            self.add(other, 1.0 - share, &mut targets);
        } else if mixes && stream.uniform() < self.values.cutmix as f32 {
            let other = partner(&mut stream);
            let other_values = self.single(other, &other_view, &mut stream)?;
            share = self.cut(&mut values, &other_values, &mut stream);
            self.add(other, 1.0 - share, &mut targets);
        }
        self.add(index, share, &mut targets);
        if let Some((mels, hidden)) = self.masks {
            let (bands, frames) = (self.values.mel_mask.unwrap_or(0), self.values.frame_mask.unwrap_or(0));
            hide_mels(&mut values, mels, bands, hidden, &mut stream);
            hide_frames(&mut values, mels, frames, hidden, &mut stream);
        }
        values.resize(self.dataset.shape().iter().product(), NOTHING);
        let smoothing = self.values.label_smoothing as f32;
        let classes = targets.len() as f32;
        targets
            .iter_mut()
            .for_each(|target| *target = *target * (1.0 - smoothing) + smoothing / classes);
        Ok(Augmented { values, targets })
    }

    /// `share` of a sample's class or classes.
    fn add(&self, index: usize, share: f64, targets: &mut [f32]) {
        let classes = self.dataset.samples[index].target.classes();
        classes.iter().for_each(|&class| targets[class] += share as f32);
    }

    /// One sample by itself: a view of a picture or video, sound rolled and scaled, as long as it is.
    fn single(&self, index: usize, view: &Seed, stream: &mut Stream) -> Result<Vec<f32>, DataError> {
        let mut values = self.dataset.view(index, Views::FineTuning, view)?.into_owned();
        values.truncate(own(&values).len());
        if self.rolls {
            roll(&mut values, &self.input, stream);
        }
        if self.values.magnitude == Some(true) {
            gain(&mut values, &self.input, stream);
        }
        Ok(values)
    }

    /// CutMix (arXiv 1905.04899): a box over the last two axes comes from the other. Gives the
    /// first one's share: all of a sound where one of the two is shorter than the others.
    fn cut(&self, values: &mut [f32], other: &[f32], stream: &mut Stream) -> f64 {
        let shape = self.input.shape();
        if [values.len(), other.len()] != [shape.iter().product::<usize>(); 2] {
            return 1.0;
        }
        let [height, width] = [shape[shape.len() - 2], shape[shape.len() - 1]];
        let side = (1.0 - beta(self.values.cutmix_alpha, stream)).sqrt();
        let cut = |size: usize, stream: &mut Stream| {
            let (length, centre) = ((size as f64 * side) as usize, stream.below(size));
            (centre.saturating_sub(length / 2), (centre + length / 2).min(size))
        };
        let ((top, bottom), (left, right)) = (cut(height, stream), cut(width, stream));
        let planes = values
            .chunks_exact_mut(height * width)
            .zip(other.chunks_exact(height * width));
        for (plane, other) in planes {
            for row in top..bottom {
                let from = row * width;
                plane[from + left..from + right].copy_from_slice(&other[from + left..from + right]);
            }
        }
        1.0 - ((bottom - top) * (right - left)) as f64 / (height * width) as f64
    }
}

/// The spectrogram that an encoder of others takes in the form of this program's own, if it is one of log energies
/// under constants.
fn spectrogram(plan: &Core) -> Option<InputSpec> {
    let pipeline = plan.pipeline()?;
    let Pipeline::Kaldi(kaldi) = pipeline else {
        return None;
    };
    let Normalise::Constants { mean, std } = kaldi.normalise else {
        return None;
    };
    (Mixes::of(pipeline) == Mixes::Energies).then(|| InputSpec::Audio {
        frames: plan.fixed_input().shape()[0],
        mels: kaldi.mels,
        sample_rate: kaldi.sample_rate,
        mean,
        std,
    })
}

/// A mixture of waves, normalised as its parts were.
fn again(waves: &Pipeline, mixed: &[f32]) -> Result<Vec<f32>, DataError> {
    let rows = waves.sound(mixed).map_err(|error| DataError::WrongInput {
        task: "the encoder's own input pipeline",
        reason: error.to_string(),
    })?;
    Ok(rows.data)
}

/// `share` of the first and the rest of the second: amplitudes of sound, values of pictures. Sound is
/// as long as the first, since waveforms are mixed before they are padded (authors' dataset.py:200):
/// where the second has ended there is the first alone, and the first's padding stays.
fn mix(values: &mut [f32], other: &[f32], share: f64, input: &InputSpec) {
    let InputSpec::Audio { mels, std, .. } = *input else {
        let share = share as f32;
        let others = other.iter().copied().chain(std::iter::repeat(0.0));
        let pairs = values.iter_mut().zip(others);
        pairs.for_each(|(a, b)| *a = share * *a + (1.0 - share) * b);
        return;
    };
    // energies go with the square of amplitudes; y = log energy / (2 std) up to a constant that both
    // share
    let unit = (2.0 * std) as f32;
    let (first, second) = (2.0 * share.ln() as f32, 2.0 * (1.0 - share).ln() as f32);
    let (padding, least) = (silence(input), least(input));
    let [length, others] = [&*values, other].map(|clip| sounding_frames(clip, mels, padding) * mels);
    for (place, value) in values[..length].iter_mut().enumerate() {
        let own = *value * unit + first;
        let mixed = if place < others {
            let theirs = other[place] * unit + second;
            let (high, low) = (own.max(theirs), own.min(theirs));
            high + (low - high).exp().ln_1p()
        } else {
            own
        };
        *value = (mixed / unit).max(least);
    }
}

/// Hides a band of mels: its width uniform below `most`, its place uniform.
fn hide_mels(values: &mut [f32], mels: usize, most: usize, silence: f32, stream: &mut Stream) {
    let (first, last) = band(mels, most, stream);
    values
        .chunks_exact_mut(mels)
        .for_each(|frame| frame[first..last].fill(silence));
}

/// Hides a stretch of frames likewise.
fn hide_frames(values: &mut [f32], mels: usize, most: usize, silence: f32, stream: &mut Stream) {
    let (first, last) = band(values.len() / mels, most, stream);
    values[first * mels..last * mels].fill(silence);
}

fn band(size: usize, most: usize, stream: &mut Stream) -> (usize, usize) {
    if most == 0 {
        return (0, 0);
    }
    let length = (f64::from(stream.uniform()) * most.min(size) as f64) as usize;
    let first = (f64::from(stream.uniform()) * (size - length) as f64) as usize;
    (first, first + length)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test
    use super::*;

    /// Log energies of two frames of two mels, of waveforms of `frames` frames, padded to three.
    fn clip(energies: [f32; 4], frames: usize, input: &InputSpec) -> Vec<f32> {
        let InputSpec::Audio { mean, std, .. } = *input else {
            unreachable!("sound")
        };
        let sound = energies[..2 * frames]
            .iter()
            .map(|energy| energy.max(f32::EPSILON).ln());
        let padded = sound.chain(std::iter::repeat(0.0)).take(6);
        padded.map(|log| (log - mean as f32) / (2.0 * std as f32)).collect()
    }

    #[test]
    fn mixing_is_that_of_waveforms_which_are_padded_afterwards() {
        let input = InputSpec::Audio {
            frames: 3,
            mels: 2,
            sample_rate: 16_000,
            mean: -6.0,
            std: 5.0,
        };
        let (long, short) = ([3.0, 0.0, 0.5, 0.0], [1.0, 0.0, 9.0, 9.0]);
        let share = 0.3f32;
        let (own, theirs) = (share.powi(2), (1.0 - share).powi(2));
        for (first, frames, second, others) in [(long, 2, short, 1), (short, 1, long, 2), (long, 2, long, 2)] {
            let mut found = clip(first, frames, &input);
            mix(&mut found, &clip(second, others, &input), f64::from(share), &input);
            let energy = |place: usize| {
                let second = if place < 2 * others { second[place] } else { 0.0 };
                own * first[place] + theirs * second
            };
            let expected = clip([0, 1, 2, 3].map(energy), frames, &input);
            let error = found
                .iter()
                .zip(&expected)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(error < 1e-5, "{found:?}, not {expected:?}");
        }
    }

    #[test]
    fn amplitudes_of_waves_are_mixed_and_silence_follows_the_shorter() {
        let wave = Pipeline::Wave(bridle_tasks::pipeline::Wave {
            sample_rate: 16_000,
            normalise: Some(1e-7),
        });
        let fixed = bridle_tasks::pipeline::FixedPipeline::new(wave.clone(), Some(4)).unwrap();
        let mut values = [1.0, 3.0, 1.0, 3.0];
        mix(&mut values, &[5.0, 1.0], 0.25, &InputSpec::Pipeline(fixed));
        assert_eq!(values, [4.0, 1.5, 0.25, 0.75]);
        let again = again(&wave, &values).unwrap();
        let (mean, square) = again
            .iter()
            .fold((0.0, 0.0), |(mean, square), x| (mean + x / 4.0, square + x * x / 4.0));
        assert!(mean.abs() < 1e-5 && (square - 1.0).abs() < 1e-5, "{again:?}");
    }

    #[test]
    fn bands_stay_inside_and_below_their_greatest_length() {
        let mut stream = Seed::root(2).stream();
        let bands: Vec<(usize, usize)> = (0..1000).map(|_| band(20, 8, &mut stream)).collect();
        assert!(
            bands
                .iter()
                .all(|&(first, last)| first <= last && last <= 20 && last - first < 8)
        );
        assert!(bands.iter().any(|&(first, last)| last - first == 7));
        assert_eq!(band(20, 0, &mut stream), (0, 0));
        assert!((0..100).all(|_| band(4, 100, &mut stream).1 <= 4));
    }
}

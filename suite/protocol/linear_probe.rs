//! Linear probe: multinomial logistic regression on frozen, mean-pooled features, computed once;
//! for samples of several classes one binary regression per class.
//!
//! Features are standardised with the training samples' mean and deviation. Every learning rate of
//! a closed list is tried side by side on the training samples less a held-out part, the best one
//! on that part is taken (the smaller on a tie), and the probe is trained anew on all training
//! samples. The test samples are looked at once, at the end.

use super::features::{Choice, Features, has_several, quality};
use super::hold_out::{divisions, enough_parts, qualities};
use super::scale::Scale;
use super::{Evaluate, Outcome, Protocol, Subject, Taught, ctc};
use crate::data::{Fixed, Utterances};
use crate::plan::{Choices, Core, Judging, Section, Stage, Takes};
use crate::train::TrainError;
use bridle_backends::TrainBackend;
use bridle_seed::Seed;
use bridle_values::check::{Checked, at_least_one, held_out, not_negative, positive, require};
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Values of the linear probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinearProbe {
    #[serde(flatten)]
    values: Taught<Probe>,
    /// The encoder's layer that is read, from 1; None: its output, the last layer's after the final
    /// norm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layer: Option<usize>,
}

/// Values on classes: multinomial regression on frozen, mean-pooled features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    pub epochs: usize,
    /// Closed list of learning rates; one is chosen on held-out training samples, never on the test
    /// samples.
    pub rates: Vec<f64>,
    pub batch: usize,
    pub weight_decay: f64,
    /// Share of the training samples held out to choose the rate; a fold, where there are several.
    pub holdout: f64,
    /// Parts of a cross-validation, or the folds, each held out in turn to choose the rate; None: only one part is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<usize>,
    /// Whether each feature is brought to mean 0 and deviation 1, as measured on the training
    /// samples.
    pub standardise: bool,
}

impl Section for LinearProbe {
    const STAGE: Stage = Stage::Judging;
    const UNWRITTEN: &'static [(&'static str, &'static str)] = &[("layer", "null"), ("parts", "null")];

    fn decided(choices: &Choices<'_>) -> Value {
        ctc::decided(choices)
    }

    fn check(&self, plan: &Core) -> Checked {
        let depth = plan.model.depth();
        require(
            self.layer.is_none_or(|layer| (1..=depth).contains(&layer)),
            "probe.layer",
            || match depth {
                0 => "must be none: given vectors have no layers".to_owned(),
                _ => format!("must be between 1 and model.depth, {depth}, or none"),
            },
        )?;
        match &self.values {
            Taught::Classes(probe) => probe.check(),
            Taught::Transcripts(training) => training.check("probe", plan),
        }
    }
}

impl LinearProbe {
    pub const fn classes(&self) -> Option<&Probe> {
        self.values.classes()
    }
}

impl Judging for LinearProbe {
    const TRAINS_ENCODER: bool = false;
    const TAKES: Takes = Takes::Any;
    const TAKES_VECTORS: bool = true;
    const OVER_RANKS: bool = true;

    /// A classifier is trained by every rank alike.
    fn shared_batch(&self) -> Option<usize> {
        match &self.values {
            Taught::Classes(_) => None,
            Taught::Transcripts(training) => Some(training.batch),
        }
    }
}

impl Probe {
    fn check(&self) -> Checked {
        at_least_one("probe.epochs", self.epochs)?;
        at_least_one("probe.batch", self.batch)?;
        require(!self.rates.is_empty(), "probe.rates", || {
            "the list of rates is empty".to_owned()
        })?;
        self.rates.iter().try_for_each(|&rate| positive("probe.rates", rate))?;
        not_negative("probe.weight_decay", self.weight_decay)?;
        held_out("probe.holdout", self.holdout)?;
        enough_parts("probe.parts", self.parts)
    }
}

/// On speech: a linear CTC layer over the frozen encoder's frames.
impl<B: TrainBackend> Evaluate<B> for LinearProbe {
    fn classes(&self, subject: &Subject<'_, B, Fixed<'_>>) -> Result<Outcome, TrainError> {
        let probe = self.values.for_classes();
        let what = format!("linear-probe: {} epochs, {} rates", probe.epochs, probe.rates.len());
        subject.progress.say(&what);
        let of_layer = match self.layer {
            None => None,
            layer => Some(subject.features_at(layer)?),
        };
        let (train, test) = match &of_layer {
            None => subject.features()?,
            Some(features) => features,
        };
        let (seed, classes) = (subject.seed.child("linear-probe"), subject.classes());
        let found = run::<B::InnerBackend>(train, test, classes, probe, seed, subject.device);
        let mut found = subject.of_features(found);
        if let Some(layer) = self.layer {
            let features = json!(format!("mean of patch tokens after layer {layer}"));
            found.details.insert("features".to_owned(), features);
        }
        Ok(found)
    }

    fn transcripts(&self, subject: &Subject<'_, B, Utterances<'_>>) -> Result<Outcome, TrainError> {
        let recipe = ctc::Recipe {
            protocol: Protocol::LinearProbe,
            values: self.values.for_transcripts(),
            encoder: ctc::EncoderUse::Frozen { layer: self.layer },
            head: ctc::linear_head::<B>,
        };
        ctc::evaluate(&recipe, subject)
    }
}

/// Trains and applies the probe.
fn run<B: Backend>(
    train: &Features,
    test: &Features,
    classes: usize,
    probe: &Probe,
    seed: Seed,
    device: &B::Device,
) -> Outcome {
    let (divisions, rule) = divisions(train, probe.holdout, probe.parts, seed.child("hold-out"));
    let qualities = qualities(train, &divisions, probe.rates.len(), |fit, judge| {
        let scale = Scale::of(fit, probe.standardise);
        let models = fit_all::<B>(fit, &scale, classes, &probe.rates, probe, seed.child("choose"), device);
        let scores = models.scores(judge, &scale, device);
        let each = scores.chunks_exact(judge.len() * classes);
        each.map(|scores| quality(scores, &judge.targets, classes)).collect()
    });
    let chosen = Choice::new("rate", &probe.rates, &qualities, train, rule);
    let scale = Scale::of(train, probe.standardise);
    let rates = [chosen.best];
    let model = fit_all::<B>(train, &scale, classes, &rates, probe, seed.child("final"), device);
    Outcome::of_scores("linear-probe", model.scores(test, &scale, device), chosen.details)
}

/// Probes side by side: weights [P, D, C], biases [P, 1, C].
struct Probes<B: Backend> {
    weights: Tensor<B, 3>,
    biases: Tensor<B, 3>,
}

impl<B: Backend> Probes<B> {
    /// Class scores of every probe, row-major [P, n, C].
    fn scores(&self, features: &Features, scale: &Scale, device: &B::Device) -> Vec<f32> {
        let x: Tensor<B, 2> = scale.apply(features, device);
        let logits = x
            .unsqueeze::<3>()
            .expand_to(self.weights.dims()[0])
            .matmul(self.weights.clone());
        (logits + self.biases.clone()).into_data().iter::<f32>().collect()
    }
}

trait ExpandTo {
    fn expand_to(self, probes: usize) -> Self;
}

impl<B: Backend> ExpandTo for Tensor<B, 3> {
    fn expand_to(self, probes: usize) -> Self {
        let [_, rows, dim] = self.dims();
        self.expand([probes, rows, dim])
    }
}

/// 1 where a sample is of a class, [b, C].
fn hot<B: Backend>(features: &Features, rows: &[usize], classes: usize, device: &B::Device) -> Tensor<B, 2> {
    let mut values = vec![0f32; rows.len() * classes];
    for (row, &sample) in values.chunks_exact_mut(classes).zip(rows) {
        features.targets[sample]
            .classes()
            .iter()
            .for_each(|&class| row[class] = 1.0);
    }
    Tensor::from_data(TensorData::new(values, [rows.len(), classes]), device)
}

/// One probe per rate, all on the same batches: AdamW with a cosine to 0 on the mean cross-entropy
/// (binary, summed over classes, for samples of several classes), from zero weights.
fn fit_all<B: Backend>(
    features: &Features,
    scale: &Scale,
    classes: usize,
    rates: &[f64],
    probe: &Probe,
    seed: Seed,
    device: &B::Device,
) -> Probes<B> {
    const BETAS: [f64; 2] = [0.9, 0.999];
    const EPSILON: f64 = 1e-8;
    let (count, dim, n) = (rates.len(), features.dim, features.len());
    let x: Tensor<B, 2> = scale.apply(features, device);
    let several = has_several(&features.targets);
    let rates: Vec<f32> = rates.iter().map(|&rate| rate as f32).collect();
    let rates: Tensor<B, 3> = Tensor::from_data(TensorData::new(rates, [count, 1, 1]), device);
    let batch = probe.batch.min(n);
    let steps_per_epoch = n / batch;
    let steps = steps_per_epoch * probe.epochs;
    // weights and bias as one matrix [P, D + 1, C], the input's last column being 1
    let x = Tensor::cat(vec![x, Tensor::ones([n, 1], device)], 1);
    let mut weights: Tensor<B, 3> = Tensor::zeros([count, dim + 1, classes], device);
    let (mut first, mut second) = (weights.zeros_like(), weights.zeros_like());
    let mut order = Vec::new();
    for step in 0..steps {
        let place = step % steps_per_epoch;
        if place == 0 {
            order = seed.indexed((step / steps_per_epoch) as u64).stream().permutation(n);
        }
        let rows = &order[place * batch..(place + 1) * batch];
        let hot = hot::<B>(features, rows, classes, device).unsqueeze::<3>();
        let rows = bridle::codebook::index_rows::<B>(rows, device);
        let input = x.clone().select(0, rows).unsqueeze::<3>().expand_to(count); // [P, b, D + 1]
        let logits = input.clone().matmul(weights.clone());
        let likely = if several { sigmoid(logits) } else { softmax(logits, 2) };
        let error = likely - hot; // [P, b, C]
        let grad = input.swap_dims(1, 2).matmul(error).div_scalar(batch as f64);
        first = first.mul_scalar(BETAS[0]) + grad.clone().mul_scalar(1.0 - BETAS[0]);
        second = second.mul_scalar(BETAS[1]) + grad.square().mul_scalar(1.0 - BETAS[1]);
        let time = (step + 1) as i32;
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / steps as f64).cos());
        let corrected = second
            .clone()
            .div_scalar(1.0 - BETAS[1].powi(time))
            .sqrt()
            .add_scalar(EPSILON);
        let move_by = first.clone().div_scalar(1.0 - BETAS[0].powi(time)) / corrected
            + weights.clone().mul_scalar(probe.weight_decay);
        weights = weights - move_by * rates.clone().mul_scalar(cosine);
    }
    Probes {
        weights: weights.clone().narrow(1, 0, dim),
        biases: weights.narrow(1, dim, 1),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test
    use super::*;
    use bridle_tasks::Target;
    use burn_flex::Flex;

    /// `n` samples of `classes` classes; feature 0 and 1 tell the class as an angle, the rest is
    /// noise.
    fn clouds(n: usize, classes: usize, noise: f32, seed: u64) -> Features {
        let mut stream = Seed::root(seed).stream();
        let dim = 6;
        let mut values = Vec::new();
        for sample in 0..n {
            let angle = (sample % classes) as f32 / classes as f32 * std::f32::consts::TAU;
            values.extend([
                angle.cos() + noise * stream.normal(),
                angle.sin() + noise * stream.normal(),
            ]);
            values.extend((2..dim).map(|_| 5.0 + stream.normal()));
        }
        Features {
            values,
            dim,
            targets: (0..n).map(|sample| Target::Class(sample % classes)).collect(),
            groups: vec![None; n],
            sources: vec![None; n],
        }
    }

    fn probe() -> Probe {
        Probe {
            epochs: 30,
            rates: vec![1e-4, 1e-2],
            batch: 16,
            weight_decay: 0.0,
            holdout: 0.25,
            parts: None,
            standardise: true,
        }
    }

    fn scores_of(found: &Outcome) -> &[f32] {
        found.predictions[0].values.scores()
    }

    fn accuracy(outcome: &Outcome, test: &Features, classes: usize) -> f64 {
        quality(scores_of(outcome), &test.targets, classes)
    }

    #[test]
    fn clear_classes_are_found_and_pure_noise_is_not() {
        let (train, test) = (clouds(200, 5, 0.1, 0), clouds(400, 5, 0.1, 1));
        let outcome = run::<Flex>(&train, &test, 5, &probe(), Seed::root(2), &Default::default());
        assert!(accuracy(&outcome, &test, 5) > 0.95);
        assert_eq!(outcome.details["rate"], json!(1e-2));
        let mut shuffled = train.clone();
        Seed::root(3).stream().shuffle(&mut shuffled.targets);
        let outcome = run::<Flex>(&shuffled, &test, 5, &probe(), Seed::root(2), &Default::default());
        assert!((accuracy(&outcome, &test, 5) - 0.2).abs() < 0.2);
    }

    #[test]
    fn the_test_samples_decide_nothing() {
        let (train, test) = (clouds(100, 5, 0.3, 0), clouds(50, 5, 0.3, 1));
        let mut lied = test.clone();
        lied.targets.iter_mut().for_each(|target| *target = Target::Class(0));
        let run = |test: &Features| run::<Flex>(&train, test, 5, &probe(), Seed::root(2), &Default::default());
        let (seen, lied) = (run(&test), run(&lied));
        assert_eq!(scores_of(&seen), scores_of(&lied));
        assert_eq!(seen.details, lied.details);
    }
}

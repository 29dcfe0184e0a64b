//! Fine-tuning: the whole encoder and a head, trained on the classes (values as in the authors'
//! scripts, see the plan).
//!
//! The mean of the patch tokens, or what an encoder of others pools, goes under a norm of its own into
//! a linear head. Deeper layers learn faster (layer-wise rate decay); inputs are augmented and mixed,
//! targets are soft. The test samples are predicted once, with the weights of the last step: no epoch
//! is chosen on them.

mod augment;
mod foreign;
mod own;
mod values;

use super::features::{Choice, Features, quality, targets};
use super::hold_out::HoldOut;
use super::training::{Length, Training};
use super::{Evaluate, Judged, Outcome, Protocol, Subject, Taught, ctc, shared_part};
use crate::data::{Fixed, Order, Part, Utterances, fixed};
use crate::train::TrainError;
use crate::train::schedule::Schedule;
use augment::{Augment, Augmented};
use bridle::classifier::{Dropped, branch_factor, drop_rates};
use bridle::loss::{binary_cross_entropy, soft_cross_entropy};
use bridle::mask::{Mask, MaskRows};
use bridle::optimizer::{ParameterGroups, Trained};
use bridle::transformer::BranchFactors;
use bridle_backends::TrainBackend;
use bridle_backends::kernel::ranks;
use bridle_results::stats::{Trend, is_unlearnt};
use bridle_seed::Seed;
use bridle_tasks::{DataError, Progress, sampling_weights};
use burn::module::AutodiffModule;
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Tensor, TensorData};
use foreign::Foreign;
pub use foreign::ForeignClassifier;
use own::Own;
use serde_json::{Map, json};
pub use values::{Finetune, FinetuneLoss, Sampler};

/// The name of its steps, in messages and in the log.
const PHASE: &str = "finetune";
/// Share of every class that is held out to choose a rate, of data without folds.
const HELD_OUT: f64 = 0.2;
/// A learning curve has so many points or a few more.
const CURVE_POINTS: usize = 24;

/// On speech: the whole encoder and a linear CTC layer.
impl<B: TrainBackend> Evaluate<B> for Taught<Finetune> {
    fn classes(&self, subject: &Subject<'_, B, Fixed<'_>>) -> Result<Outcome, TrainError> {
        let values = self.for_classes();
        let seed = subject.seed.child(PHASE);
        match subject.judged {
            Judged::Foreign(theirs) => Run {
                subject,
                values,
                seed,
                tuned: Foreign::new(subject, theirs, values),
            }
            .outcome(),
            _ => Run {
                subject,
                values,
                seed,
                tuned: Own { subject, values },
            }
            .outcome(),
        }
    }

    fn transcripts(&self, subject: &Subject<'_, B, Utterances<'_>>) -> Result<Outcome, TrainError> {
        let recipe = ctc::Recipe {
            protocol: Protocol::Finetune,
            values: self.for_transcripts(),
            encoder: ctc::EncoderUse::Trained,
            head: ctc::linear_head::<B>,
        };
        ctc::evaluate(&recipe, subject)
    }
}

/// What is fine-tuned: an encoder, a norm and a linear head.
trait Tuned<B: TrainBackend> {
    type Model: AutodiffModule<B>;
    type Layers: ParameterGroups;

    /// The model before training, its new parameters drawn from this seed.
    fn model(&self, weights: Seed) -> Self::Model;

    /// The rates of its layers.
    fn layers(&self) -> Self::Layers;

    /// Blocks of the encoder, whose branches may be dropped.
    fn blocks(&self) -> usize;

    /// How an encoder's tokens become one vector, in words.
    fn pooling(&self) -> String;

    /// Class scores [B, C] of augmented inputs, one after the other, and how many they are.
    fn logits(&self, model: &Self::Model, inputs: Vec<f32>, samples: usize, dropped: Dropped<B>) -> Tensor<B, 2>;

    /// The same without gradients, of the data's inputs.
    ///
    /// # Errors
    /// If the data is not what it was when it was opened.
    fn scores(
        &self,
        model: &<Self::Model as AutodiffModule<B>>::InnerModule,
        inputs: Vec<f32>,
        samples: usize,
    ) -> Result<Tensor<B::InnerBackend, 2>, DataError>;
}

struct Run<'a, 'd, B: TrainBackend, T> {
    subject: &'a Subject<'a, B, Fixed<'d>>,
    values: &'a Finetune,
    seed: Seed,
    tuned: T,
}

impl<'a, 'd, B: TrainBackend, T: Tuned<B>> Run<'a, 'd, B, T> {
    fn outcome(&self) -> Result<Outcome, TrainError> {
        let subject = self.subject;
        let chosen = self.choose()?;
        let rate = chosen.as_ref().map_or(self.values.rate, |chosen| chosen.best);
        let training = self.train(PHASE, subject.train, rate, None)?;
        let scores = self.scores(&training.model.valid(), subject.test, "finetune: test")?;
        let (first, last) = training.loss();
        let mut all = chosen.map_or_else(Map::new, |chosen| chosen.details);
        let pooling = format!("{}, then a norm of its own", self.tuned.pooling());
        let details = [
            ("train_n", json!(subject.train.len())),
            ("steps", json!(training.steps())),
            ("loss_first", json!(first)),
            ("loss_last", json!(last)),
            ("weights", json!("those of the last step")),
            ("pooling", json!(pooling)),
        ];
        all.remove("features");
        let rises = all.get("under_trained") == Some(&json!(true));
        all.insert("under_trained".to_owned(), json!(rises || is_unlearnt(first, last)));
        all.extend(details.map(|(name, value)| (name.to_owned(), value)));
        Ok(Outcome::of_scores(PHASE, scores, all))
    }

    /// The rate that is best on a held-out part of the training samples, with the learning curve there,
    /// and whether that still rises. None where the plan says the rate.
    fn choose(&self) -> Result<Option<Choice<f64>>, TrainError> {
        let (subject, rates) = (self.subject, &self.values.rates);
        if rates.is_empty() {
            return Ok(None);
        }
        let known = Features::without_values(subject.data.dataset, subject.train);
        let held_out = HoldOut::of(&known, HELD_OUT, self.seed.child("hold-out"));
        let samples = |places: &[usize]| places.iter().map(|&place| subject.train[place]).collect::<Vec<_>>();
        let (kept, watched) = (samples(&held_out.kept), samples(&held_out.places));
        let mut curves = Vec::new();
        for (number, &rate) in (1..).zip(rates) {
            subject
                .progress
                .say(&format!("finetune: rate {number} of {}, {rate}", rates.len()));
            let name = format!("finetune-rate-{number}");
            let training = self.train(&name, &kept, rate, Some(&watched))?;
            curves.push((training.curve().to_vec(), training.steps()));
        }
        let last = |(curve, _): &(Vec<(u64, f64)>, u64)| curve.last().map_or(0.0, |(_, quality)| *quality);
        let qualities: Vec<f64> = curves.iter().map(last).collect();
        let mut chosen = Choice::new("rate", rates, &qualities, &known, held_out.in_words());
        let place = rates.iter().position(|&rate| rate == chosen.best);
        let (curve, steps) = &curves[place.expect("one of them was chosen")];
        let epoch = *steps as f64 / self.values.epochs as f64;
        let curve: Vec<(f64, f64)> = curve
            .iter()
            .map(|(step, quality)| (*step as f64 / epoch, *quality))
            .collect();
        chosen.details.insert("learning_curve".to_owned(), json!(curve));
        if let Some(trend) = Trend::of_end(&curve) {
            chosen.details.insert("under_trained".to_owned(), json!(trend.rises()));
            chosen.details.insert("trend".to_owned(), json!(trend));
        }
        Ok(Some(chosen))
    }

    /// Trains on these samples as phase `name`. With `watched` samples, the curve is how good the model
    /// is there.
    fn train(
        &self,
        name: &str,
        samples: &[usize],
        rate: f64,
        watched: Option<&[usize]>,
    ) -> Result<Training<B, T::Model, T::Layers>, TrainError> {
        let (subject, values) = (self.subject, self.values);
        let model = self.tuned.model(self.seed.child("weights"));
        let model = Trained::with_groups(model, values.adamw, self.tuned.layers());
        let mut training = Training::open(subject, name, model)?;
        let order = self.order(samples);
        let part = shared_part(Protocol::Finetune, order.batch())?;
        let length = Length {
            steps_per_epoch: order.steps_per_epoch(),
            batch: values.batch,
            schedule: Schedule {
                rate,
                least: values.least_rate.min(rate),
                warmup_epochs: values.warmup_epochs,
                epochs: values.epochs as f64,
            },
            share: part.share(),
        };
        let loss = |model: &T::Model, batch, step| self.loss(model, batch, step, part);
        let inputs = self.inputs(order, part, samples);
        let Some(watched) = watched else {
            training.run(subject, &length, inputs, loss)?;
            return Ok(training);
        };
        let targets = targets(subject.data.dataset, watched);
        let every = length.steps_per_epoch * values.epochs.div_ceil(CURVE_POINTS) as u64;
        let all = length.steps_per_epoch * values.epochs as u64;
        training.run_watched(subject, &length, inputs, loss, |model, done| {
            if !done.is_multiple_of(every) && done != all {
                return Ok(None);
            }
            let scores = self.scores(&model.valid(), watched, "finetune: held-out")?;
            Ok(Some(quality(&scores, &targets, subject.classes())))
        })?;
        Ok(training)
    }

    /// Training samples in their order: every one once an epoch, or drawn by weight.
    fn order(&self, train: &[usize]) -> Order {
        let seed = self.seed.child("order");
        let weights = || sampling_weights(self.subject.data.dataset, train);
        let drawn = self.values.epoch_samples.unwrap_or(train.len());
        match self.values.sampler {
            Sampler::Shuffle => Order::shuffled(train, self.values.batch, seed),
            Sampler::Weighted => Order::weighted(train, &weights(), drawn, self.values.batch, seed),
            Sampler::WeightedOnce => Order::weighted_once(train, weights(), drawn, self.values.batch, seed),
        }
    }

    /// Makes the augmented inputs and targets of a step's samples, on any thread.
    fn inputs<'s>(
        &self,
        order: Order,
        part: Part,
        samples: &'s [usize],
    ) -> impl Fn(u64) -> Result<Augmented, DataError> + Send + Sync + use<'a, 'd, 's, B, T>
    where
        'a: 's,
    {
        let (plan, dataset) = (self.subject.plan, self.subject.data.dataset);
        let augment = Augment::new(self.values, dataset, plan, samples);
        let seed = self.seed.child("augment");
        move |step| {
            let (mut values, mut targets) = (Vec::new(), Vec::new());
            for placed in Part::placed(&[part], &order.at(step)) {
                let drawn = augment.sample(placed.sample, &seed.indexed(step).indexed(placed.place as u64))?;
                values.extend(drawn.values);
                targets.extend(drawn.targets);
            }
            Ok(Augmented { values, targets })
        }
    }

    /// The loss of this rank's part of an augmented batch.
    fn loss(&self, model: &T::Model, batch: Augmented, step: u64, part: Part) -> Tensor<B, 1> {
        let subject = self.subject;
        let samples = batch.targets.len() / subject.classes();
        let targets = TensorData::new(batch.targets, [samples, subject.classes()]);
        let targets: Tensor<B, 2> = Tensor::from_data(targets, subject.device);
        let dropped = Dropped {
            tokens: self.token_mask(part, &self.seed.child("tokens").indexed(step)),
            branches: self.branches(part, &self.seed.child("drop-path").indexed(step)),
        };
        let logits = self.tuned.logits(model, batch.values, samples, dropped);
        match self.values.loss {
            FinetuneLoss::CrossEntropy => soft_cross_entropy(logits, targets),
            FinetuneLoss::Binary => binary_cross_entropy(logits, targets),
        }
    }

    /// Whole rows of time and of mels are left out, as in pretraining's 2-D mask.
    fn token_mask(&self, part: Part, seed: &Seed) -> Option<MaskRows<B>> {
        let share = self.values.token_mask.filter(|&share| share > 0.0)?;
        let [times, mels, _] = self.subject.plan.grid();
        let noise = |name: &str, count: usize| {
            let mut stream = seed.child(name).stream();
            let all: Vec<f32> = (0..part.of * count).map(|_| stream.uniform()).collect();
            part.cut(&all).to_vec()
        };
        let mask = Mask::time_frequency(
            &noise("time", times),
            &noise("mel", mels),
            [times, mels],
            [share, share],
        );
        Some(mask.upload(self.subject.device))
    }

    fn branches(&self, part: Part, seed: &Seed) -> Vec<Option<BranchFactors<B>>> {
        let rates = drop_rates(self.values.drop_path, self.tuned.blocks());
        let block = |(index, &rate): (usize, &f64)| {
            let mut stream = seed.indexed(index as u64).stream();
            let mut factor = || {
                let kept: Vec<bool> = (0..part.of).map(|_| f64::from(stream.uniform()) >= rate).collect();
                branch_factor(part.cut(&kept), rate, self.subject.device)
            };
            (rate > 0.0).then(|| BranchFactors {
                attention: factor(),
                mlp: factor(),
            })
        };
        rates.iter().enumerate().map(block).collect()
    }

    /// Class scores of these samples, row-major [n, C].
    fn scores(
        &self,
        model: &<T::Model as AutodiffModule<B>>::InnerModule,
        samples: &[usize],
        what: &str,
    ) -> Result<Vec<f32>, DataError> {
        let Subject { data, progress, .. } = *self.subject;
        let ranks = ranks();
        let test = &samples[ranks.part(samples.len())];
        let mut scores = Vec::with_capacity(test.len() * self.subject.classes());
        progress.start(what, test.len() as u64);
        let clips = self.subject.plan.test_clips();
        if clips > 1 {
            for &sample in test {
                let views = data.dataset.test_views(sample, clips)?;
                let logits = self.tuned.scores(model, views.concat(), views.len())?;
                let chances = match self.values.loss {
                    FinetuneLoss::CrossEntropy => softmax(logits, 1),
                    FinetuneLoss::Binary => sigmoid(logits),
                };
                scores.extend(chances.mean_dim(0).into_data().iter::<f32>());
                progress.advance(1);
            }
        } else {
            for samples in test.chunks(self.values.batch) {
                let inputs = fixed::values(data.dataset, samples)?;
                let logits = self.tuned.scores(model, inputs, samples.len())?;
                scores.extend(logits.into_data().iter::<f32>());
                progress.advance(samples.len() as u64);
            }
        }
        progress.finish();
        Ok(ranks.required(ranks.gather_values(scores)))
    }
}

//! Fine-tuning: the whole encoder and a head, trained on the classes (values as in the authors'
//! scripts, see the plan).
//!
//! The mean of the patch tokens, under a norm of its own, goes into a linear head. Deeper layers
//! learn faster (layer-wise rate decay); inputs are augmented and mixed, targets are soft. The test
//! samples are predicted once, with the weights of the last step: no epoch is chosen on them.

mod augment;
mod values;

use super::training::{Length, Training};
use super::{Evaluate, Outcome, Protocol, Subject, Taught, ctc, shared_part};
use crate::data::{Fixed, Order, Part, Utterances, fixed};
use crate::plan::Roll;
use crate::train::TrainError;
use crate::train::schedule::{LayerDecay, Schedule};
use augment::{Augment, Augmented};
use bridle::classifier::{Classifier, Dropped, branch_factor, drop_rates};
use bridle::init::Init;
use bridle::loss::{binary_cross_entropy, soft_cross_entropy};
use bridle::mask::{Mask, MaskRows};
use bridle::optimizer::{ParameterGroups, Trained};
use bridle::transformer::BranchFactors;
use bridle_backends::TrainBackend;
use bridle_backends::kernel::ranks;
use bridle_seed::Seed;
use bridle_tasks::{DataError, Progress, sampling_weights};
use burn::module::AutodiffModule;
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Tensor, TensorData};
use serde_json::{Map, json};
pub use values::{Finetune, FinetuneLoss, Sampler};

/// The name of its steps, in messages and in the log.
const PHASE: &str = "finetune";

/// On speech: the whole encoder and a linear CTC layer.
impl<B: TrainBackend> Evaluate<B> for Taught<Finetune> {
    fn classes(&self, subject: &Subject<'_, B, Fixed<'_>>) -> Result<Outcome, TrainError> {
        let run = Run {
            subject,
            values: self.for_classes(),
            seed: subject.seed.child(PHASE),
        };
        let training = run.train()?;
        let scores = run.scores(&training.model.valid())?;
        let (first, last) = training.loss();
        let details = [
            ("train_n", json!(subject.train.len())),
            ("steps", json!(training.steps())),
            ("loss_first", json!(first)),
            ("loss_last", json!(last)),
            ("weights", json!("those of the last step")),
            ("pooling", json!("mean of patch tokens, then a norm of its own")),
        ];
        let details = details.map(|(name, value)| (name.to_owned(), value));
        Ok(Outcome::of_scores(PHASE, scores, Map::from_iter(details)))
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

struct Run<'a, 'd, B: TrainBackend> {
    subject: &'a Subject<'a, B, Fixed<'d>>,
    values: &'a Finetune,
    seed: Seed,
}

/// Layer-wise rates; no decay of the class token and of 1-D parameters.
struct Layers(LayerDecay);

impl ParameterGroups for Layers {
    fn rate_scale(&self, name: &str) -> f64 {
        let name = name.strip_prefix("encoder.").unwrap_or(name);
        self.0.scale(self.0.layer(name))
    }

    fn decays(&self, name: &str, axes: usize) -> bool {
        axes > 1 && name != "encoder.cls_token"
    }
}

impl<'a, 'd, B: TrainBackend> Run<'a, 'd, B> {
    fn train(&self) -> Result<Training<B, Classifier<B>, Layers>, TrainError> {
        let (subject, values) = (self.subject, self.values);
        let init = Init::<B>::new(self.seed.child("weights"), subject.device);
        let model = Classifier::new(subject.trainable(), subject.classes(), &init);
        let layers = Layers(LayerDecay {
            decay: values.layer_decay,
            blocks: subject.encoder().blocks.len(),
        });
        let model = Trained::with_groups(model, values.adamw, layers);
        let mut training = Training::open(subject, PHASE, model)?;
        let order = self.order();
        let part = shared_part(Protocol::Finetune, order.batch())?;
        let length = Length {
            steps_per_epoch: order.steps_per_epoch(),
            batch: values.batch,
            schedule: Schedule {
                rate: values.rate,
                least: values.least_rate,
                warmup_epochs: values.warmup_epochs,
                epochs: values.epochs as f64,
            },
            share: part.share(),
        };
        let loss = |model: &Classifier<B>, batch, step| self.loss(model, batch, step, part);
        training.run(subject, &length, self.inputs(order, part), loss)?;
        Ok(training)
    }

    /// The training samples in their order: every one once an epoch, or drawn by weight.
    fn order(&self) -> Order {
        let seed = self.seed.child("order");
        let train = self.subject.train;
        let weights = || sampling_weights(self.subject.data.dataset, train);
        let drawn = self.values.epoch_samples.unwrap_or(train.len());
        match self.values.sampler {
            Sampler::Shuffle => Order::shuffled(train, self.values.batch, seed),
            Sampler::Weighted => Order::weighted(train, &weights(), drawn, self.values.batch, seed),
            Sampler::WeightedOnce => Order::weighted_once(train, weights(), drawn, self.values.batch, seed),
        }
    }

    /// Makes the augmented inputs and targets of a step's samples, on any thread.
    fn inputs(
        &self,
        order: Order,
        part: Part,
    ) -> impl Fn(u64) -> Result<Augmented, DataError> + Send + Sync + use<'a, 'd, B> {
        let (plan, dataset) = (self.subject.plan, self.subject.data.dataset);
        let augment = Augment {
            values: self.values,
            dataset,
            input: plan.fixed_input(),
            train: self.subject.train,
            rolls: plan
                .augment
                .as_ref()
                .is_some_and(|augment| augment.roll == Roll::Uniform),
        };
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
    fn loss(&self, model: &Classifier<B>, batch: Augmented, step: u64, part: Part) -> Tensor<B, 1> {
        let subject = self.subject;
        let samples = batch.targets.len() / subject.classes();
        let x = fixed::on_device(batch.values, samples, subject.encoder().geometry(), subject.device);
        let targets = TensorData::new(batch.targets, [samples, subject.classes()]);
        let targets: Tensor<B, 2> = Tensor::from_data(targets, subject.device);
        let dropped = Dropped {
            tokens: self.token_mask(part, &self.seed.child("tokens").indexed(step)),
            branches: self.branches(part, &self.seed.child("drop-path").indexed(step)),
        };
        let logits = model.logits(x, &dropped);
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
        let rates = drop_rates(self.values.drop_path, self.subject.encoder().blocks.len());
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

    /// Class scores of the test samples, row-major [n, C].
    fn scores(&self, model: &Classifier<B::InnerBackend>) -> Result<Vec<f32>, DataError> {
        let Subject {
            data,
            test,
            device,
            progress,
            ..
        } = *self.subject;
        let encoder = self.subject.encoder();
        let ranks = ranks();
        let test = &test[ranks.part(test.len())];
        let mut scores = Vec::with_capacity(test.len() * self.subject.classes());
        progress.start("finetune: test", test.len() as u64);
        let clips = self.subject.plan.test_clips();
        if clips > 1 {
            for &sample in test {
                let x = fixed::test_views(data.dataset, sample, clips, encoder.geometry(), device)?;
                let logits = model.logits(x, &Dropped::default());
                let chances = match self.values.loss {
                    FinetuneLoss::CrossEntropy => softmax(logits, 1),
                    FinetuneLoss::Binary => sigmoid(logits),
                };
                scores.extend(chances.mean_dim(0).into_data().iter::<f32>());
                progress.advance(1);
            }
        } else {
            for samples in test.chunks(self.values.batch) {
                let x = fixed::batch(data.dataset, samples, encoder.geometry(), device)?;
                scores.extend(model.logits(x, &Dropped::default()).into_data().iter::<f32>());
                progress.advance(samples.len() as u64);
            }
        }
        progress.finish();
        Ok(ranks.required(ranks.gather_values(scores)))
    }
}

//! Fine-tuning: the whole encoder and a head, trained on the classes (values as in the authors'
//! scripts, see the plan).
//!
//! The mean of the patch tokens, or what an encoder of others pools, goes under a norm of its own into a
//! linear head. Deeper layers
//! learn faster (layer-wise rate decay); inputs are augmented and mixed, targets are soft. The test
//! samples are predicted once, with the weights of the last step: no epoch is chosen on them.

mod augment;
mod foreign;
mod values;

use super::training::{Length, Training};
use super::{Evaluate, Judged, Outcome, Protocol, Subject, Taught, ctc};
use crate::data::{Fixed, Order, Part, Utterances, fixed};
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
pub use foreign::ForeignClassifier;
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
        let (scores, training, pooling) = match subject.judged {
            Judged::Foreign(theirs) => run.of_foreign(theirs)?,
            _ => run.of_own()?,
        };
        let (first, last) = training.loss;
        let details = [
            ("train_n", json!(subject.train.len())),
            ("steps", json!(training.steps)),
            ("loss_first", json!(first)),
            ("loss_last", json!(last)),
            ("weights", json!("those of the last step")),
            ("pooling", json!(format!("{pooling}, then a norm of its own"))),
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

/// What is known of a training that has ended.
struct Trace {
    steps: u64,
    /// The first and the last.
    loss: (f64, f64),
}

/// Class scores of the test samples, row-major [n, C], how training went, and how tokens became one vector.
type Tuned = (Vec<f32>, Trace, String);

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
    /// With this program's own encoder.
    fn of_own(&self) -> Result<Tuned, TrainError> {
        let (subject, values) = (self.subject, self.values);
        let encoder = subject.encoder();
        let init = Init::<B>::new(self.seed.child("weights"), subject.device);
        let model = Classifier::new(subject.trainable(), subject.classes(), &init);
        let layers = Layers(LayerDecay {
            decay: values.layer_decay,
            blocks: encoder.blocks.len(),
        });
        let logits = |model: &Classifier<B>, batch: Vec<f32>, samples, dropped: Dropped<B>| {
            let x = fixed::on_device(batch, samples, encoder.geometry(), subject.device);
            model.logits(x, &dropped)
        };
        let training = self.train(
            Trained::with_groups(model, values.adamw, layers),
            encoder.blocks.len(),
            logits,
        )?;
        let model = training.model.valid();
        let scores = self.scores(|values, samples| {
            let x = fixed::on_device(values, samples, encoder.geometry(), subject.device);
            Ok(model.logits(x, &Dropped::default()))
        })?;
        Ok((scores, Trace::of(&training), "mean of patch tokens".to_owned()))
    }

    /// Trains a model of an encoder of so many blocks. `logits` are those [B, C] of a batch's inputs, one after the
    /// other, and how many they are.
    fn train<M: AutodiffModule<B>, G: ParameterGroups>(
        &self,
        model: Trained<B, M, G>,
        blocks: usize,
        logits: impl Fn(&M, Vec<f32>, usize, Dropped<B>) -> Tensor<B, 2>,
    ) -> Result<Training<B, M, G>, TrainError> {
        let (subject, values) = (self.subject, self.values);
        let mut training = Training::open(subject, PHASE, model)?;
        let order = self.order();
        let samples = order.batch();
        ranks().can_share("samples of a batch (finetune.batch)", samples)?;
        let part = Part::of_step(samples, samples, &ranks())[0];
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
        training.run(
            subject,
            &length,
            self.inputs(order, part),
            |model: &M, Augmented { values, targets }, step| {
                let samples = targets.len() / subject.classes();
                let targets = TensorData::new(targets, [samples, subject.classes()]);
                let targets: Tensor<B, 2> = Tensor::from_data(targets, subject.device);
                let dropped = Dropped {
                    tokens: self.token_mask(part, &self.seed.child("tokens").indexed(step)),
                    branches: self.branches(part, &self.seed.child("drop-path").indexed(step), blocks),
                };
                let logits = logits(model, values, samples, dropped);
                match self.values.loss {
                    FinetuneLoss::CrossEntropy => soft_cross_entropy(logits, targets),
                    FinetuneLoss::Binary => binary_cross_entropy(logits, targets),
                }
            },
        )?;
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
        let augment = Augment::new(self.values, dataset, plan, self.subject.train);
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

    fn branches(&self, part: Part, seed: &Seed, blocks: usize) -> Vec<Option<BranchFactors<B>>> {
        let rates = drop_rates(self.values.drop_path, blocks);
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

    /// Class scores of the test samples, row-major [n, C], by the logits [B, C] of inputs, one after the other, and
    /// how many they are.
    fn scores(
        &self,
        logits: impl Fn(Vec<f32>, usize) -> Result<Tensor<B::InnerBackend, 2>, DataError>,
    ) -> Result<Vec<f32>, DataError> {
        let Subject {
            data, test, progress, ..
        } = *self.subject;
        let ranks = ranks();
        let test = &test[ranks.part(test.len())];
        let mut scores = Vec::with_capacity(test.len() * self.subject.classes());
        progress.start("finetune: test", test.len() as u64);
        let clips = self.subject.plan.test_clips();
        if clips > 1 {
            for &sample in test {
                let views = data.dataset.test_views(sample, clips)?;
                let logits = logits(views.concat(), views.len())?;
                let chances = match self.values.loss {
                    FinetuneLoss::CrossEntropy => softmax(logits, 1),
                    FinetuneLoss::Binary => sigmoid(logits),
                };
                scores.extend(chances.mean_dim(0).into_data().iter::<f32>());
                progress.advance(1);
            }
        } else {
            for samples in test.chunks(self.values.batch) {
                let values = fixed::values(data.dataset, samples)?;
                scores.extend(logits(values, samples.len())?.into_data().iter::<f32>());
                progress.advance(samples.len() as u64);
            }
        }
        progress.finish();
        Ok(ranks.required(ranks.gather_values(scores)))
    }
}

impl Trace {
    fn of<B: TrainBackend, M: AutodiffModule<B>, G: ParameterGroups>(training: &Training<B, M, G>) -> Self {
        Self {
            steps: training.steps(),
            loss: training.loss(),
        }
    }
}

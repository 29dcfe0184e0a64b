//! Fine-tuning: the whole encoder and a head, trained on the classes (values as in the authors' scripts, see the plan).
//!
//! The mean of the patch tokens, under a norm of its own, goes into a linear head. Deeper layers learn faster
//! (layer-wise rate decay); inputs are augmented and mixed, targets are soft. The test samples are judged once, with the
//! weights of the last step: no epoch is chosen on them.

use super::augment::{Augment, Augmented};
use super::{Outcome, Subject};
use crate::checkpoint;
use crate::data::{Order, fixed};
use crate::metrics_log::{LogError, MetricsLog};
use crate::plan::{Finetune, FinetuneLoss, Roll, Sampler, Taught};
use crate::train::TrainError;
use crate::train::schedule::{LayerDecay, Schedule};
use crate::train::steps::{BatchLoss, Learner, Spent, StepNumbers, Steps};
use bridle::classifier::{Classifier, Dropped, branch_factor, drop_rates};
use bridle::encoder::Vit;
use bridle::init::Init;
use bridle::loss::{binary_cross_entropy, soft_cross_entropy};
use bridle::mask::{Mask, MaskRows};
use bridle::optimizer::{ParameterGroups, Trainable, Trained};
use bridle::transformer::BranchFactors;
use bridle::weights::{self, strip_prefix, with_prefix};
use bridle_backends::TrainBackend;
use bridle_seed::Seed;
use bridle_tasks::{DataError, Progress, sampling_weights};
use burn::module::AutodiffModule;
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use std::path::PathBuf;

/// The name of its steps, told and logged.
const PHASE: &str = "finetune";

/// What a checkpoint holds beside the tensors.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    /// What was trained on: the hash of the data's manifest. Absent in what older versions wrote.
    #[serde(default)]
    data: Option<String>,
    step: u64,
    optimizer_steps: u64,
    loss: Option<(f64, f64)>,
    seconds: f64,
}

/// Fine-tunes the encoder and judges it.
///
/// # Errors
/// If training diverges, is interrupted, or cannot write.
pub fn judge<B: TrainBackend>(subject: &Subject<'_, B>) -> Result<Outcome, TrainError> {
    let values = subject
        .plan
        .finetune
        .as_ref()
        .and_then(Taught::classes)
        .expect("a plan with fine-tuning has its values");
    let mut training = Training::<B>::new(subject, values)?;
    training.run()?;
    let scores = training.scores()?;
    let (first, last) = training.state.loss.unwrap_or((f64::NAN, f64::NAN));
    let mut details = Map::new();
    details.insert("train_n".to_owned(), json!(subject.train.len()));
    details.insert("steps".to_owned(), json!(training.state.step));
    details.insert("loss_first".to_owned(), json!(first));
    details.insert("loss_last".to_owned(), json!(last));
    details.insert("weights".to_owned(), json!("those of the last step"));
    details.insert(
        "pooling".to_owned(),
        json!("mean of patch tokens, then a norm of its own"),
    );
    Ok(Outcome { scores, details })
}

/// The model and its way.
struct Training<'a, 'b, B: TrainBackend> {
    subject: &'a Subject<'b, B>,
    values: &'a Finetune,
    seed: Seed,
    folder: PathBuf,
    model: Trained<B, Classifier<B>, Layers>,
    state: State,
    log: MetricsLog,
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

impl<'a, 'b, B: TrainBackend> Training<'a, 'b, B> {
    fn new(subject: &'a Subject<'b, B>, values: &'a Finetune) -> Result<Self, TrainError> {
        let seed = subject.seed.child("finetune");
        let init = Init::<B>::new(seed.child("weights"), subject.device);
        let encoder = Vit::new(subject.encoder.geometry(), &crate::model::encoder(subject.plan), &init);
        let mut encoder = weights::load(encoder, &weights::collect(subject.encoder))?;
        encoder.set_positions(Tensor::from_inner(subject.encoder.positions()));
        let layers = Layers(LayerDecay {
            decay: values.layer_decay,
            blocks: encoder.blocks.len(),
        });
        let model = Classifier::new(encoder, subject.classes(), &init);
        let mut model = Trained::with_groups(model, values.adamw, layers);
        let data = Some(subject.dataset.facts.manifest_sha256.clone());
        let mut state = State {
            data: data.clone(),
            ..State::default()
        };
        let folder = subject.folder.join("finetune");
        let saved = match subject.resumes {
            true => checkpoint::newest::<State>(&folder)?,
            false => None,
        };
        let fits = |found: &State| found.data.is_none() || found.data == data;
        if let Some((saved, found)) = saved
            && fits(&found)
        {
            *model = weights::load((*model).clone(), &strip_prefix(&saved, "model."))?;
            let moments = strip_prefix(&saved, "optimizer.");
            model.optimizer.load(&moments, found.optimizer_steps, subject.device);
            state = found;
            subject
                .progress
                .say(&format!("finetune: goes on after step {}", state.step));
        } else {
            checkpoint::clear(&folder);
        }
        std::fs::create_dir_all(subject.folder).map_err(|source| LogError::folder(subject.folder, source))?;
        let resumed = (state.step > 0).then_some(state.step);
        let log = MetricsLog::open(&subject.folder.join("finetune.jsonl"), resumed)?;
        Ok(Self {
            subject,
            values,
            seed,
            folder,
            model,
            state,
            log,
        })
    }

    fn run(&mut self) -> Result<(), TrainError> {
        let values = self.values;
        let order = self.order();
        let steps = order.steps_per_epoch() * values.epochs as u64;
        let schedule = Schedule {
            rate: values.rate,
            least: values.least_rate,
            warmup_epochs: values.warmup_epochs,
            epochs: values.epochs as f64,
        };
        let loop_over = Steps {
            phase: PHASE,
            range: self.state.step..steps,
            per_epoch: order.steps_per_epoch(),
            schedule,
            folder: &self.folder.clone(),
            checkpoint_every: self.subject.checkpoint_every,
            interrupt: self.subject.interrupt,
            progress: self.subject.progress,
        };
        let inputs = self.inputs(order);
        let spent = loop_over.run(self, inputs)?;
        self.state.seconds += spent.seconds;
        Ok(())
    }

    /// The training samples in their order: every one once an epoch, or drawn by weight.
    fn order(&self) -> Order {
        let seed = self.seed.child("order");
        let train = self.subject.train;
        match self.values.sampler {
            Sampler::Shuffle => Order::shuffled(train, self.values.batch, seed),
            Sampler::Weighted => Order::weighted(
                train,
                &sampling_weights(self.subject.dataset, train),
                self.values.epoch_samples.unwrap_or(train.len()),
                self.values.batch,
                seed,
            ),
        }
    }

    /// Makes the augmented inputs and targets of a step's samples, on any thread.
    fn inputs(&self, order: Order) -> impl Fn(u64) -> Result<Augmented, DataError> + Send + Sync + use<'a, B> {
        let (plan, dataset) = (self.subject.plan, self.subject.dataset);
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
            for (place, sample) in order.at(step).into_iter().enumerate() {
                let drawn = augment.sample(sample, &seed.indexed(step).indexed(place as u64))?;
                values.extend(drawn.values);
                targets.extend(drawn.targets);
            }
            Ok(Augmented { values, targets })
        }
    }

    /// The loss of one augmented batch.
    fn batch_loss(&self, batch: Augmented) -> Tensor<B, 1> {
        let subject = self.subject;
        let samples = batch.targets.len() / subject.classes();
        let x = fixed::on_device(batch.values, samples, subject.encoder.geometry(), subject.device);
        let targets = TensorData::new(batch.targets, [samples, subject.classes()]);
        let targets: Tensor<B, 2> = Tensor::from_data(targets, subject.device);
        let logits = self.model.logits(x, &self.dropped(samples));
        match self.values.loss {
            FinetuneLoss::CrossEntropy => soft_cross_entropy(logits, targets),
            FinetuneLoss::Binary => binary_cross_entropy(logits, targets),
        }
    }

    /// Tokens and branches that this step leaves out.
    fn dropped(&self, batch: usize) -> Dropped<B> {
        let step = self.state.step;
        Dropped {
            tokens: self.token_mask(batch, &self.seed.child("tokens").indexed(step)),
            branches: self.branches(batch, &self.seed.child("drop-path").indexed(step)),
        }
    }

    /// Whole rows of time and of mels are left out, as in pretraining's 2-D mask.
    fn token_mask(&self, batch: usize, seed: &Seed) -> Option<MaskRows<B>> {
        let share = self.values.token_mask.filter(|&share| share > 0.0)?;
        let [times, mels, _] = self.subject.plan.grid();
        let noise = |name: &str, count: usize| {
            let mut stream = seed.child(name).stream();
            (0..batch * count).map(|_| stream.uniform()).collect::<Vec<f32>>()
        };
        let mask = Mask::time_frequency(
            &noise("time", times),
            &noise("mel", mels),
            [times, mels],
            [share, share],
        );
        Some(mask.upload(self.subject.device))
    }

    fn branches(&self, batch: usize, seed: &Seed) -> Vec<Option<BranchFactors<B>>> {
        let rates = drop_rates(self.values.drop_path, self.model.encoder.blocks.len());
        let block = |(index, &rate): (usize, &f64)| {
            let mut stream = seed.indexed(index as u64).stream();
            let mut factor = || {
                let kept: Vec<bool> = (0..batch).map(|_| f64::from(stream.uniform()) >= rate).collect();
                branch_factor(&kept, rate, self.subject.device)
            };
            (rate > 0.0).then(|| BranchFactors {
                attention: factor(),
                mlp: factor(),
            })
        };
        rates.iter().enumerate().map(block).collect()
    }

    /// Class scores of the test samples, row-major [n, C].
    fn scores(&self) -> Result<Vec<f32>, DataError> {
        let subject = self.subject;
        let model = self.model.valid();
        let mut scores = Vec::with_capacity(subject.test.len() * subject.classes());
        subject.progress.start("finetune: test", subject.test.len() as u64);
        let clips = subject.plan.test_clips();
        if clips > 1 {
            for &sample in subject.test {
                let x = fixed::test_views(
                    subject.dataset,
                    sample,
                    clips,
                    subject.encoder.geometry(),
                    subject.device,
                )?;
                let logits = model.logits(x, &Dropped::default());
                let chances = match self.values.loss {
                    FinetuneLoss::CrossEntropy => softmax(logits, 1),
                    FinetuneLoss::Binary => sigmoid(logits),
                };
                scores.extend(chances.mean_dim(0).into_data().iter::<f32>());
                subject.progress.advance(1);
            }
            subject.progress.finish();
            return Ok(scores);
        }
        for samples in subject.test.chunks(self.values.batch) {
            let x = fixed::batch(subject.dataset, samples, subject.encoder.geometry(), subject.device)?;
            scores.extend(model.logits(x, &Dropped::default()).into_data().iter::<f32>());
            subject.progress.advance(samples.len() as u64);
        }
        subject.progress.finish();
        Ok(scores)
    }
}

impl<B: TrainBackend> Learner<B> for Training<'_, '_, B> {
    type Input = Augmented;

    fn loss(&mut self, batch: Augmented) -> BatchLoss<B> {
        BatchLoss::new(self.batch_loss(batch))
    }

    fn trained(&mut self) -> Vec<&mut dyn Trainable<B>> {
        vec![&mut self.model]
    }

    fn finish_step(&mut self) -> Result<(), TrainError> {
        self.state.step += 1;
        Ok(())
    }

    fn log_step(&mut self, numbers: StepNumbers) -> Result<(), TrainError> {
        let loss = f64::from(numbers.values[0].1);
        self.state.loss = Some((self.state.loss.map_or(loss, |(first, _)| first), loss));
        let line = json!({"phase": PHASE, "loss": loss, "rate": numbers.rate});
        Ok(self.log.append(numbers.step + 1, &line)?)
    }

    fn save(&mut self, spent: Spent) -> Result<(), TrainError> {
        self.state.seconds += spent.seconds;
        self.state.optimizer_steps = self.model.optimizer.steps();
        let mut weights = with_prefix("model.", weights::collect(&*self.model));
        weights.extend(with_prefix("optimizer.", self.model.optimizer.save()));
        checkpoint::save(&self.folder, self.state.step, &weights, &self.state)?;
        Ok(())
    }
}

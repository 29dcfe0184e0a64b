//! Pretraining by masked prediction of labels that come from the input (BEST-RQ) or also from the encoder's own layers
//! (BiRQ): one phase, one model, spans of tokens with noise in their place.

use crate::checkpoint;
use crate::input::{self, Drawn, Order};
use crate::labeller::{Labeller, RANDOM_LABELS, hidden_rows, with_noise};
use crate::labels::{Labels, Wanted};
use crate::metrics_log::MetricsLog;
use crate::model;
use crate::plan::{Mask, PhasePlan};
use crate::steps::{Learner, Spent, StepLoss, StepNumbers, Steps};
use crate::train::{Context, State, TrainError, adamw, schedule, summary, together, under};
use bridle::codebook::index_rows;
use bridle::config::Geometry;
use bridle::encoder::Vit;
use bridle::frames::Frames;
use bridle::init::Init;
use bridle::optimizer::{AdamW, Trained, UniformRate};
use bridle::patch::patches;
use bridle::standardizer::Standardizer;
use bridle::weights::{self, Weights};
use bridle_backends::TrainBackend;
use bridle_baselines::best_rq::MaskedModel;
use bridle_baselines::random::RandomConfig;
use bridle_results::record::{Loss, Phase as PhaseRecord};
use bridle_seed::Seed;
use bridle_tasks::{DataError, Dataset};
use burn::module::AutodiffModule;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use std::sync::{Mutex, PoisonError};

/// Training samples over which tokens are measured, for labels of standardised tokens.
const MEASURED: usize = 512;

/// The model and its way through the phase.
pub struct MaskedTrainer<'a, B: TrainBackend> {
    context: &'a Context<'a>,
    phase: PhasePlan,
    mask: &'a Mask,
    quantizer: RandomConfig,
    geometry: Geometry,
    device: B::Device,
    seed: Seed,
    order: Order<'a>,
    model: Trained<MaskedModel<B, Vit<B>>>,
    labeller: Labeller<B>,
    optimizer: AdamW<B>,
    state: State,
    log: MetricsLog,
}

impl<'a, B: TrainBackend> MaskedTrainer<'a, B> {
    /// A model with its first weights, or as a checkpoint left it. Panics if the plan has no values for it.
    ///
    /// # Errors
    /// If a sample cannot be read, the checkpoint does not fit, or the log cannot be opened.
    pub fn new(
        context: &'a Context<'a>,
        saved: Option<(Weights, State)>,
        device: &B::Device,
    ) -> Result<Self, TrainError> {
        let plan = context.plan;
        let (Some(mask), Some(quantizer), Some(pretrain)) = (&plan.mask, &plan.quantizer, &plan.pretrain) else {
            unreachable!("a plan that hides frames has a mask, labels and their training")
        };
        let quantizer = RandomConfig::try_from(quantizer).expect(RANDOM_LABELS);
        let phase = plan.phases().remove(0);
        let geometry = model::geometry(plan);
        let init = Init::<B>::new(context.seed.child("weights"), device);
        let standard = standard(context.dataset, context.train, &geometry, &init)?;
        let (birq, labels) = (plan.birq.as_ref(), init.child("labels"));
        let labeller = Labeller::new(&quantizer, birq, None, plan.model.dim(), standard, &labels);
        let student = init.child("student");
        let encoder = Vit::new(&geometry, &model::encoder(plan), &student.child("encoder"));
        let mut model = MaskedModel::new(
            encoder,
            plan.model.dim(),
            quantizer.codebooks * quantizer.codebook_size,
            &student,
        );
        let mut optimizer = AdamW::new(adamw(pretrain));
        let mut state = State {
            id: context.id.to_owned(),
            data: Some(context.dataset.facts.manifest_sha256.clone()),
            ..State::default()
        };
        let resumed = saved.as_ref().map(|(_, state)| state.total_steps);
        if let Some((weights, saved)) = saved {
            model = weights::load(model, &under(&weights, "student."))?;
            let steps = saved.optimizer_steps[0];
            optimizer = AdamW::load(adamw(pretrain), &under(&weights, "student_optimizer."), steps, device);
            state = saved;
        }
        let seed = context.seed.child(&phase.name);
        Ok(Self {
            order: Order::new(context.train, pretrain.batch, seed.child("order")),
            log: MetricsLog::open(&context.folder.join("metrics.jsonl"), resumed)?,
            device: device.clone(),
            context,
            phase,
            mask,
            quantizer,
            geometry,
            seed,
            model: Trained::new(model),
            labeller,
            optimizer,
            state,
        })
    }

    /// Trains what is left. Gives the encoder, all weights and the way they took.
    ///
    /// # Errors
    /// If training diverges, is interrupted, cannot read a sample, or cannot write.
    pub fn run(mut self) -> Result<(Vit<B>, Weights, State), TrainError> {
        let per_epoch = self.order.steps_per_epoch();
        let steps = per_epoch * self.phase.length.epochs as u64;
        if self.state.phase == 0 {
            let phase = self.phase.clone();
            let loop_over = Steps {
                phase: &phase.name,
                range: self.state.step..steps,
                per_epoch,
                schedule: schedule(&phase),
                folder: self.context.folder,
                checkpoint_every: self.context.checkpoint_every,
                interrupt: self.context.interrupt,
                progress: self.context.progress,
            };
            let inputs = self.inputs();
            let spent = loop_over.run(&mut self, inputs)?;
            self.state.spend(spent);
            self.end(steps)?;
        }
        let weights = self.weights();
        Ok((self.model.into_inner().encoder, weights, self.state))
    }

    /// Makes the inputs of a step's samples, on any thread.
    fn inputs(&self) -> impl Fn(u64) -> Result<Vec<f32>, DataError> + Send + Sync + use<'a, B> {
        let Context { plan, dataset, .. } = *self.context;
        let drawn = self.context.drawn();
        let seed = self.seed.child(if drawn == Drawn::Rolls { "roll" } else { "views" });
        let order = Mutex::new(self.order.clone());
        move |step| {
            // nothing that can panic runs under the lock
            let samples = order.lock().unwrap_or_else(PoisonError::into_inner).at(step);
            input::pretraining(dataset, plan.fixed_input(), &samples, drawn, &seed.indexed(step))
        }
    }

    /// Notes what the phase gave, and makes the checkpoint of its end.
    fn end(&mut self, steps: u64) -> Result<(), TrainError> {
        let context = self.context;
        let wanted = Wanted {
            dataset: context.dataset,
            samples: context.train,
            batch: self.order.batch(),
            starting: None,
        };
        let (labeller, encoder) = (self.labeller.valid(), self.model.encoder.valid());
        let books = [labeller.sizes().len(), self.quantizer.codebook_size];
        let labels = Labels::collect(&wanted, books, context.progress, |samples| {
            let x = input::batch::<B::InnerBackend>(context.dataset, samples, &self.geometry, &self.device)?;
            let frames = whole(x, &self.geometry);
            let rows: Vec<usize> = (0..samples.len() * self.geometry.tokens()).collect();
            let rows = index_rows(&rows, &self.device);
            let codes = labeller.codes(&encoder, &frames, rows);
            let [rows, levels] = codes.dims();
            Ok(codes.reshape([samples.len(), rows / samples.len(), levels]))
        })?;
        let (first, last) = self.state.loss.unwrap_or((f64::NAN, f64::NAN));
        let seconds = self.state.seconds;
        self.state.done.push(PhaseRecord {
            name: self.phase.name.clone(),
            epochs: self.phase.length.epochs as u64,
            steps,
            seconds,
            input_wait_seconds: Some(self.state.waited),
            samples_per_second: steps as f64 * self.order.batch() as f64 / seconds,
            loss: Loss { first, last },
            codebooks: labels.statistics(),
            labels: Some(labels.together(context.dataset, context.train, None)),
            curve: Some(std::mem::take(&mut self.state.curve)),
            reused_from: None,
        });
        context
            .progress
            .say(&summary(&self.phase, &self.state, &labels.statistics()));
        self.state.phase = 1;
        self.write()
    }

    fn weights(&self) -> Weights {
        together([
            ("student.", weights::collect(&*self.model)),
            ("student_optimizer.", self.optimizer.save()),
        ])
    }

    fn write(&mut self) -> Result<(), TrainError> {
        self.state.optimizer_steps = [self.optimizer.steps(), 0];
        checkpoint::save(
            self.context.folder,
            self.state.total_steps,
            &self.weights(),
            &self.state,
        )?;
        Ok(())
    }
}

impl<B: TrainBackend> Learner<B> for MaskedTrainer<'_, B> {
    type Input = Vec<f32>;

    fn step(&mut self, input: Vec<f32>, rate: f64) -> Result<StepLoss<B>, TrainError> {
        let batch = input.len() / self.geometry.input_len();
        let draws = |name: &str| self.seed.child(name).indexed(self.state.step);
        let rows = hidden_rows(self.mask, &vec![self.geometry.tokens(); batch], &draws("mask"));
        let rows = index_rows(&rows, &self.device);
        let frames = whole(
            input::on_device(input, batch, &self.geometry, &self.device),
            &self.geometry,
        );
        let standard = self.labeller.standard();
        let masked = with_noise(&frames, self.mask, rows.clone(), standard, &draws("noise"));
        let (loss, values) = self
            .labeller
            .loss(&self.model, &frames, &masked, rows, &draws("gumbel"));
        let grads = loss.backward();
        let optimizer = &mut self.optimizer;
        self.model
            .update(|model| optimizer.step(model, &grads, rate, &UniformRate));
        self.state.step += 1;
        self.state.total_steps += 1;
        Ok(StepLoss { values, codes: None })
    }

    fn note(&mut self, numbers: StepNumbers) -> Result<(), TrainError> {
        let per_epoch = self.order.steps_per_epoch();
        self.state.note(&mut self.log, &self.phase, per_epoch, &numbers)
    }

    fn save(&mut self, spent: Spent) -> Result<(), TrainError> {
        self.state.spend(spent);
        self.write()
    }
}

/// The patches of inputs [B, C, T, H, W] as sequences of one length.
fn whole<B: Backend>(x: Tensor<B, 5>, geometry: &Geometry) -> Frames<B> {
    let [batch, ..] = x.dims();
    Frames::unpadded(patches(x, geometry).reshape([batch, geometry.tokens(), geometry.patch_len()]))
}

/// Means and deviations of the numbers of a token, over the first training samples, as they are for judging.
fn standard<B: Backend>(
    dataset: &Dataset,
    train: &[usize],
    geometry: &Geometry,
    init: &Init<B>,
) -> Result<Standardizer<B>, DataError> {
    let width = geometry.patch_len();
    let (mut sums, mut squares, mut count) = (vec![0f64; width], vec![0f64; width], 0usize);
    let samples = &train[..train.len().min(MEASURED)];
    for batch in samples.chunks(16) {
        let x = input::batch::<B>(dataset, batch, geometry, &init.device)?;
        let rows: Vec<f32> = patches(x, geometry).into_data().iter::<f32>().collect();
        for row in rows.chunks_exact(width) {
            for ((sum, square), &value) in sums.iter_mut().zip(&mut squares).zip(row) {
                *sum += f64::from(value);
                *square += f64::from(value) * f64::from(value);
            }
            count += 1;
        }
    }
    let n = count.max(1) as f64;
    let mean: Vec<f32> = sums.iter().map(|sum| (sum / n) as f32).collect();
    let deviation = |(sum, square): (&f64, &f64)| (square / n - (sum / n).powi(2)).max(0.0).sqrt() as f32;
    let deviation: Vec<f32> = sums.iter().zip(&squares).map(deviation).collect();
    Ok(Standardizer::new(&mean, &deviation, init))
}

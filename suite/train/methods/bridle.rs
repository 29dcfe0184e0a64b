//! BRIDLE over patches: encoder and tokenizer phases in turn (`bridle`), or both in the same steps
//! (`bridle-joint`).

use crate::data::{Fixed, FixedBatch, Part, TrainingData};
use crate::plan::{Codebooks, ColdStartPosition, MaskKind, PhaseKind, PhasePlan};
use crate::quantizers::{AnyQuantizer, ModelConfig, QuantizerConfig, Teacher};
use crate::sizes;
use crate::train::labels::Labels;
use crate::train::method::{ModelPart, PhaseRun, PretrainingMethod};
use crate::train::steps::{BatchLoss, LOG_EVERY};
use crate::train::{Context, TrainError};
use bridle::codebook::SeededPicks;
use bridle::encoder::Vit;
use bridle::init::Init;
use bridle::mask::{Mask, MaskRows};
use bridle::optimizer::Trained;
use bridle::pretrain::{Student, TokenizerLoss, encoder_loss, labels, tokenizer_loss};
use bridle::quantizer::{Mode, Quantizer, QuantizerValues};
use bridle::rq::RqConfig;
use bridle::swin::Dropout;
use bridle::tokenizer::Source;
use bridle::weights;
use bridle_backends::kernel::ranks;
use bridle_backends::{Ops, TrainBackend};
use bridle_seed::{Seed, Stream};
use burn::module::AutodiffModule;
use burn::tensor::{Int, Tensor};

/// Data that BRIDLE has a form for.
pub trait HasBridle: TrainingData {
    /// The form.
    type Bridle<B: TrainBackend>: PretrainingMethod<B, Self>;
}

impl HasBridle for Fixed<'_> {
    type Bridle<B: TrainBackend> = BridlePatches<B>;
}

/// Encoder and decoder, tokenizer and estimator.
pub struct BridlePatches<B: TrainBackend> {
    config: ModelConfig,
    student: Trained<B, Student<B>>,
    teacher: Trained<B, Teacher<B>>,
    /// The encoder that a tokenizer phase aims at; it does not move, so one copy serves all steps.
    frozen_encoder: Option<Vit<B::InnerBackend>>,
    /// Of the step at hand: where masks are drawn, batch after batch, and the decoder's dropout.
    draws: (Stream, Dropout),
    device: B::Device,
}

type Phase<'p, 'd> = PhaseRun<'p, Fixed<'d>>;

impl<'d, B: TrainBackend> PretrainingMethod<B, Fixed<'d>> for BridlePatches<B> {
    fn over_ranks(_context: &Context<'_, Fixed<'d>>) -> bool {
        true
    }

    fn new(context: &Context<'_, Fixed<'d>>, init: &Init<B>, phase: usize) -> Result<Self, TrainError> {
        let config = sizes::config(context.plan).expect("a plan of BRIDLE has all sizes");
        let adamw = context.pretrain().adamw;
        let student = Student::new(&config, &init.child("student"));
        let quantizer = phase_values(context, phase).unwrap_or_else(|| config.quantizer.clone());
        let config = ModelConfig { quantizer, ..config };
        Ok(Self {
            student: Trained::new(student, adamw),
            teacher: Trained::new(Teacher::new(&config, &init.child("teacher")), adamw),
            config,
            frozen_encoder: None,
            draws: (context.seed.stream(), Dropout::Off),
            device: init.device.clone(),
        })
    }

    fn parts(&mut self) -> Vec<ModelPart<'_, B>> {
        vec![
            ModelPart::student(&mut self.student),
            ModelPart::new("teacher.", "teacher_optimizer.", &mut self.teacher),
        ]
    }

    fn quantizer(&mut self) -> Option<&mut AnyQuantizer<B>> {
        Some(&mut self.teacher.tokenizer.quantizer)
    }

    fn begin_phase(&mut self, phase: &Phase<'_, 'd>) {
        begin_codebooks(&mut self.teacher.tokenizer.quantizer, phase, &self.device);
    }

    /// Not where labels depend on each step: on its mask (video), or on views that it draws.
    fn keeps_labels(&self, phase: &Phase<'_, 'd>) -> bool {
        let fixed = !self.config.geometry.is_video() && !phase.context.data.varies();
        phase.plan.kind == PhaseKind::Encoder && fixed
    }

    fn takes_labels(&self, phase: &Phase<'_, 'd>) -> bool {
        same_labels(phase)
    }

    fn make_labels(&mut self, phase: &Phase<'_, 'd>) -> Result<Labels, TrainError> {
        let (data, source, mut picks) = (phase.context.data, source(phase), phase.picks());
        let mut tokenizer = self.teacher.tokenizer.valid();
        if !tokenizer.quantizer.is_started() {
            // codebooks start on the batch that is trained on first
            let own = &phase.first[ranks().part(phase.first.len())];
            let x = data.inputs(data.read(own.to_vec())?, &self.device);
            tokenizer.codes(x, source, &mut picks);
        }
        let [codebooks, size] = tokenizer.quantizer.sizes();
        let labels = Labels::collect(phase.context, &vec![size; codebooks], |batch| {
            let codes = tokenizer.codes(data.inputs(batch, &self.device), source, &mut picks);
            let [samples, tokens, levels] = codes.dims();
            codes.reshape([samples * tokens, levels])
        })?;
        take_codebooks(&mut self.teacher.tokenizer.quantizer, &tokenizer.quantizer);
        Ok(labels)
    }

    fn begin_step(&mut self, phase: &Phase<'_, 'd>, step: u64) {
        let dropout = Box::new(phase.draws("dropout", step).stream());
        self.draws = (phase.draws("mask", step).stream(), Dropout::Draw(dropout));
    }

    fn loss(&mut self, phase: &Phase<'_, 'd>, step: u64, batch: FixedBatch, labels: Option<&Labels>) -> BatchLoss<B> {
        match phase.plan.kind {
            PhaseKind::Tokenizer => self.tokenizer_loss(phase, step, batch),
            PhaseKind::Joint => self.joint_loss(phase, step, batch),
            PhaseKind::Encoder | PhaseKind::Masked => self.encoder_loss(phase, batch, labels),
        }
    }

    fn end_phase(&mut self, _phase: &Phase<'_, 'd>) {
        self.frozen_encoder = None;
    }

    fn into_encoder(self) -> Vit<B> {
        self.student.into_inner().encoder
    }
}

impl<B: TrainBackend> BridlePatches<B> {
    /// The mask of a rank's part of a batch, of what is drawn for all of it.
    fn mask(&mut self, phase: &Phase<'_, '_>, part: Part) -> Mask {
        let (geometry, stream) = (&self.config.geometry, &mut self.draws.0);
        let mut noise = |count: usize| -> Vec<f32> {
            let all: Vec<f32> = (0..part.of * count).map(|_| stream.uniform()).collect();
            part.cut(&all).to_vec()
        };
        let ([times, height, width], tokens) = (geometry.grid(), geometry.tokens());
        let mask = phase.context.plan.mask.as_ref();
        let ratio = mask.and_then(|mask| mask.ratio).unwrap_or(0.0);
        match mask.map(|mask| mask.kind) {
            Some(MaskKind::Tube) => Mask::tube(&noise(height * width), times, height * width, ratio),
            _ => Mask::random(&noise(tokens), tokens, ratio),
        }
    }

    fn encoder_loss(&mut self, phase: &Phase<'_, '_>, batch: FixedBatch, labels: Option<&Labels>) -> BatchLoss<B> {
        let mask = self.mask(phase, batch.part);
        let rows = mask.upload(&self.device);
        let made = labels.map(|labels| labels.of(&batch.samples, mask.removed_tokens(), &self.device));
        let x = phase.context.data.inputs(batch, &self.device);
        let codes = made.unwrap_or_else(|| self.step_labels(phase, x.clone(), &rows));
        BatchLoss::new(encoder_loss(&self.student, x, &rows, codes, &mut self.draws.1))
    }

    /// Labels of a batch's removed tokens, without a graph.
    fn step_labels(&mut self, phase: &Phase<'_, '_>, x: Tensor<B, 5>, mask: &MaskRows<B>) -> Tensor<B, 2, Int> {
        let mut frozen = self.teacher.tokenizer.valid();
        let starting = !frozen.quantizer.is_started();
        let codes = labels(&mut frozen, x.inner(), source(phase), &mask.inner(), &mut phase.picks());
        if starting {
            take_codebooks(&mut self.teacher.tokenizer.quantizer, &frozen.quantizer);
        }
        Tensor::from_inner(codes)
    }

    fn tokenizer_loss(&mut self, phase: &Phase<'_, '_>, step: u64, batch: FixedBatch) -> BatchLoss<B> {
        let x: Tensor<B, 5> = phase.context.data.inputs(batch, &self.device);
        let encoder = self.frozen_encoder.get_or_insert_with(|| self.student.encoder.valid());
        let target = encoder.embed_patches(x.clone().inner());
        let found = self.teach(phase, step, step.saturating_sub(1), x, target);
        tokenizer_batch(found, step, self.config.quantizer.codebook_size())
    }

    /// Every step trains E and D; every n-th adds the weighted tokenizer loss to the same backward
    /// pass.
    fn joint_loss(&mut self, phase: &Phase<'_, '_>, step: u64, batch: FixedBatch) -> BatchLoss<B> {
        let rows = self.mask(phase, batch.part).upload(&self.device);
        let x = phase.context.data.inputs(batch, &self.device);
        let codes = self.step_labels(phase, x.clone(), &rows);
        let loss = encoder_loss(&self.student, x.clone(), &rows, codes, &mut self.draws.1);
        let mut batch = BatchLoss::new(loss);
        let joint = phase.context.plan.joint.as_ref().expect("a joint phase has its values");
        if let Some(before) = joint.last_before(step, phase.steps_per_epoch()) {
            let target = self.student.encoder.valid().embed_patches(x.clone().inner());
            let found = self.teach(phase, step, before, x, target);
            batch.values.push(("tokenizer", found.total().inner()));
            batch.loss = batch.loss + found.total().mul_scalar(joint.weight);
            batch.codes = Some((found.quantized.codes.inner(), self.config.quantizer.codebook_size()));
        }
        batch
    }

    /// The tokenizer's loss, which moves codebooks: once for each batch. `before` is the last step
    /// that did.
    fn teach(
        &mut self,
        phase: &Phase<'_, '_>,
        step: u64,
        before: u64,
        x: Tensor<B, 5>,
        target: Tensor<B::InnerBackend, 3>,
    ) -> TokenizerLoss<B> {
        let (mode, mut picks) = mode(phase, step, before);
        tokenizer_loss(&mut self.teacher, x, Tensor::from_inner(target), mode, &mut picks)
    }
}

/// Labels come from the cold start as long as the tokenizer was never trained.
fn source(phase: &Phase<'_, '_>) -> Source {
    let cold_start = phase.context.plan.cold_start.as_ref();
    if phase.plan.kind != PhaseKind::Encoder || is_taught(phase) {
        return Source::Network;
    }
    match cold_start.map(|start| start.position) {
        Some(ColdStartPosition::Out) => Source::ColdStartContent,
        _ => Source::ColdStart,
    }
}

/// Whether a phase before this one trained the tokenizer.
pub(super) fn is_taught<D: TrainingData>(phase: &PhaseRun<'_, D>) -> bool {
    let mut before = phase.context.plan.phases().into_iter().take(phase.index);
    before.any(|before| before.kind == PhaseKind::Tokenizer)
}

/// The quantizer's values in the phase at this place; None where there is none.
pub(super) fn phase_values<D>(context: &Context<'_, D>, phase: usize) -> Option<QuantizerConfig> {
    context.plan.phases().into_iter().nth(phase)?.quantizer
}

/// The codebooks that a phase begins with, in a quantizer with the phase's values.
pub(super) fn begin_codebooks<B: TrainBackend, D>(
    quantizer: &mut AnyQuantizer<B>,
    phase: &PhaseRun<'_, D>,
    device: &B::Device,
) {
    // those of the first phase are drawn with the other weights
    if phase.index > 0 {
        let seed: Seed = phase.context.seed.child("weights").child(&phase.plan.name);
        *quantizer = next_codebooks(quantizer, &phase.plan, &Init::new(seed, device));
    }
}

/// The quantizer of a phase after one with this quantizer.
fn next_codebooks<B: Ops>(earlier: &AnyQuantizer<B>, phase: &PhasePlan, init: &Init<B>) -> AnyQuantizer<B> {
    let values = phase.quantizer.as_ref().expect("a phase of BRIDLE has a quantizer");
    let mut next = AnyQuantizer::new(values, init);
    if phase.codebooks != Codebooks::New {
        take_codebooks(&mut next, earlier);
        next.set_started(phase.codebooks == Codebooks::Kept);
    }
    next
}

/// Whether labels that the phase before counted are this phase's too.
pub(super) fn same_labels<D>(phase: &PhaseRun<'_, D>) -> bool {
    let before = phase
        .index
        .checked_sub(1)
        .and_then(|before| phase_values(phase.context, before));
    let codes = |values: Option<&QuantizerConfig>| values.map(QuantizerValues::label_codes);
    phase.plan.codebooks == Codebooks::Kept && codes(before.as_ref()) == codes(phase.plan.quantizer.as_ref())
}

/// Takes the codebooks of another quantizer, such as a frozen copy that has started them.
pub(super) fn take_codebooks<B: Ops, C: Ops>(own: &mut AnyQuantizer<B>, copy: &AnyQuantizer<C>) {
    *own = weights::load(own.clone(), &weights::collect(copy)).expect("a copy has the same parameters");
    own.set_started(copy.is_started());
}

/// From time to time hardly used codes are restarted, by picks of the step's own: once as many steps
/// have passed, counted over the last step `before` that moved codebooks.
pub(super) fn mode<D: TrainingData>(phase: &PhaseRun<'_, D>, step: u64, before: u64) -> (Mode, SeededPicks) {
    let picks = phase.picks();
    let quantizer = phase
        .plan
        .quantizer
        .clone()
        .and_then(|values| RqConfig::try_from(&values).ok());
    match quantizer.map(|values| values.restart_every as u64) {
        Some(every) if step / every > before / every => {
            (Mode::Restart, SeededPicks(picks.0.child("by-usage").indexed(step)))
        }
        _ => (Mode::Train, picks),
    }
}

/// The loss of a tokenizer phase; the use of codes is counted as often as losses are read back.
pub(super) fn tokenizer_batch<B: TrainBackend>(
    found: TokenizerLoss<B>,
    step: u64,
    codebook_size: usize,
) -> BatchLoss<B> {
    let mut batch = BatchLoss::new(found.total());
    batch.values.push(("estimation", found.estimation.inner()));
    batch.values.push(("quantization", found.quantized.loss.inner()));
    let counted = step.is_multiple_of(LOG_EVERY as u64);
    batch.codes = counted.then(|| (found.quantized.codes.inner(), codebook_size));
    batch
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test
    use super::*;
    use crate::plan::{Plan, PlanRequest};
    use burn::tensor::TensorData;
    use burn_flex::Flex;

    const CODES: usize = 64;

    fn phases(set: &[&str]) -> Vec<PhasePlan> {
        let codes = format!("quantizer.codes={CODES}");
        let request = PlanRequest {
            task: "esc50".to_owned(),
            preset: Some("smoke".to_owned()),
            set: set.iter().copied().chain([&codes[..]]).map(str::to_owned).collect(),
            ..PlanRequest::default()
        };
        Plan::resolve(&request).unwrap().phases()
    }

    /// Latents [1, 256, 32] at `places` places.
    fn latents(places: usize) -> Tensor<Flex, 3> {
        let mut stream = Seed::root(1).stream();
        let places: Vec<Vec<f32>> = (0..places)
            .map(|_| (0..32).map(|_| stream.normal()).collect())
            .collect();
        let values = (0..256).flat_map(|row| places[row % places.len()].clone()).collect();
        Tensor::from_data(TensorData::new::<f32, _>(values, [1, 256, 32]), &Default::default())
    }

    /// The vectors of the first level, code by code.
    fn vectors(quantizer: &AnyQuantizer<Flex>) -> Vec<Vec<f32>> {
        let all: Vec<f32> = quantizer.codebooks()[0]
            .vectors
            .val()
            .into_data()
            .iter::<f32>()
            .collect();
        all.chunks(all.len() / CODES).map(<[f32]>::to_vec).collect()
    }

    /// How many codes of the first level have other vectors after the first forward of the second
    /// encoder phase, and after its next one; its first batch uses 5 of 64.
    fn renewed(set: &[&str]) -> [usize; 2] {
        let phases = phases(set);
        let init = |name: &str| Init::<Flex>::new(Seed::root(0).child(name), &Default::default());
        let mut picks = SeededPicks(Seed::root(3));
        let mut trained = AnyQuantizer::new(phases[1].quantizer.as_ref().unwrap(), &init("tokenizer-1"));
        trained.forward(latents(300), Mode::Train, &mut picks);
        let mut next = next_codebooks(&trained, &phases[2], &init("encoder-2"));
        let mut before = vectors(&trained);
        [(); 2].map(|()| {
            next.codes(latents(5), &mut picks);
            let now = std::mem::replace(&mut before, vectors(&next));
            now.iter().zip(&before).filter(|(then, now)| then != now).count()
        })
    }

    #[test]
    fn an_encoder_phase_restarts_codes_where_its_process_would() {
        assert_eq!(renewed(&[]), [0, 0]);
        assert_eq!(renewed(&["pretrain.encoder.restart=once"]), [0, 0]);
        let on = renewed(&["pretrain.encoder.restart=on"]);
        assert!((CODES - 5..CODES).contains(&on[0]), "{on:?}");
        assert_eq!(on[1], 0);
        // the same where two codes are taken of each level: the farthest ones
        let soft = renewed(&["pretrain.encoder.restart=on", "pretrain.encoder.soft_codes=2"]);
        assert!(soft[0] >= CODES - 10 && soft[1] == 0, "{soft:?}");
        // codebooks that started uniformly start again, by k-means
        let uniform = "pretrain.tokenizer.start=uniform";
        assert_eq!(renewed(&[uniform]), [CODES, 0]);
        assert_eq!(renewed(&[uniform, "pretrain.encoder.start=uniform"]), [0, 0]);
        // a tokenizer phase has new codebooks in any case
        let phases = phases(&["pretrain.rounds=3"]);
        let init = Init::<Flex>::new(Seed::root(0), &Default::default());
        let mut earlier = AnyQuantizer::new(phases[2].quantizer.as_ref().unwrap(), &init);
        earlier.forward(latents(300), Mode::Train, &mut SeededPicks(Seed::root(3)));
        let new = next_codebooks(&earlier, &phases[3], &init.child("tokenizer-2"));
        assert!(!new.is_started() && vectors(&new) != vectors(&earlier));
    }
}

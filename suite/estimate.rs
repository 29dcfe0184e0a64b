//! What a plan will cost: parameters, arithmetic, memory, disk. Closed formulas, good to a factor of
//! about 1.5.

mod speech;

use crate::plan::{PhaseKind, Plan};
use bridle::quantizer::QuantizerValues;
use bridle_results::record::RunRecord;
use bridle_tasks::InputSpec;
use speech::SpeechNetworks;

/// Bytes of one number.
const F32: f64 = 4.0;
/// A trained parameter is held with its gradient and AdamW's two moments.
const HELD_PER_TRAINED: f64 = 4.0;
/// Backward costs twice the forward pass.
const TRAIN_OVER_FORWARD: f64 = 3.0;
/// Memory besides tensors: code, caches of the decoder and the allocator, in bytes.
const PROCESS_BYTES: f64 = 120e6;

/// What training goes over.
#[derive(Clone, Debug, PartialEq)]
pub enum Workload {
    /// So many samples of one shape.
    Samples(usize),
    /// Utterances, each with so many frames of the model.
    Utterances(Vec<usize>),
}

impl Workload {
    /// Samples in all.
    pub fn count(&self) -> usize {
        match self {
            Self::Samples(count) => *count,
            Self::Utterances(lengths) => lengths.len(),
        }
    }

    fn lengths(&self) -> Option<&[usize]> {
        match self {
            Self::Samples(_) => None,
            Self::Utterances(lengths) => Some(lengths),
        }
    }
}

/// A transformer trunk.
#[derive(Clone, Copy)]
struct Trunk {
    dim: f64,
    depth: f64,
    heads: f64,
    mlp_ratio: f64,
}

impl Trunk {
    fn new(dim: usize, depth: usize, heads: usize, mlp_ratio: usize) -> Self {
        Self {
            dim: dim as f64,
            depth: depth as f64,
            heads: heads as f64,
            mlp_ratio: mlp_ratio as f64,
        }
    }

    /// Weights and biases: attention 4 D^2 + 4 D, MLP 2 r D^2 + (r + 1) D, two norms 4 D.
    fn parameters(&self) -> f64 {
        let (d, r) = (self.dim, self.mlp_ratio);
        self.depth * ((4.0 + 2.0 * r) * d * d + (9.0 + r) * d)
    }

    /// Operations of a forward pass over `tokens` tokens (a multiplication and an addition are
    /// two).
    fn forward(&self, tokens: f64) -> f64 {
        let (d, r) = (self.dim, self.mlp_ratio);
        self.depth * (2.0 * tokens * (4.0 + 2.0 * r) * d * d + 4.0 * tokens * tokens * d)
    }

    /// Numbers kept for the backward pass over `tokens` tokens: inputs of every product, norm,
    /// softmax and activation.
    fn kept(&self, tokens: f64) -> f64 {
        self.depth * (tokens * self.dim * (10.0 + 3.0 * self.mlp_ratio) + 3.0 * self.heads * tokens * tokens)
    }

    /// The same where every block keeps only its input and one block at a time is recomputed.
    fn kept_by_checkpoints(&self, tokens: f64) -> f64 {
        (self.depth * tokens).mul_add(self.dim, self.kept(tokens) / self.depth)
    }
}

/// The networks of a plan with their token counts.
struct Networks {
    encoder: Trunk,
    /// Decoder trunk and the width of its head over all codebooks.
    decoder: Option<(Trunk, f64)>,
    estimator: Option<Trunk>,
    /// Numbers of one patch.
    patch: f64,
    tokens: f64,
    kept: f64,
    /// Share of the layers that the unmasked input goes through as well.
    unmasked: f64,
    /// Whether blocks keep only their input.
    checkpoint: bool,
}

/// The cost of one phase.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PhaseCost {
    /// Optimizer steps.
    pub steps: u64,
    /// Total operations.
    pub operations: f64,
    /// Bytes held at the peak.
    pub memory_bytes: f64,
}

/// Trained parameters of the encoder; 0 where it is none of this program's.
pub fn encoder_parameters(plan: &Plan) -> u64 {
    let Some(networks) = Networks::new(plan) else {
        return 0;
    };
    (networks.encoder.parameters() + networks.patch * networks.encoder.dim + 4.0 * networks.encoder.dim) as u64
}

/// Whether the cost of the plan is known: not with an encoder of others.
pub fn is_known(plan: &Plan) -> bool {
    plan.model.vit().is_some() || plan.model.conformer().is_some()
}

/// The networks of a plan on speech with the lengths of its utterances; None for any other.
fn on_speech<'a>(plan: &Plan, over: &'a Workload) -> Option<(SpeechNetworks, &'a [usize])> {
    SpeechNetworks::new(plan).zip(over.lengths())
}

/// Cost of every phase over these training samples, in the order of [`Plan::phases`]; memory of each of
/// so many ranks that share the batches.
pub fn phases(plan: &Plan, over: &Workload, ranks: usize) -> Vec<PhaseCost> {
    if let Some((networks, lengths)) = on_speech(plan, over) {
        let phases = plan.phases().into_iter();
        return phases
            .map(|phase| networks.phase(plan, &phase, lengths, ranks))
            .collect();
    }
    let Some(networks) = Networks::new(plan) else {
        return Vec::new();
    };
    let samples = over.count();
    let (batch, in_step) = plan
        .pretrain
        .as_ref()
        .map_or((1, 1), |pretrain| (pretrain.batch, pretrain.step_samples()));
    let cost = |phase: &crate::plan::PhasePlan| {
        let batches = (samples / in_step).max(1); // the last, incomplete step is left out
        PhaseCost {
            steps: (phase.length.epochs * batches) as u64,
            operations: networks.step(phase.kind) * (phase.length.epochs * samples) as f64,
            memory_bytes: networks.memory(phase.kind, batch.div_ceil(ranks) as f64),
        }
    };
    plan.phases().iter().map(cost).collect()
}

/// Operations per second that a recorded run reached in training, over the phases that it trained
/// itself; on speech, of utterances like these. None if it trained nothing or its plan is of another
/// version.
pub fn speed(record: &RunRecord, over: &Workload) -> Option<f64> {
    let plan = Plan::from_flat(&record.plan).ok()?;
    let (networks, speech) = (Networks::new(&plan), on_speech(&plan, over));
    let step = |kind| match (&networks, &speech) {
        (Some(networks), _) => Some(networks.step(kind)),
        (None, Some((networks, lengths))) => Some(networks.operations(kind, lengths)),
        (None, None) => None,
    };
    let (mut operations, mut seconds) = (0.0, 0.0);
    for trained in record.phases.iter().filter(|phase| phase.reused_from.is_none()) {
        let planned = plan.phases().into_iter().find(|phase| phase.name == trained.name)?;
        operations += step(planned.kind)? * trained.samples_per_second * trained.seconds;
        seconds += trained.seconds;
    }
    (seconds > 0.0)
        .then(|| operations / seconds)
        .filter(|speed| *speed > 0.0)
}

/// Cost of fine-tuning on these training samples, memory of each of so many ranks; None where the plan
/// has none.
pub fn finetune(plan: &Plan, over: &Workload, ranks: usize) -> Option<PhaseCost> {
    if let Some((networks, lengths)) = on_speech(plan, over) {
        return networks.finetune(plan, lengths, ranks);
    }
    let samples = over.count();
    let values = plan.evaluation.finetune.as_ref()?.classes()?;
    let networks = Networks::new(plan)?;
    let drawn = values.epoch_samples.unwrap_or(samples);
    let (encoder, tokens) = (networks.encoder, networks.tokens + 1.0);
    let held = HELD_PER_TRAINED * encoder.parameters();
    Some(PhaseCost {
        steps: (values.epochs * (drawn / values.batch).max(1)) as u64,
        operations: TRAIN_OVER_FORWARD * encoder.forward(tokens) * (values.epochs * drawn) as f64,
        memory_bytes: PROCESS_BYTES + F32 * (held + values.batch.div_ceil(ranks) as f64 * encoder.kept(tokens)),
    })
}

/// Operations and bytes of computing the features of `samples` samples, as far as they are known:
/// those of an encoder of others are not.
pub fn features(plan: &Plan, samples: usize) -> PhaseCost {
    let Some(networks) = Networks::new(plan) else {
        return PhaseCost {
            steps: 0,
            operations: 0.0,
            memory_bytes: PROCESS_BYTES,
        };
    };
    let forward = networks.encoder.forward(networks.tokens + 1.0);
    let batch = plan
        .evaluation
        .probe
        .as_ref()
        .and_then(|probe| probe.classes())
        .map_or(1, |probe| probe.batch) as f64;
    PhaseCost {
        steps: 0,
        operations: forward * samples as f64,
        memory_bytes: PROCESS_BYTES
            + F32 * (networks.encoder.parameters() + networks.encoder.kept(networks.tokens) * batch / 4.0),
    }
}

/// Bytes of the stored model inputs of `samples` samples.
pub fn input_bytes(plan: &Plan, samples: usize) -> u64 {
    let numbers: usize = plan.fixed_input().shape().iter().product();
    (samples * numbers) as u64 * F32 as u64
}

/// Bytes of a checkpoint: all networks, and AdamW's moments for the larger trained half.
pub fn checkpoint_bytes(plan: &Plan) -> u64 {
    if let Some(networks) = SpeechNetworks::new(plan).filter(|_| plan.pretrain.is_some()) {
        return networks.checkpoint_bytes();
    }
    let Some(networks) = Networks::new(plan).filter(|_| plan.pretrain.is_some()) else {
        return 0;
    };
    let trained = networks.encoder.parameters() + networks.decoder_parameters();
    let frozen = networks.encoder.parameters() + networks.estimator.map_or(0.0, |trunk| trunk.parameters());
    (F32 * (3.0 * trained + frozen)) as u64
}

impl Networks {
    /// None where the encoder is none of this program's.
    fn new(plan: &Plan) -> Option<Self> {
        let vit = plan.model.vit()?;
        let model = &vit.sizes;
        let area = (model.patch * model.patch) as f64;
        let trunk = |dim, depth, heads| Trunk::new(dim, depth, heads, model.mlp_ratio);
        let labels = plan
            .label_quantizer()
            .map_or(0, |quantizer| quantizer.label_codes() * quantizer.codebook_size());
        let decoder = vit.decoder.as_ref();
        let estimator = vit.estimator.as_ref();
        Some(Self {
            encoder: trunk(model.dim, model.depth, model.heads),
            decoder: decoder.map(|decoder| (trunk(decoder.dim, decoder.depth, decoder.heads), labels as f64)),
            estimator: estimator.map(|estimator| trunk(estimator.dim, estimator.depth, estimator.heads)),
            patch: match plan.fixed_input() {
                InputSpec::Audio { .. } => area,
                InputSpec::Image { .. } => 3.0 * area,
                InputSpec::Video { .. } => 3.0 * area * model.tubelet.unwrap_or(1) as f64,
                InputSpec::Pipeline(_) => unreachable!("a plan with a ViT of its own has no such input"),
            },
            tokens: plan.tokens() as f64,
            kept: plan.kept_tokens() as f64 + 1.0,
            unmasked: plan
                .birq
                .as_ref()
                .map_or(0.0, |birq| birq.layers as f64 / model.depth as f64),
            checkpoint: plan.pretrain.as_ref().is_some_and(|pretrain| pretrain.checkpoint),
        })
    }

    fn decoder_parameters(&self) -> f64 {
        self.decoder.map_or(0.0, |(trunk, labels)| {
            trunk.parameters() + trunk.dim * (labels + self.encoder.dim)
        })
    }

    /// Operations of one sample in one step.
    fn step(&self, kind: PhaseKind) -> f64 {
        let decode = self.decoder.map_or(0.0, |(trunk, labels)| {
            trunk.forward(self.tokens + 1.0) + 2.0 * (self.tokens + 1.0) * trunk.dim * labels
        });
        let whole = self.encoder.forward(self.tokens + 1.0);
        let estimate = self.estimator.map_or(0.0, |trunk| trunk.forward(self.tokens));
        // the tokenizer that makes the labels is a second encoder over all tokens
        let encoder_step = TRAIN_OVER_FORWARD * (self.encoder.forward(self.kept) + decode) + whole;
        let tokenizer_step = TRAIN_OVER_FORWARD * (whole + estimate) + whole;
        match kind {
            PhaseKind::Encoder => encoder_step,
            PhaseKind::Tokenizer => tokenizer_step,
            PhaseKind::Joint => encoder_step + tokenizer_step,
            PhaseKind::Masked => TRAIN_OVER_FORWARD * whole * (1.0 + self.unmasked),
        }
    }

    /// Bytes held at the peak of a step.
    fn memory(&self, kind: PhaseKind, batch: f64) -> f64 {
        let kept = |trunk: &Trunk, tokens: f64| {
            if self.checkpoint {
                trunk.kept_by_checkpoints(tokens)
            } else {
                trunk.kept(tokens)
            }
        };
        let estimator = self.estimator.map_or(0.0, |trunk| trunk.parameters());
        let decoder_side = self.encoder.parameters() + self.decoder_parameters();
        let tokenizer_side = self.encoder.parameters() + estimator;
        let decoding = self.decoder.map_or(0.0, |(trunk, labels)| {
            // logits, their softmax and its gradient, for removed tokens
            kept(&trunk, self.tokens + 1.0) + 3.0 * (self.tokens - self.kept) * labels
        });
        let encoder_step = kept(&self.encoder, self.kept) + decoding;
        let tokenizer_step =
            kept(&self.encoder, self.tokens) + self.estimator.map_or(0.0, |trunk| kept(&trunk, self.tokens));
        let (held, activations) = match kind {
            PhaseKind::Encoder => (HELD_PER_TRAINED * decoder_side + tokenizer_side, encoder_step),
            PhaseKind::Tokenizer => (HELD_PER_TRAINED * tokenizer_side + decoder_side, tokenizer_step),
            PhaseKind::Joint => (
                HELD_PER_TRAINED * (decoder_side + tokenizer_side),
                encoder_step + tokenizer_step,
            ),
            PhaseKind::Masked => (
                HELD_PER_TRAINED * self.encoder.parameters(),
                kept(&self.encoder, self.tokens + 1.0) * (1.0 + self.unmasked),
            ),
        };
        PROCESS_BYTES + F32 * (held + batch * activations)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test
    use super::*;
    use crate::plan::PlanRequest;

    const CLIPS: Workload = Workload::Samples(1600);

    fn plan(set: &[&str]) -> Plan {
        let set = set.iter().map(|&assignment| assignment.to_owned()).collect();
        Plan::resolve(&PlanRequest {
            task: "esc50".to_owned(),
            set,
            ..PlanRequest::default()
        })
        .unwrap()
    }

    #[test]
    fn the_base_encoder_has_its_known_size() {
        // ViT-B without head: 85.3 million in the blocks and the one-channel patch embedding
        let millions = encoder_parameters(&plan(&["preset=paper", "method=random-init"])) as f64 / 1e6;
        assert!((millions - 85.3).abs() < 0.2, "{millions}");
    }

    #[test]
    fn steps_follow_epochs_and_batches() {
        let steps = phases(&plan(&[]), &CLIPS, 1)
            .iter()
            .map(|phase| phase.steps)
            .collect::<Vec<_>>();
        let expected = plan(&[])
            .phases()
            .iter()
            .map(|phase| phase.length.epochs as u64 * 100)
            .collect::<Vec<_>>();
        assert_eq!(steps, expected);
    }

    #[test]
    fn fine_tuning_costs_what_its_epochs_do() {
        assert_eq!(finetune(&plan(&[]), &CLIPS, 1), None);
        let cost = |set: &[&str]| finetune(&plan(&[&["protocols=finetune"], set].concat()), &CLIPS, 1).unwrap();
        let once = cost(&["finetune.epochs=5", "finetune.batch=16"]);
        assert_eq!(once.steps, 500);
        let twice = cost(&["finetune.epochs=10", "finetune.batch=32"]);
        assert_eq!((twice.steps, twice.operations), (500, 2.0 * once.operations));
        assert!(twice.memory_bytes > once.memory_bytes);
    }

    #[test]
    fn larger_plans_cost_more() {
        let cost = |set: &[&str]| phases(&plan(set), &CLIPS, 1)[0];
        let small = cost(&[]);
        for larger in [
            "model.dim=256",
            "model.decoder.dim=128",
            "pretrain.batch=64",
            "quantizer.codes=1024",
        ] {
            assert!(cost(&[larger]).memory_bytes > small.memory_bytes, "{larger}");
        }
        let longer = cost(&["pretrain.encoder.epochs=20"]);
        let ratio = 20.0 / plan(&[]).core.pretrain.unwrap().encoder.epochs as f64;
        assert!((longer.operations / small.operations - ratio).abs() < 1e-9);
    }

    #[test]
    fn a_recorded_speed_gives_back_the_recorded_time() {
        let plan = plan(&[]);
        let phase = |phase: crate::plan::PhasePlan| {
            serde_json::json!({
                "name": phase.name, "epochs": phase.length.epochs, "steps": 1, "seconds": 160.0,
                "samples_per_second": phase.length.epochs as f64 * 10.0, "loss": {"first": 2.0, "last": 1.0},
                "codebooks": [], "reused_from": null,
            })
        };
        let mut record = RunRecord::from_json(&record(&plan, plan.phases().into_iter().map(phase).collect())).unwrap();
        let operations: f64 = phases(&plan, &CLIPS, 1).iter().map(|phase| phase.operations).sum();
        let seconds = operations / speed(&record, &CLIPS).unwrap();
        assert!((seconds - 160.0 * plan.phases().len() as f64).abs() < 1e-6, "{seconds}");
        record
            .phases
            .iter_mut()
            .for_each(|phase| phase.reused_from = Some("another".to_owned()));
        assert_eq!(
            speed(&record, &CLIPS),
            None,
            "what was reused says nothing of this backend"
        );
    }

    fn record(plan: &Plan, phases: Vec<serde_json::Value>) -> String {
        let statistics = serde_json::json!({"mean": [0.0], "std": [1.0]});
        serde_json::json!({
            "schema": 2, "id": "a", "plan": plan.to_flat(), "plan_hash": plan.plan_hash(), "pretrain_hash": null,
            "program": {"version": "0", "commit": "unknown", "dirty": false},
            "machine": {"cpu": "a", "cores": 2, "memory_bytes": 1, "gpu": null},
            "backend": {"name": "flex", "device": "a", "library": "a", "dtype": "fp32", "threads": 2},
            "seed": 0, "fold": 1,
            "data": {
                "task": "esc50", "version": "1", "variant": "a", "source": "a", "manifest_sha256": null,
                "counts": {}, "subset": null, "skipped": [], "input": {"measured": null, "constants": statistics},
            },
            "phases": phases, "scores": [], "seconds": {}, "peak_memory_bytes": {"host": null, "device": null},
            "started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:00:00Z", "predictions": null,
        })
        .to_string()
    }
}

//! From the plan's values to the model's sizes.

use crate::plan::{AudioRows, DecoderKind, Plan, Quantizer, Restart, SoftPick, Space, Start};
use bridle::config as model;
use bridle::pretrain::ModelConfig;
use bridle_tasks::InputSpec;

/// What the plan's input looks like to the model.
pub fn geometry(plan: &Plan) -> model::Geometry {
    let patch = plan.model.patch;
    match plan.data.input {
        InputSpec::Audio { frames, mels, .. } => {
            let rows = plan
                .position
                .as_ref()
                .map_or(AudioRows::Scrambled, |position| position.audio_rows);
            let rows = match rows {
                AudioRows::Scrambled => bridle::position::AudioRows::Scrambled,
                AudioRows::TokenOrder => bridle::position::AudioRows::TokenOrder,
            };
            model::Geometry::Audio {
                frames,
                mels,
                patch,
                rows,
            }
        }
        InputSpec::Image { side, .. } => model::Geometry::Image { side, patch },
        InputSpec::Video { frames, side, .. } => model::Geometry::Video {
            frames,
            side,
            patch,
            tubelet: plan.model.tubelet.unwrap_or(1),
        },
    }
}

/// Sizes of the encoder (and of the tokenizer's body).
pub fn encoder(plan: &Plan) -> model::StackConfig {
    let sizes = &plan.model;
    model::StackConfig {
        dim: sizes.dim,
        depth: sizes.depth,
        heads: sizes.heads,
        mlp_ratio: sizes.mlp_ratio,
    }
}

/// Sizes of every part; None where the plan pretrains nothing.
pub fn config(plan: &Plan) -> Option<ModelConfig> {
    let (decoder, estimator) = (plan.model.decoder.as_ref()?, plan.model.estimator.as_ref()?);
    let quantizer = plan.quantizer.as_ref()?;
    let mlp_ratio = plan.model.mlp_ratio;
    let kind = match decoder.kind {
        DecoderKind::Global => model::DecoderKind::Global,
        DecoderKind::Swin => model::DecoderKind::Swin,
    };
    let stack = |dim, depth, heads| model::StackConfig {
        dim,
        depth,
        heads,
        mlp_ratio,
    };
    Some(ModelConfig {
        geometry: geometry(plan),
        encoder: encoder(plan),
        decoder: model::DecoderConfig {
            kind,
            stack: stack(decoder.dim, decoder.depth, decoder.heads),
        },
        estimator: stack(estimator.dim, estimator.depth, estimator.heads),
        quantizer: quantizer.kind.word().to_owned(),
        codes: codes(quantizer),
    })
}

fn codes(quantizer: &Quantizer) -> model::QuantizerConfig {
    model::QuantizerConfig {
        levels: quantizer.levels,
        codes: quantizer.codes,
        dim: quantizer.code_dim,
        decay: quantizer.decay,
        commitment: quantizer.commitment,
        start: match quantizer.start {
            Start::Kmeans => model::Start::Kmeans,
            Start::Uniform => model::Start::Random,
        },
        kmeans_iterations: quantizer.kmeans_iterations,
        soft_codes: quantizer.soft_codes.unwrap_or(1),
        soft_pick: match quantizer.soft_pick {
            None | Some(SoftPick::Farthest) => model::SoftPick::Farthest,
            Some(SoftPick::Nearest) => model::SoftPick::Nearest,
        },
        restart: match quantizer.restart {
            Some(Restart::FirstForward) => model::Restart::FirstForward,
            Some(Restart::ByUsage) => model::Restart::ByUsage,
            None => model::Restart::Off,
        },
        space: match quantizer.space {
            None | Some(Space::UnitLookup) => model::Space::UnitLookup,
            Some(Space::Raw) => model::Space::Raw,
        },
        learning: model::Learning::Ema,
    }
}

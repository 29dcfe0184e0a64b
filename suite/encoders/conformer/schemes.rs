//! Which checkpoints hold a Conformer, and which one.

use super::config::{BLOCKS, ConformerConfig, Front};
use super::front::STRIDE;
use crate::families::Scheme;
use crate::names::{EncoderError, Taker};
use crate::recognised::{Body, Options, Recognised};
use crate::settings::{Settings, refuse};
use crate::speech::schemes::{Found, HEADS, SAMPLE_RATE, beginnings, has_conformer_blocks, labels, numbered, wave};
use crate::speech::settings::{Needed, blocks};
use bridle_containers::Checkpoint;
use bridle_tasks::pipeline::{Kaldi, Normalise, Pipeline, SpeechBrain, Window};

/// wav2vec 2.0's Conformer in folders of transformers.
pub const WAV2VEC2: Scheme = Scheme {
    name: "transformers-conformer",
    find: |checkpoint| {
        let starts = beginnings(checkpoint, "feature_extractor.conv_layers.", |rest| {
            numbered(rest, ".conv.")
        });
        starts
            .into_iter()
            .filter(|start| has_conformer_blocks(checkpoint, start))
            .collect()
    },
    recognise: wav2vec2,
    passed_over: &{
        let mut names = [""; HEADS.len() + 1];
        let mut index = 0;
        while index < HEADS.len() {
            names[index] = HEADS[index];
            index += 1;
        }
        // saved with the model, which does not use it
        names[HEADS.len()] = "encoder.pos_conv_embed";
        names
    },
};

/// w2v-BERT 2.0 in folders of transformers.
pub const W2V_BERT: Scheme = Scheme {
    name: "transformers-w2v-bert",
    find: |checkpoint| {
        let starts = beginnings(checkpoint, "encoder.layers.", |rest| numbered(rest, ".conv_module."));
        let has_convolutions = |start: &String| {
            let convolutions = format!("{start}feature_extractor.conv_layers.");
            checkpoint.tensors.keys().any(|name| name.starts_with(&convolutions))
        };
        starts.into_iter().filter(|start| !has_convolutions(start)).collect()
    },
    recognise: w2v_bert,
    passed_over: &HEADS,
};

/// BEST-RQ of SpeechBrain: a list of modules, of which the first two are the encoder.
pub const BEST_RQ: Scheme = Scheme {
    name: "speechbrain-best-rq",
    find: |checkpoint| beginnings(checkpoint, "0.convblock_", |rest| numbered(rest, ".convs.")),
    recognise: best_rq,
    passed_over: &["2", "3", "4", "5"],
};

fn wav2vec2(checkpoint: &Checkpoint, prefix: &str, options: &Options) -> Result<Recognised, EncoderError> {
    let settings = Needed(Settings(&checkpoint.config));
    settings.word("model_type", &[("wav2vec2-conformer", ())])?;
    let taker = Taker::new(checkpoint, prefix);
    let config = ConformerConfig::wav2vec2(settings, &taker)?;
    let found = Found {
        family: "wav2vec2-conformer",
        scheme: &WAV2VEC2,
        heads: config.heads,
        body: Body::Conformer(config),
        pipeline: wave(Needed(Settings(&checkpoint.preprocessor)))?,
        assumed: Vec::new(),
        licence: None,
        labels: labels(&taker, checkpoint),
    };
    found.with(prefix, options)
}

fn w2v_bert(checkpoint: &Checkpoint, prefix: &str, options: &Options) -> Result<Recognised, EncoderError> {
    let settings = Needed(Settings(&checkpoint.config));
    settings.word("model_type", &[("wav2vec2-bert", ())])?;
    let taker = Taker::new(checkpoint, prefix);
    let config = ConformerConfig::w2v_bert(settings, &taker)?;
    let inputs = Needed(Settings(&checkpoint.preprocessor));
    inputs.0.only("sampling_rate", SAMPLE_RATE)?;
    let (mels, stack) = (inputs.count("num_mel_bins")?, inputs.count("stride")?);
    if config.front != Front::Frames(mels * stack) {
        let reason = format!("the encoder does not take {stack} times {mels} numbers");
        return Err(refuse("num_mel_bins", mels, reason));
    }
    let found = Found {
        family: "w2v-bert",
        scheme: &W2V_BERT,
        heads: config.heads,
        body: Body::Conformer(config),
        pipeline: Pipeline::Kaldi(Kaldi {
            sample_rate: SAMPLE_RATE,
            mels,
            window: Window::Povey,
            scale: 32_768.0,
            centre: false,
            frames: None,
            normalise: Normalise::PerBand { epsilon: 1e-7 },
            stack,
            padding_value: inputs.real("padding_value")?,
        }),
        assumed: Vec::new(),
        licence: None,
        labels: labels(&taker, checkpoint),
    };
    found.with(prefix, options)
}

fn best_rq(checkpoint: &Checkpoint, prefix: &str, options: &Options) -> Result<Recognised, EncoderError> {
    let taker = Taker::new(checkpoint, prefix);
    let config = ConformerConfig::best_rq(&taker, blocks(&taker, BLOCKS))?;
    let mels = match config.front {
        Front::Mels { mels, .. } => mels,
        Front::Wave(_) | Front::Frames(_) => 0,
    };
    let found = Found {
        family: "best-rq",
        scheme: &BEST_RQ,
        heads: config.heads,
        body: Body::Conformer(config),
        pipeline: Pipeline::SpeechBrain(SpeechBrain {
            sample_rate: SAMPLE_RATE,
            mels,
            multiple: STRIDE,
        }),
        assumed: vec![
            format!("a filterbank has {mels} mels"),
            "its activations are GELU, its convolutions over the filterbank have stride 2".to_owned(),
        ],
        licence: Some("Apache-2.0"),
        labels: "none",
    };
    found.with(prefix, options)
}

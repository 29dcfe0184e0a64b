//! The schemes of names that checkpoints follow. Each finds its names in a checkpoint, and says what encoder they are.

use crate::names::EncoderError;
use crate::recognised::{Options, Recognised};
use crate::{conformer, speech};
use bridle_containers::Checkpoint;

/// One way of naming tensors.
pub struct Scheme {
    /// Its word in [`Recognised::scheme`].
    pub name: &'static str,
    /// What the names of each encoder in a checkpoint begin with; empty if none follows this scheme.
    pub find: fn(&Checkpoint) -> Vec<String>,
    /// What encoder it is whose names begin with this.
    pub recognise: fn(&Checkpoint, &str, &Options) -> Result<Recognised, EncoderError>,
    /// Beginnings of names, in whole parts, of heads, decoders and teachers: what is no part of the encoder.
    pub passed_over: &'static [&'static str],
}

/// All of them. The first that finds an encoder has it.
pub const SCHEMES: &[Scheme] = &[
    speech::schemes::TRANSFORMERS,
    speech::schemes::FAIRSEQ,
    conformer::schemes::WAV2VEC2,
    conformer::schemes::W2V_BERT,
    conformer::schemes::BEST_RQ,
];

/// The one encoder in a checkpoint.
///
/// # Errors
/// If it holds none, several, or one that contradicts itself, its settings or the options.
pub fn recognise(checkpoint: &Checkpoint, options: &Options) -> Result<Recognised, EncoderError> {
    let mut found: Vec<(&Scheme, String)> = Vec::new();
    for scheme in SCHEMES {
        for prefix in (scheme.find)(checkpoint) {
            if found.iter().all(|(_, other)| *other != prefix) {
                found.push((scheme, prefix));
            }
        }
    }
    match &found[..] {
        [] => Err(EncoderError::Unknown(format!(
            "`{}` holds no encoder of a known family",
            checkpoint.name
        ))),
        [(scheme, prefix)] => (scheme.recognise)(checkpoint, prefix, options),
        several => {
            let words = several.iter().map(|(scheme, prefix)| format!("{} at `{prefix}`", scheme.name));
            Err(EncoderError::Unknown(format!(
                "`{}` holds several encoders: {}",
                checkpoint.name,
                words.collect::<Vec<_>>().join(", ")
            )))
        }
    }
}

/// Whether a tensor of a recognised checkpoint is known to be no part of the encoder.
pub fn is_passed_over(recognised: &Recognised, name: &str) -> bool {
    let Some(scheme) = SCHEMES.iter().find(|scheme| scheme.name == recognised.scheme) else {
        return false;
    };
    let begins = |tail: &str| {
        let known = |start: &&str| tail.strip_prefix(*start).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        scheme.passed_over.iter().any(|start| known(&start))
    };
    // within the encoder's names, and beside them at any level: `module.v.`, `module.`, and none
    let parts = recognised.prefix.match_indices('.').map(|(at, _)| &recognised.prefix[..=at]);
    std::iter::once("").chain(parts).any(|outer| name.strip_prefix(outer).is_some_and(begins))
}

//! The schemes of names that checkpoints follow. Each finds its names in a checkpoint, and says what encoder they are.

mod beats;
mod eat;
mod known;
mod plain;
mod sizes;
mod timm;
mod transformers;
mod window;

use crate::names::EncoderError;
use crate::recognised::{Options, Recognised};
use crate::{conformer, speech};
use bridle_containers::Checkpoint;
use std::collections::BTreeMap;

/// One way of naming tensors.
pub struct Scheme {
    /// Its word in [`Recognised::scheme`].
    pub name: &'static str,
    /// What the names of each encoder in a checkpoint begin with; empty if none follows this scheme.
    pub find: fn(&Checkpoint) -> Vec<String>,
    /// What encoder it is whose names begin with this.
    pub recognise: fn(&Checkpoint, &str, &Options) -> Result<Recognised, EncoderError>,
    /// Beginnings of names, in whole parts, of heads, decoders and teachers: what is no part of the encoder. Those that
    /// begin with `../` are beside the encoder's names, the others there or among them.
    pub passed_over: &'static [&'static str],
}

/// All of them. The first that finds an encoder has it.
pub const SCHEMES: &[Scheme] = &[
    speech::schemes::TRANSFORMERS,
    speech::schemes::FAIRSEQ,
    conformer::schemes::WAV2VEC2,
    conformer::schemes::W2V_BERT,
    conformer::schemes::BEST_RQ,
    eat::FAIRSEQ,
    eat::HUB,
    beats::SCHEME,
    transformers::SCHEME,
    timm::SCHEME,
];

/// What stands in front of the given ends of names, wherever at least two of them are: a file in which one tensor is
/// missing or has another name is still of its family.
fn prefixes(checkpoint: &Checkpoint, ends: &[&str]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in checkpoint.tensors.keys() {
        let fronts = ends.iter().filter_map(|end| name.strip_suffix(end));
        for front in fronts.filter(|front| front.is_empty() || front.ends_with('.')) {
            *counts.entry(front).or_default() += 1;
        }
    }
    let is_part = |prefix: &str, part: &str| prefix.split('.').any(|word| word == part);
    let has_teacher = counts.keys().any(|prefix| is_part(prefix, "teacher"));
    let is_encoder = |prefix: &str| {
        let aside = ["_ema", "decoder"].iter().any(|part| is_part(prefix, part));
        !(aside || has_teacher && is_part(prefix, "student"))
    };
    let found = counts
        .into_iter()
        .filter(|(prefix, count)| *count > 1 && is_encoder(prefix));
    found.map(|(prefix, _)| prefix.to_owned()).collect()
}

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
        // none, or a head alone
        [] => Err(EncoderError::Unknown(format!(
            "`{}` holds no encoder of a known family",
            checkpoint.name
        ))),
        [(scheme, prefix)] => {
            let recognised = (scheme.recognise)(checkpoint, prefix, options)?;
            match &options.family {
                Some(family) if *family != recognised.family => {
                    let reason = format!("its tensors are those of {}", recognised.family);
                    Err(crate::settings::refuse("family", family, reason))
                }
                _ => Ok(recognised),
            }
        }
        several => {
            let words = several
                .iter()
                .map(|(scheme, prefix)| format!("{} at `{prefix}`", scheme.name));
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
    let is_within = name.starts_with(&recognised.prefix);
    let begins = |tail: &str| {
        scheme.passed_over.iter().any(|start| {
            let beside = start.strip_prefix("../");
            let rest = tail.strip_prefix(beside.unwrap_or(start));
            let is_whole = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            is_whole && !(is_within && beside.is_some())
        })
    };
    // at any level of names: `module.v.`, `module.`, and none
    let parts = recognised
        .prefix
        .match_indices('.')
        .map(|(at, _)| &recognised.prefix[..=at]);
    std::iter::once("")
        .chain(parts)
        .any(|outer| name.strip_prefix(outer).is_some_and(begins))
}

//! ESC-50: 2,000 clips of environmental sound, 5 s each, 50 classes in 5 official folds (Piczak 2015).
//!
//! Known variants: the original archive (44.1 kHz wav), packed or unpacked; the hub's parquet files; and the same clips
//! at 16 kHz, the esc10 part as flac and the rest as Vorbis, all of whose files are pinned by size and sha256. In that
//! last one the codec coincides with the esc10 flag.

mod known;
mod packaging;
mod table;

use std::path::Path;

use self::known::{CLASSES, Clip, Found, TABLE, VARIANTS, Variant, find, subset};
use crate::cache::{self, Outcome, Prepared, Row, Work};
use crate::data::census::FileSizes;
use crate::data::dataset::{Inputs, counts};
use crate::files::hashes::Stamp;
use crate::files::locate::{Wanted, obtain};
use crate::files::manifest::{DIFFERENT, Listed, sha256};
use crate::media::Media;
use crate::media::audio::LogMel;

use crate::{
    DataError, DataFacts, Dataset, FBANK_VERSION, InputSpec, MainMetric, Missing, Modality, OpenRequest, Progress,
    RESAMPLER_VERSION, Sample, Skipped, Split, Target, Task, TaskSpec, decode,
};

const NAME: &str = "esc50";
const VERSION: u32 = 1;
const FOLDS: u8 = 5;
/// Every clip's length.
const SECONDS: usize = 5;
const ORIGINAL: &str = "https://github.com/karolpiczak/ESC-50 (https://github.com/karoldvl/ESC-50/archive/master.zip)";

/// The task.
pub struct Esc50;

impl Task for Esc50 {
    fn spec(&self) -> TaskSpec {
        TaskSpec {
            name: NAME,
            version: VERSION,
            summary: "environmental sound, 2,000 clips of 5 s, 50 classes, 5 folds",
            modality: Modality::Audio,
            // the authors' constants for this data set
            input: InputSpec::Audio {
                frames: 512,
                mels: 128,
                sample_rate: 16_000,
                mean: -6.6268077,
                std: 5.358466,
            },
            classes: CLASSES.map(str::to_owned).to_vec(),
            folds: Some(FOLDS),
            metric: MainMetric::Top1,
            source: ORIGINAL,
            licence: "CC BY-NC 3.0; the ESC-10 part CC BY 3.0; each clip's author is in the LICENSE file of the data",
            citation: "K. J. Piczak. ESC: Dataset for Environmental Sound Classification. ACM Multimedia 2015, 1015-1018",
        }
    }

    fn sections(&self) -> &'static [&'static str] {
        &["esc50"]
    }

    fn open(&self, request: &OpenRequest, progress: &dyn Progress) -> Result<Dataset, DataError> {
        let place = obtain(Wanted::of(NAME, ORIGINAL), request, progress)?;
        open(&place, &VARIANTS, request, progress)
    }
}

fn open(
    place: &Path,
    variants: &[Variant],
    request: &OpenRequest,
    progress: &dyn Progress,
) -> Result<Dataset, DataError> {
    let log_mel = LogMel::new(NAME, &request.input)?;
    let pool = cache::pool(request.threads)?;
    let mut found = find(place, variants, request, &pool, progress)?;
    if let Some(n) = request.subset {
        found.clips = subset(found.clips, n);
    }
    let work = Work {
        folder: &request.cache.join(NAME),
        key: &key(&found, &request.input),
        what: "computing log-mel features",
        samples: found.clips.len(),
        row: request.input.shape().iter().product(),
        keep: true,
        limit: request.limits.cache,
    };
    let prepared = cache::open_or_compute(&work, &pool, progress, |index| {
        match compute(&found, &found.clips[index], &log_mel) {
            Err(DataError::BadSample { reason, .. }) if request.allow_different => Ok(Outcome::Skipped(reason)),
            outcome => outcome.map(Outcome::Row),
        }
    })?;
    check_skipped(place, &found, &prepared)?;
    Ok(dataset(found, prepared, request))
}

/// Names all that decides the features: task, how they are computed, and the content of every clip in order.
fn key(found: &Found, input: &InputSpec) -> String {
    let variant = found.variant.map_or(DIFFERENT, |variant| variant.name);
    let input = serde_json::to_string(input).expect("an input is numbers");
    let mut text = format!("{NAME} {VERSION} {variant} fbank {FBANK_VERSION} resampler {RESAMPLER_VERSION} {input}\n");
    for clip in &found.clips {
        let file = clip.file.as_deref().unwrap_or_default();
        let content = found
            .manifest
            .get(found.tree.holder(file))
            .map_or("", |file| &file.sha256);
        let within = found
            .tree
            .within(file)
            .map_or_else(String::new, |member| format!("/{member}"));
        text.push_str(&format!("{content}{within} {}\n", clip.row.stem));
    }
    blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
}

/// Reads, checks and transforms one clip.
fn compute(found: &Found, clip: &Clip, input: &LogMel) -> Result<Row, DataError> {
    let root = found.tree.root();
    let Some(file) = &clip.file else {
        let path = root.join("audio").join(&clip.row.stem);
        return Err(DataError::BadSample {
            path,
            reason: "there is no such file".to_owned(),
        });
    };
    let path = root.join(file);
    let bad = |reason: String| DataError::BadSample {
        path: path.clone(),
        reason,
    };
    let content = found.tree.read(file)?;
    if !unchanged(found, file, &content) {
        return Err(bad("it was changed while it was being read".to_owned()));
    }
    let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending);
    let wave = decode(content, ending).map_err(|error| bad(error.to_string()))?;
    if let Some(variant) = found.variant {
        let (rate, samples) = variant
            .sound
            .unwrap_or((wave.sample_rate, SECONDS * wave.sample_rate as usize));
        if wave.sample_rate != rate {
            return Err(bad(format!("its sample rate is {} Hz, not {rate}", wave.sample_rate)));
        }
        if wave.samples.len() != samples {
            return Err(bad(format!("it has {} samples, not {samples}", wave.samples.len())));
        }
    }
    let energies = input.energies(wave).map_err(bad)?;
    Ok(Row::measured(energies, |values| input.normalise(values)))
}

/// Whether a clip, or the archive that it lies in, is what was hashed.
fn unchanged(found: &Found, file: &str, content: &[u8]) -> bool {
    let holder = found.tree.holder(file);
    match found.stamps.get(holder) {
        Some(stamp) => Stamp::of(&found.tree.root().join(holder)).is_ok_and(|now| now == *stamp),
        None => found
            .manifest
            .get(file)
            .is_some_and(|listed: &Listed| listed.sha256 == sha256(content)),
    }
}

/// At most one sample, or 1 % of them, may be skipped.
fn check_skipped(place: &Path, found: &Found, prepared: &Prepared) -> Result<(), DataError> {
    let (skipped, of) = (prepared.skipped.len(), found.clips.len());
    match prepared.skipped.first() {
        Some((first, reason)) if (skipped > 1 && skipped * 100 > of) || skipped == of => {
            Err(DataError::TooManySkipped {
                path: place.to_owned(),
                skipped,
                of,
                first: found.clips[*first].row.stem.clone(),
                reason: reason.clone(),
            })
        }
        None if of == 0 => {
            let what = "clips".to_owned();
            Err(DataError::WrongCount {
                path: place.join(TABLE),
                what,
                expected: 1,
                found: 0,
            })
        }
        _ => Ok(()),
    }
}

fn dataset(found: Found, prepared: Prepared, request: &OpenRequest) -> Dataset {
    let Prepared {
        rows,
        skipped,
        mean,
        std,
    } = prepared;
    let id = |index: usize| found.clips[index].row.stem.clone();
    let named: Vec<Skipped> = skipped
        .iter()
        .map(|(index, reason)| Skipped {
            id: id(*index),
            reason: reason.clone(),
        })
        .collect();
    let usable = |index: &usize| skipped.binary_search_by_key(index, |(skipped, _)| *skipped).is_err();
    let samples: Vec<Sample> = (0..found.clips.len())
        .filter(usable)
        .map(|index| {
            let row = &found.clips[index].row;
            Sample {
                id: id(index),
                target: Target::Class(row.target),
                fold: Some(row.fold),
                split: Split::Train,
            }
        })
        .collect();
    // a variant without pinned hashes is only itself if every clip could be used
    let variant = found
        .variant
        .filter(|_| skipped.is_empty())
        .map_or(DIFFERENT, |variant| variant.name);
    let (constant_mean, constant_std) = request.input.constants();
    let facts = DataFacts {
        task: NAME.to_owned(),
        version: VERSION,
        variant: variant.to_owned(),
        source: ORIGINAL.to_owned(),
        manifest_sha256: found.manifest.sha256(),
        counts: counts(&samples),
        subset: request.subset,
        skipped: named,
        missing: Missing::default(),
        splitting: None,
        measured_mean: mean,
        measured_std: std,
        constant_mean,
        constant_std,
    };
    let kept = (0..found.clips.len())
        .filter(usable)
        .filter_map(|index| found.clips[index].file.as_ref());
    let size = |file: &String| match found.manifest.get(file) {
        Some(listed) => Some(listed.bytes),
        None => found.tree.size(file),
    };
    let bytes = kept.map(size).collect::<Option<Vec<u64>>>().and_then(FileSizes::of);
    Dataset::new(facts, samples, found.classes, request.input.shape(), Inputs::Rows(rows)).with_bytes(bytes)
}

#[cfg(test)]
mod tests;

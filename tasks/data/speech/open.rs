//! From a list of utterances to an opened data set: features, lengths, what cannot be used, standardisation.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::standardizer::Sums;
use super::{Inputs, Role, Sound, SpeechInput, SpeechRequest, SpeechSet, Utterance, energies, min_frames};
use crate::cache::{self, Outcome, Row, Work};
use crate::files::manifest::DIFFERENT;
use crate::{DataError, DataFacts, FBANK_VERSION, Fbank, Missing, Progress, Skipped};

/// Standardisation looks at so many training utterances at most, spread evenly: enough for four digits of every band.
const MEASURED: usize = 2_000;

/// An utterance with what decides its sound.
pub(crate) struct Listed {
    pub utterance: Utterance,
    /// Its file's sha256, or what it is made from.
    pub content: String,
    /// Bytes of its samples as 16-bit numbers, about.
    pub bytes: u64,
}

/// What a list says of a speech data set.
pub(crate) struct Listing {
    /// The task's name.
    pub name: &'static str,
    /// The task's version.
    pub version: u32,
    /// Where the original lies.
    pub source: String,
    /// The folder that errors are about.
    pub root: PathBuf,
    /// The utterances, in the order of `sound`.
    pub utterances: Vec<Listed>,
    /// Utterances that cannot be used, known before any sound was read.
    pub unusable: Vec<Skipped>,
    /// Listed utterances without a file.
    pub missing: Missing,
    /// How utterances came into their parts, where the data does not say.
    pub splitting: Option<String>,
    pub manifest_sha256: String,
    pub sound: Box<dyn Sound>,
}

impl Listing {
    /// Every input, computed or from the cache, or, if they are more than may be kept, looked at once and computed when they
    /// are wanted. Utterances that cannot be used are skipped and named, up to one or 1 %.
    pub fn open(self, request: &SpeechRequest, progress: &dyn Progress) -> Result<SpeechSet, DataError> {
        let input = checked(self.name, request.input)?;
        let pool = cache::pool(request.threads)?;
        let fbank = Fbank::new(input.sample_rate, input.mels);
        let bytes = self.expected_bytes(&input);
        let work = Work {
            folder: &request.cache.join(self.name),
            key: &self.key(&input),
            what: "computing log-mel features",
            samples: self.utterances.len(),
            row: input.mels,
            keep: bytes <= request.limits.rows.min(request.limits.cache),
            limit: request.limits.cache,
        };
        let (prepared, lengths) = cache::open_or_compute_ragged(&work, bytes, &pool, progress, |number| {
            let found = energies(self.sound.as_ref(), number, input.sample_rate, &fbank);
            Ok(match found {
                Ok(values) => Outcome::Row(Row::measured(values, |_| ())),
                Err(reason) => Outcome::Skipped(reason),
            })
        })?;
        let (mean, std) = (prepared.mean, prepared.std);
        let usable = self.usable(&prepared.skipped, &lengths, &input);
        self.check_skipped(&usable.skipped)?;
        let inputs = Inputs {
            numbers: usable.numbers,
            places: usable.places,
            rows: work.keep.then_some(prepared.rows),
            sound: self.sound,
            fbank,
        };
        let utterances: Vec<Utterance> = {
            let mut listed: Vec<Option<Listed>> = self.utterances.into_iter().map(Some).collect();
            let taken = inputs.numbers.iter().filter_map(|&number| listed[number].take());
            taken.map(|listed| listed.utterance).collect()
        };
        let standard = measure(&self.root, &inputs, &utterances, &input)?;
        let average = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let facts = DataFacts {
            task: self.name.to_owned(),
            version: self.version,
            variant: DIFFERENT.to_owned(),
            source: self.source,
            manifest_sha256: self.manifest_sha256,
            counts: counts(&utterances),
            subset: request.subset,
            skipped: usable.skipped,
            missing: self.missing,
            splitting: self.splitting,
            measured_mean: mean,
            measured_std: std,
            constant_mean: average(&standard.mean),
            constant_std: average(&standard.std),
        };
        Ok(SpeechSet {
            facts,
            utterances,
            standard,
            input,
            inputs,
        })
    }

    /// Names all that decides the features.
    fn key(&self, input: &SpeechInput) -> String {
        let SpeechInput { mels, sample_rate, .. } = input;
        let mut text = format!(
            "{} {} fbank {FBANK_VERSION} {} mels {mels} rate {sample_rate}\n",
            self.name,
            self.version,
            self.sound.key()
        );
        for Listed { utterance, content, .. } in &self.utterances {
            text.push_str(&format!("{content} {}\n", utterance.id));
        }
        blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
    }

    /// What the features will take, from the sizes of the files.
    fn expected_bytes(&self, input: &SpeechInput) -> u64 {
        let samples: u64 = self.utterances.iter().map(|listed| listed.bytes / 2).sum();
        let frames = samples * 100 / u64::from(input.sample_rate);
        frames * (input.mels * size_of::<f32>()) as u64
    }

    /// What is left when those are left out whose sound cannot be used or is too short for what was said.
    fn usable(&self, skipped: &[(usize, String)], lengths: &[usize], input: &SpeechInput) -> Usable {
        let mut usable = Usable {
            numbers: Vec::new(),
            places: Vec::new(),
            skipped: self.unusable.clone(),
        };
        let (mut skipped, mut lengths, mut start) = (skipped.iter().peekable(), lengths.iter(), 0);
        for (number, Listed { utterance, .. }) in self.utterances.iter().enumerate() {
            let mut skip = |reason: String| {
                let id = utterance.id.clone();
                usable.skipped.push(Skipped { id, reason });
            };
            if let Some((_, reason)) = skipped.next_if(|(skipped, _)| *skipped == number) {
                skip(reason.clone());
                continue;
            }
            let frames = *lengths.next().expect("a length for each that was not skipped");
            let (given, needed) = (frames / input.stacked, min_frames(&utterance.text));
            if given < needed {
                skip(format!(
                    "it has {given} frames of {} ms, and its transcript of {} symbols needs {needed}",
                    10 * input.stacked,
                    utterance.text.chars().count()
                ));
            } else {
                usable.numbers.push(number);
                usable.places.push((start, frames));
            }
            start += frames;
        }
        usable
    }

    fn check_skipped(&self, skipped: &[Skipped]) -> Result<(), DataError> {
        let of = self.utterances.len() + self.unusable.len();
        match skipped.first() {
            Some(first) if (skipped.len() > 1 && skipped.len() * 100 > of) || skipped.len() == of => {
                Err(DataError::TooManySkipped {
                    path: self.root.clone(),
                    skipped: skipped.len(),
                    of,
                    first: first.id.clone(),
                    reason: first.reason.clone(),
                })
            }
            None if of == 0 => Err(DataError::WrongCount {
                path: self.root.clone(),
                what: "utterances".to_owned(),
                expected: 1,
                found: 0,
            }),
            _ => Ok(()),
        }
    }
}

/// What is left of a list.
struct Usable {
    numbers: Vec<usize>,
    places: Vec<(usize, usize)>,
    skipped: Vec<Skipped>,
}

fn checked(task: &'static str, input: SpeechInput) -> Result<SpeechInput, DataError> {
    let fits = input.mels > 0 && input.stacked > 0 && (1_000..=768_000).contains(&input.sample_rate);
    let reason = "it needs mel bands, stacked frames and a sample rate from 1,000 to 768,000 Hz".to_owned();
    fits.then_some(input).ok_or(DataError::WrongInput { task, reason })
}

/// Mean and deviation of each band over training utterances.
fn measure(
    root: &Path,
    inputs: &Inputs,
    utterances: &[Utterance],
    input: &SpeechInput,
) -> Result<super::BandStandardizer, DataError> {
    let training: Vec<usize> = (0..utterances.len())
        .filter(|&index| utterances[index].role == Role::Train)
        .collect();
    if training.is_empty() {
        return Err(DataError::WrongCount {
            path: root.to_owned(),
            what: "training utterances".to_owned(),
            expected: 1,
            found: 0,
        });
    }
    let mut sums = Sums::new(input.mels);
    for &index in training.iter().step_by(training.len().div_ceil(MEASURED)) {
        sums.add(&inputs.energies(index, input)?);
    }
    Ok(sums.standard())
}

fn counts(utterances: &[Utterance]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for utterance in utterances {
        *counts.entry(utterance.part.clone()).or_insert(0) += 1;
    }
    counts
}

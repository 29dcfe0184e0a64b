//! From a list of utterances to an opened data set: features, lengths, unusable utterances,
//! standardisation.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rayon::ThreadPool;

use super::standardizer::Sums;
use super::{
    Energies, Role, Sound, SoundSource, SpeechInput, SpeechRequest, SpeechSet, Utterance, energies, min_frames,
};
use crate::cache::{self, Outcome, Row, Work};
use crate::data::listing::{Entry, Listed, Listing};
use crate::error::SampleError;
use crate::files::folder::ends_in;
use crate::files::tree::Raw;
use crate::files::verified::VerifiedFiles;
use crate::{
    BandStandardizer, DataError, FBANK_VERSION, Fbank, Progress, RESAMPLER_VERSION, Skipped, Waveform, resample,
};

/// Extensions of sound files.
pub(crate) const ENDINGS: [&str; 2] = ["flac", "wav"];
/// The longest utterance in 10 ms frames, 60 s: memory for attention grows with the square of the
/// length, and a batch is as long as its longest utterance. Read sentences have up to 35 s.
const LONGEST: usize = 6_000;
/// Standardisation measures at most so many training utterances, evenly spread: enough for four
/// digits per band.
const MEASURED: usize = 2_000;

impl Listed for Utterance {
    const PLURAL: &'static str = "utterances";

    fn id(&self) -> &str {
        &self.id
    }

    fn part(&self) -> String {
        self.part.clone()
    }
}

impl Sound for VerifiedFiles {
    fn key(&self) -> String {
        format!("files resampler {RESAMPLER_VERSION}")
    }

    fn wave(&self, index: usize, sample_rate: u32) -> Result<Vec<f32>, SampleError> {
        read_sound(self.read(index)?, sample_rate)
    }

    fn path(&self, index: usize) -> PathBuf {
        self.path(index)
    }
}

/// A sound file as one channel at `sample_rate` hertz.
pub(crate) fn read_sound(file: Raw, sample_rate: u32) -> Result<Vec<f32>, SampleError> {
    let wave = Waveform::read(file)?;
    Ok(resample(wave.samples, wave.sample_rate, sample_rate))
}

impl Listing<Utterance> {
    /// Opens utterances with a sound file each.
    pub fn open(mut self, request: &SpeechRequest, progress: &dyn Progress) -> Result<SpeechSet, DataError> {
        if let Some(n) = request.subset {
            let mut taken: BTreeMap<String, usize> = BTreeMap::new();
            self.entries.retain(|entry| {
                let taken = taken.entry(entry.sample.part.clone()).or_insert(0);
                *taken += 1;
                *taken <= n
            });
        }
        let pool = cache::pool(request.threads)?;
        let hashed = self.hash(Some(&request.cache), &pool, progress)?;
        let samples = |entry: &Entry<Utterance>| {
            let file = entry.file.as_ref()?;
            let bytes = hashed.manifest.get(file)?.bytes;
            // 16-bit samples; flac halves them
            Some(if ends_in(file, &["flac"]) { bytes } else { bytes / 2 })
        };
        let source = SoundSource {
            manifest_sha256: hashed.manifest.sha256(),
            contents: self.contents(&hashed).collect(),
            samples: self.entries.iter().filter_map(samples).sum(),
            sound: Box::new(self.verified(&hashed)),
        };
        self.open_sound(source, request, &pool, progress)
    }

    /// Computes every input or takes it from the cache. If the inputs are more than may be kept,
    /// each is looked at once now and computed again at each use. Unusable utterances are skipped
    /// and named, up to one or 1 %.
    pub fn open_sound(
        mut self,
        source: SoundSource,
        request: &SpeechRequest,
        pool: &ThreadPool,
        progress: &dyn Progress,
    ) -> Result<SpeechSet, DataError> {
        let SoundSource {
            manifest_sha256,
            contents,
            samples,
            sound,
        } = source;
        let input = self.checked(request.input)?;
        let SpeechInput { mels, sample_rate, .. } = input;
        let fbank = Fbank::new(sample_rate, mels);
        let bytes = samples * 100 / u64::from(sample_rate) * (mels * size_of::<f32>()) as u64;
        let how = format!("fbank {FBANK_VERSION} {} mels {mels} rate {sample_rate}", sound.key());
        let work = Work {
            folder: &request.cache.join(self.task),
            key: &self.key(&how, contents.into_iter()),
            what: "computing log-mel features",
            samples: self.entries.len(),
            row: mels,
            keep: bytes <= request.limits.rows.min(request.limits.cache),
            limit: request.limits.cache,
        };
        let (mut prepared, lengths) =
            cache::open_or_compute_ragged(&work, bytes, pool, progress, |index| {
                match energies(sound.as_ref(), index, sample_rate, &fbank) {
                    Ok(values) => Ok(Outcome::Row(Row::measured(values, |_| ()))),
                    Err(SampleError::Broken(reason)) => Ok(Outcome::Skipped(reason)),
                    Err(error) => Err(error.at(sound.path(index))),
                }
            })?;
        let Usable {
            indices,
            places,
            skipped,
        } = usable(&self, &prepared.skipped, &lengths, &input);
        self.check_skipped(&skipped)?;
        let rows = std::mem::take(&mut prepared.rows);
        let energies = Energies {
            rows: work.keep.then_some(rows),
            indices,
            places,
            sound,
            fbank,
        };
        let entries = std::mem::take(&mut self.entries).into_iter().enumerate();
        let usable = entries.filter(|(index, _)| energies.indices.binary_search(index).is_ok());
        let utterances: Vec<Utterance> = usable.map(|(_, entry)| entry.sample).collect();
        let standardizer = self.measure(&energies, &utterances, &input)?;
        let average = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let constants = (average(&standardizer.mean), average(&standardizer.std));
        let facts = self.facts(
            manifest_sha256,
            utterances.iter(),
            skipped,
            &prepared,
            request.subset,
            constants,
        );
        Ok(SpeechSet {
            facts,
            utterances,
            standardizer,
            input,
            energies,
        })
    }

    fn checked(&self, input: SpeechInput) -> Result<SpeechInput, DataError> {
        let fits = input.mels > 0 && input.stacked > 0 && (1_000..=768_000).contains(&input.sample_rate);
        let reason = "it needs mel bands, stacked frames and a sample rate from 1,000 to 768,000 Hz";
        fits.then_some(input)
            .ok_or_else(|| DataError::wrong_input(self.task, reason))
    }

    /// Mean and standard deviation of each band over the training utterances.
    fn measure(
        &self,
        energies: &Energies,
        utterances: &[Utterance],
        input: &SpeechInput,
    ) -> Result<BandStandardizer, DataError> {
        let training = (0..utterances.len()).filter(|&index| utterances[index].role == Role::Train);
        let training: Vec<usize> = training.collect();
        if training.is_empty() {
            let list = self.lists.first().map_or("", String::as_str);
            let reason = format!("none of its {} usable utterances is for training", utterances.len());
            return Err(DataError::bad_sample(self.tree.root().join(list), reason));
        }
        let mut sums = Sums::new(input.mels);
        for &index in training.iter().step_by(training.len().div_ceil(MEASURED)) {
            sums.add(&energies.of(index, input)?);
        }
        Ok(sums.standardizer())
    }
}

struct Usable {
    indices: Vec<usize>,
    /// First frame and number of frames.
    places: Vec<(usize, usize)>,
    skipped: Vec<Skipped>,
}

/// The utterances whose sound can be used, is not too long, and is long enough for the transcript.
fn usable(listing: &Listing<Utterance>, skipped: &[(usize, String)], lengths: &[usize], input: &SpeechInput) -> Usable {
    let mut usable = Usable {
        indices: Vec::new(),
        places: Vec::new(),
        skipped: listing.unusable.clone(),
    };
    let (mut skipped, mut lengths, mut start) = (skipped.iter().peekable(), lengths.iter(), 0);
    for (index, Entry { sample: utterance, .. }) in listing.entries.iter().enumerate() {
        let mut skip = |reason: String| {
            let id = utterance.id.clone();
            usable.skipped.push(Skipped { id, reason });
        };
        if let Some((_, reason)) = skipped.next_if(|(skipped, _)| *skipped == index) {
            skip(reason.clone());
            continue;
        }
        let frames = *lengths.next().expect("a length for each that was not skipped");
        let (given, needed) = (frames / input.stacked, min_frames(&utterance.text));
        if frames > LONGEST {
            let (seconds, most) = (frames as f64 / 100.0, LONGEST / 100);
            skip(format!(
                "it is {seconds:.1} s long, and an utterance can have {most} s; cut it into sentences"
            ));
        } else if given < needed {
            skip(format!(
                "it has {given} frames of {} ms, and its transcript of {} symbols needs {needed}",
                10 * input.stacked,
                utterance.text.chars().count()
            ));
        } else {
            usable.indices.push(index);
            usable.places.push((start, frames));
        }
        start += frames;
    }
    usable
}

/// Uses every third speaker by name for testing, or the last of two; returns how it split.
///
/// # Errors
/// If there are fewer than two speakers.
pub(crate) fn split_by_speaker(entries: &mut [Entry<Utterance>]) -> Result<String, String> {
    let speakers = entries.iter().filter_map(|entry| entry.sample.speaker.clone());
    let speakers: BTreeSet<String> = speakers.collect();
    if speakers.len() < 2 {
        return Err(format!(
            "nothing says what is for training and what for testing, and {} speaker cannot be parted",
            speakers.len()
        ));
    }
    let number = |speaker: &Option<String>| speakers.iter().position(|known| Some(known) == speaker.as_ref());
    for Entry { sample: utterance, .. } in entries {
        let is_test = match number(&utterance.speaker) {
            Some(number) if speakers.len() == 2 => number == 1,
            Some(number) => number % 3 == 2,
            None => false,
        };
        let (role, part) = if is_test {
            (Role::Test, "test")
        } else {
            (Role::Train, "train")
        };
        (utterance.role, utterance.part) = (role, part.to_owned());
    }
    Ok("every third speaker by name is for testing".to_owned())
}

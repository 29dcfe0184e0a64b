//! Speech: utterances of any length with their transcripts. The sibling of [`crate::Dataset`],
//! whose inputs have one shape.
//!
//! An input is `[frames, mels]`: log-mel energies of 10 ms frames, standardised per mel band over
//! the training utterances. Transcripts use one alphabet, see [`normalise_text`].
//! [`SpeechSet::frames`] gives lengths, for buckets and masks, without reading an input.

pub(crate) mod open;
mod standardizer;
mod text;

use std::borrow::Cow;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::json;

pub use self::standardizer::BandStandardizer;
pub use self::text::{ALPHABET, UnknownSymbols, decode_text, encode_text, min_frames, normalise_text};

use crate::cache::Rows;
use crate::error::SampleError;
use crate::files::sha256::sha256;
use crate::{DataError, DataFacts, Fbank, Limits};

/// What one input looks like; part of a run's plan.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeechInput {
    /// Number of mel bands.
    pub mels: usize,
    /// Hertz; sound at other rates is resampled, and several channels are averaged.
    pub sample_rate: u32,
    /// 10 ms frames that become one frame of the model. An utterance must have one model frame per
    /// symbol, and one more between two equal symbols, or no alignment exists.
    pub stacked: usize,
    /// Whether each mel band's mean over the utterance is subtracted. That removes the effect of
    /// microphone and room, and part of the speaker's.
    pub centred: bool,
}

impl Default for SpeechInput {
    /// As BiRQ has it: 80 mel bands, two frames stacked.
    fn default() -> Self {
        Self {
            mels: 80,
            sample_rate: 16_000,
            stacked: 2,
            centred: false,
        }
    }
}

/// How to open a speech data set.
#[derive(Clone, Debug)]
pub struct SpeechRequest {
    /// The data set's folder; without it, `$BRIDLE_DATA/<task>`.
    pub data: Option<PathBuf>,
    pub input: SpeechInput,
    /// Only the first so many utterances of each part.
    pub subset: Option<usize>,
    /// The folder for computed features, as in [`crate::OpenRequest`].
    pub cache: PathBuf,
    /// Threads for decoding and features; 0 for one per core.
    pub threads: usize,
    pub limits: Limits,
}

/// What an utterance is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Train,
    /// For choosing between settings.
    Dev,
    Test,
}

/// A word that is spoken from sample `start` to sample `end`, which is excluded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub start: usize,
    pub end: usize,
    /// As in the transcript.
    pub word: String,
}

/// One utterance, without its sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Utterance {
    /// Names the utterance in predictions; unique within the data set.
    pub id: String,
    /// The speaker, if the data says.
    pub speaker: Option<String>,
    /// The transcript, normalised by [`normalise_text`].
    pub text: String,
    pub role: Role,
    /// The part's name, such as `train-clean-100`; scores are reported per part.
    pub part: String,
    /// When each word is spoken, if the data says; otherwise empty.
    pub spans: Vec<Span>,
    /// The recording that it was cut from, if the data says.
    pub source: Option<String>,
}

/// Provides the sound of a data set's utterances.
pub(crate) trait Sound: Send + Sync {
    /// Names everything that decides the sound, except the files and the input.
    fn key(&self) -> String;

    /// The samples of utterance `index` at `sample_rate` hertz.
    fn wave(&self, index: usize, sample_rate: u32) -> Result<Vec<f32>, SampleError>;

    /// The file that an error is about.
    fn path(&self, index: usize) -> PathBuf;
}

/// Where the sound of a list comes from.
pub(crate) struct SoundSource {
    pub manifest_sha256: String,
    /// Decides each utterance's sound: the sha256 of its file, for example.
    pub contents: Vec<String>,
    /// Expected number of samples of all utterances together.
    pub samples: u64,
    pub sound: Box<dyn Sound>,
}

/// An opened speech data set. Methods that take an `index` panic if there is no such utterance.
pub struct SpeechSet {
    /// What a record says about the data; its splits are the parts.
    pub facts: DataFacts,
    /// Every usable utterance, in the data set's own order.
    pub utterances: Vec<Utterance>,
    pub standardizer: BandStandardizer,
    input: SpeechInput,
    energies: Energies,
}

/// Log-mel energies of all utterances, stored or computed at each use.
struct Energies {
    /// Each utterance's index in `sound`.
    indices: Vec<usize>,
    /// Each utterance's first frame among the stored ones, and its number of frames.
    places: Vec<(usize, usize)>,
    rows: Option<Rows>,
    sound: Box<dyn Sound>,
    fbank: Fbank,
}

impl SpeechSet {
    /// sha256 over each utterance's id, transcript, speaker, part and spoken words, in order: what the
    /// manifest of the files does not say.
    pub fn samples_sha256(&self) -> String {
        let of = |utterance: &Utterance| {
            let spans = utterance
                .spans
                .iter()
                .map(|span| json!([span.start, span.end, span.word]));
            let spans: Vec<serde_json::Value> = spans.collect();
            let Utterance {
                id,
                text,
                speaker,
                role,
                part,
                ..
            } = utterance;
            json!([id, text, speaker, role, part, spans]).to_string()
        };
        let lines: Vec<String> = self.utterances.iter().map(of).collect();
        sha256(lines.join("\n").as_bytes())
    }

    /// The sources of these utterances, one without being its own; None if the data names none.
    pub fn sources(&self, utterances: &[usize]) -> Option<Vec<String>> {
        let named = self.utterances.iter().any(|utterance| utterance.source.is_some());
        let of_utterance = |&index: &usize| {
            let utterance = &self.utterances[index];
            utterance.source.as_ref().unwrap_or(&utterance.id).clone()
        };
        named.then(|| utterances.iter().map(of_utterance).collect())
    }

    pub fn input_spec(&self) -> SpeechInput {
        self.input
    }

    /// Number of 10 ms frames of utterance `index`.
    pub fn frames(&self, index: usize) -> usize {
        self.energies.places[index].1
    }

    /// The standardised energies of utterance `index`, `[frames, mels]`: stored, or computed now.
    /// An error is about a file that was readable when the data was opened.
    pub fn input(&self, index: usize) -> Result<Vec<f32>, DataError> {
        let mut values = self.energies(index)?.into_owned();
        self.standardizer.apply(&mut values);
        if self.input.centred {
            centre(&mut values, self.input.mels);
        }
        Ok(values)
    }

    /// The unnormalised log-mel energies, `[frames, mels]`.
    pub fn energies(&self, index: usize) -> Result<Cow<'_, [f32]>, DataError> {
        self.energies.of(index, &self.input)
    }

    /// The samples of utterance `index`.
    pub fn wave(&self, index: usize) -> Result<Vec<f32>, DataError> {
        let Energies { indices, sound, .. } = &self.energies;
        let wave = sound.wave(indices[index], self.input.sample_rate);
        wave.map_err(|error| error.at(sound.path(indices[index])))
    }

    /// The utterances of this role, in order.
    pub fn of_role(&self, role: Role) -> Vec<usize> {
        let all = 0..self.utterances.len();
        all.filter(|&index| self.utterances[index].role == role).collect()
    }

    /// The names of the parts of this role, in the data set's order.
    pub fn parts(&self, role: Role) -> Vec<&str> {
        let mut parts: Vec<&str> = Vec::new();
        for utterance in self.utterances.iter().filter(|utterance| utterance.role == role) {
            if !parts.contains(&&utterance.part[..]) {
                parts.push(&utterance.part);
            }
        }
        parts
    }

    /// For each model frame of utterance `index`, the index in `words` of the word spoken in the
    /// middle of its stacked frames. `None` between words, and if the data does not say.
    pub fn words_by_frame(&self, index: usize, words: &[&str]) -> Vec<Option<usize>> {
        let SpeechInput {
            sample_rate, stacked, ..
        } = self.input;
        let hop = sample_rate as usize / 100;
        let window = sample_rate as usize * 25 / 1000;
        let spans = &self.utterances[index].spans;
        let word = |frame: usize| {
            let middle = frame * stacked * hop + ((stacked - 1) * hop + window) / 2;
            let span = spans.iter().find(|span| (span.start..span.end).contains(&middle))?;
            words.iter().position(|word| *word == span.word)
        };
        (0..self.frames(index) / stacked).map(word).collect()
    }
}

impl Energies {
    fn of(&self, index: usize, input: &SpeechInput) -> Result<Cow<'_, [f32]>, DataError> {
        let (start, frames) = self.places[index];
        if let Some(rows) = &self.rows {
            return rows.row(start * input.mels, frames * input.mels);
        }
        let index = self.indices[index];
        let computed = energies(self.sound.as_ref(), index, input.sample_rate, &self.fbank);
        computed
            .map(Cow::Owned)
            .map_err(|error| error.at(self.sound.path(index)))
    }
}

/// Subtracts each band's mean over the frames, `[frames, mels]`, in place.
fn centre(values: &mut [f32], mels: usize) {
    let frames = (values.len() / mels).max(1) as f64;
    for band in 0..mels {
        let places = (band..values.len()).step_by(mels);
        let mean = places.clone().map(|place| f64::from(values[place])).sum::<f64>() / frames;
        for place in places {
            values[place] = (f64::from(values[place]) - mean) as f32;
        }
    }
}

/// The log-mel energies of an utterance, whose sound must be finite and fill a window.
fn energies(sound: &dyn Sound, index: usize, sample_rate: u32, fbank: &Fbank) -> Result<Vec<f32>, SampleError> {
    let wave = sound.wave(index, sample_rate)?;
    fbank.compute(&wave).map_err(|error| error.to_string().into())
}

#[cfg(test)]
mod tests;

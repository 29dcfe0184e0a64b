//! Speech: utterances of any length with their transcripts, as a sibling of [`crate::Dataset`], whose inputs have one shape.
//!
//! An input is `[frames, mels]`, log-mel energies of 10 ms frames, standardised for each mel band over the training
//! utterances. Transcripts are in one alphabet, see [`normalise_text`]. What the training side needs to know of lengths,
//! for buckets and masks, it gets from [`SpeechSet::frames`] without reading an input.

mod files;
mod open;
mod standardizer;
mod text;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub(crate) use self::files::{ENDINGS, FileList, part_by_speaker, read as read_sound};
pub(crate) use self::open::{Listed, Listing};
pub use self::standardizer::BandStandardizer;
pub use self::text::{ALPHABET, UnknownSymbols, decode_text, encode_text, min_frames, normalise_text};

use crate::cache::Rows;
use crate::{DataError, DataFacts, Limits};

/// What one input looks like; part of a run's plan.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeechInput {
    /// Mel bands.
    pub mels: usize,
    /// Hertz; sound at other rates is resampled, and several channels are averaged.
    pub sample_rate: u32,
    /// Frames of 10 ms that become one of the model's: an utterance must have one of those for each symbol, and one more
    /// between two equal symbols, or no alignment exists.
    pub stacked: usize,
    /// Whether each mel band's mean over the utterance is taken away: what a microphone and a room add, and part of what a
    /// speaker does.
    pub centred: bool,
}

impl Default for SpeechInput {
    /// BiRQ's: 80 mel bands, two frames stacked.
    fn default() -> Self {
        Self {
            mels: 80,
            sample_rate: 16_000,
            stacked: 2,
            centred: false,
        }
    }
}

/// What is asked of a speech data set when it is opened.
#[derive(Clone, Debug)]
pub struct SpeechRequest {
    /// The data set's folder; without it `$BRIDLE_DATA/<task>` is used.
    pub data: Option<std::path::PathBuf>,
    /// What the model wants to see.
    pub input: SpeechInput,
    /// The first so many utterances of each part.
    pub subset: Option<usize>,
    /// The folder for computed features, as in [`crate::OpenRequest`].
    pub cache: std::path::PathBuf,
    /// Threads for decoding and features; 0 for one per core.
    pub threads: usize,
    /// How much may be kept.
    pub limits: Limits,
}

/// The part that an utterance plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// For training.
    Train,
    /// For choosing between settings.
    Dev,
    /// For judging.
    Test,
}

/// Something that was said from one sample to another, the end excluded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first sample.
    pub start: usize,
    /// The sample after the last.
    pub end: usize,
    /// The word, as in the transcript.
    pub word: String,
}

/// One utterance, without its sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Utterance {
    /// Names the utterance in predictions; unique within the data set.
    pub id: String,
    /// Who speaks, where the data says.
    pub speaker: Option<String>,
    /// The transcript, as [`normalise_text`] has it.
    pub text: String,
    /// The part it plays.
    pub role: Role,
    /// The part's name, `train-clean-100`: judging is by these.
    pub part: String,
    /// When each word was said, where the data says; empty elsewhere.
    pub spans: Vec<Span>,
}

/// Gives the sound of an utterance whenever it is wanted.
pub(crate) trait Sound: Send + Sync {
    /// Names all but the files and the input that decides the sound.
    fn key(&self) -> String;

    /// The samples of utterance `index` at `sample_rate` hertz.
    fn wave(&self, index: usize, sample_rate: u32) -> Result<Vec<f32>, String>;

    /// The file that an error is about.
    fn path(&self, index: usize) -> std::path::PathBuf;
}

/// A speech data set that is ready to be read.
pub struct SpeechSet {
    /// What a record says about the data; its splits are the parts.
    pub facts: DataFacts,
    /// Every usable utterance, in the data set's own order.
    pub utterances: Vec<Utterance>,
    /// How inputs are standardised.
    pub standard: BandStandardizer,
    input: SpeechInput,
    inputs: Inputs,
}

/// Energies of all utterances, kept or computed at each use.
pub(crate) struct Inputs {
    /// The number of each utterance in `sound`.
    pub numbers: Vec<usize>,
    /// The place of each utterance's frames among those kept, and how many they are.
    pub places: Vec<(usize, usize)>,
    pub rows: Option<Rows>,
    pub sound: Box<dyn Sound>,
    pub fbank: crate::Fbank,
}

impl SpeechSet {
    /// What an input looks like.
    pub fn input_spec(&self) -> SpeechInput {
        self.input
    }

    /// Frames of 10 ms of utterance `index`. Panics if there is no such utterance.
    pub fn frames(&self, index: usize) -> usize {
        self.inputs.places[index].1
    }

    /// The standardised energies of utterance `index`, `[frames, mels]`: as they were kept, else computed now. An error is
    /// about a file that could be read when the data was opened. Panics if there is no such utterance.
    pub fn input(&self, index: usize) -> Result<Vec<f32>, DataError> {
        let mut values = self.energies(index)?.into_owned();
        self.standard.apply(&mut values);
        if self.input.centred {
            centre(&mut values, self.input.mels);
        }
        Ok(values)
    }

    /// The log-mel energies as they are, `[frames, mels]`. Panics if there is no such utterance.
    pub fn energies(&self, index: usize) -> Result<Cow<'_, [f32]>, DataError> {
        self.inputs.energies(index, &self.input)
    }

    /// The samples of utterance `index`. Panics if there is no such utterance.
    pub fn wave(&self, index: usize) -> Result<Vec<f32>, DataError> {
        let number = self.inputs.numbers[index];
        let wave = self.inputs.sound.wave(number, self.input.sample_rate);
        wave.map_err(|reason| self.inputs.bad(number, reason))
    }

    /// Utterances that play this part, in order.
    pub fn of_role(&self, role: Role) -> Vec<usize> {
        let all = 0..self.utterances.len();
        all.filter(|&index| self.utterances[index].role == role).collect()
    }

    /// The names of the parts that play this role, in the data set's order.
    pub fn parts(&self, role: Role) -> Vec<&str> {
        let mut parts: Vec<&str> = Vec::new();
        for utterance in self.utterances.iter().filter(|utterance| utterance.role == role) {
            if !parts.contains(&&utterance.part[..]) {
                parts.push(&utterance.part);
            }
        }
        parts
    }

    /// The word that is said in each of the model's frames of utterance `index`, by its number in `words`: that of the span
    /// in which the middle of its stacked frames lies. None between words, and where the data does not say.
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

impl Inputs {
    fn energies(&self, index: usize, input: &SpeechInput) -> Result<Cow<'_, [f32]>, DataError> {
        let (start, frames) = self.places[index];
        match &self.rows {
            Some(rows) => Ok(Cow::Borrowed(
                &rows.values()[start * input.mels..][..frames * input.mels],
            )),
            None => {
                let number = self.numbers[index];
                let found = energies(self.sound.as_ref(), number, input.sample_rate, &self.fbank);
                found.map(Cow::Owned).map_err(|reason| self.bad(number, reason))
            }
        }
    }

    fn bad(&self, number: usize, reason: String) -> DataError {
        let path = self.sound.path(number);
        DataError::BadSample { path, reason }
    }
}

/// Takes away each band's mean over the frames, `[frames, mels]`, in place.
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

/// The log-mel energies of utterance `number`, whose sound must be numbers and fill a window.
fn energies(sound: &dyn Sound, number: usize, sample_rate: u32, fbank: &crate::Fbank) -> Result<Vec<f32>, String> {
    let wave = sound.wave(number, sample_rate)?;
    fbank.compute(&wave).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;

//! Connected digits: utterances of 3 to 7 digits, assembled from the recordings of the Free Spoken
//! Digit Dataset.
//!
//! Each utterance has one speaker: randomly drawn recordings, a gap of random length before,
//! between and after them, and faint noise throughout, because gaps of pure zeros would give the
//! digits away. Speakers are kept apart: the last third by name is for testing. Every draw comes
//! from a named seed, so that the utterances are the same everywhere. The seeds of training and
//! test, and of every utterance, have names of their own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bridle_seed::{Seed, Stream};

use crate::cache;
use crate::data::listing::{Entry, Listing};
use crate::data::speech::open::read_sound;
use crate::data::speech::{Sound, SoundSource};
use crate::error::SampleError;
use crate::files::folder::{ends_in, names};
use crate::files::locate::Origin;
use crate::files::sha256::sha256;
use crate::files::tree::{Raw, Tree};
use crate::{
    DataError, Progress, RESAMPLER_VERSION, Role, Span, SpeechInput, SpeechRequest, SpeechSet, SpeechSpec, SpeechTask,
    Utterance,
};

const NAME: &str = "digits";
const VERSION: u32 = 1;
const ORIGINAL: &str = "https://github.com/Jakobovski/free-spoken-digit-dataset";
/// The folder's name in `$BRIDLE_DATA`.
const FOLDER: &str = "fsdd";

/// The words, by digit.
const DIGITS: [&str; 10] = [
    "ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE",
];

const FEWEST: usize = 3;
const MOST: usize = 7;
/// Milliseconds of the shortest and the longest gap.
const GAPS: [usize; 2] = [50, 300];
/// Largest value of the noise; a voice reaches about 0.3.
const NOISE: f32 = 0.001;
/// Hertz of the sound whose samples the spans count.
const SAMPLE_RATE: u32 = 16_000;

/// The task.
pub(crate) struct Digits;

impl SpeechTask for Digits {
    fn spec(&self) -> SpeechSpec {
        SpeechSpec {
            name: NAME,
            version: VERSION,
            summary: "3 to 7 spoken digits a sentence, put together from recordings; speakers kept apart",
            input: SpeechInput::default(),
            source: ORIGINAL,
            licence: "CC BY-SA 4.0",
            citation: "Jackson et al., Free Spoken Digit Dataset",
        }
    }

    fn open(&self, request: &SpeechRequest, progress: &dyn Progress) -> Result<SpeechSet, DataError> {
        open(SIZES, request, progress)
    }
}

/// How many utterances are made, with the speakers in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct DigitSizes {
    train: usize,
    test: usize,
}

/// About 80 minutes for training and 20 for testing.
const SIZES: DigitSizes = DigitSizes {
    train: 1_600,
    test: 400,
};

fn open(sizes: DigitSizes, request: &SpeechRequest, progress: &dyn Progress) -> Result<SpeechSet, DataError> {
    if request.input.sample_rate != SAMPLE_RATE {
        let reason = format!("it makes sound at {SAMPLE_RATE} Hz");
        return Err(DataError::wrong_input(NAME, reason));
    }
    let root = Origin::folder(FOLDER, ORIGINAL).locate(request.data.as_deref(), true, progress)?;
    let takes = Takes::find(&root)?;
    let most = request.subset.unwrap_or(usize::MAX);
    let sizes = DigitSizes {
        train: sizes.train.min(most),
        test: sizes.test.min(most),
    };
    let mut listing = Listing::new(NAME, VERSION, ORIGINAL, Tree::folder(&root), Vec::new());
    listing.lists = takes.files.clone();
    listing.splitting = Some(format!("speakers for testing: {}", takes.testing.join(", ")));
    let pool = cache::pool(request.threads)?;
    let manifest = listing.hash(Some(&request.cache), &pool, progress)?.manifest.text();
    let parameters = format!("{VERSION} {FEWEST} {MOST} {GAPS:?} {NOISE} {SAMPLE_RATE} {sizes:?}");
    let manifest_sha256 = sha256(format!("{parameters}\n{manifest}").as_bytes());
    let (mut utterances, recipes): (Vec<Utterance>, Vec<Recipe>) = takes.utterances(sizes).into_iter().unzip();
    let sound = Assembly {
        root,
        waves: takes.files.iter().map(|_| OnceLock::new()).collect(),
        files: takes.files,
        recipes,
    };
    let mut samples = 0;
    for (number, utterance) in utterances.iter_mut().enumerate() {
        let bad = |(file, error): (usize, SampleError)| error.at(sound.root.join(&sound.files[file]));
        let (_, spans) = sound.spoken(number).map_err(bad)?;
        samples += spans.last().map_or(0, |span| span.end as u64);
        let spoken = spans.into_iter().zip(&sound.recipes[number].digits);
        let span = |(span, &digit): (std::ops::Range<usize>, &usize)| Span {
            start: span.start,
            end: span.end,
            word: DIGITS[digit].to_owned(),
        };
        utterance.spans = spoken.map(span).collect();
    }
    let entry = |sample| Entry { sample, file: None };
    listing.entries = utterances.into_iter().map(entry).collect();
    let source = SoundSource {
        contents: vec![manifest_sha256.clone(); listing.entries.len()],
        manifest_sha256,
        samples,
        sound: Box::new(sound),
    };
    listing.open_sound(source, request, &pool, progress)
}

/// The recordings, by speaker and digit.
struct Takes {
    /// Relative to the root, sorted.
    files: Vec<String>,
    /// Numbers of the files of each speaker's digits.
    of_speaker: BTreeMap<String, [Vec<usize>; 10]>,
    /// Speakers for testing.
    testing: Vec<String>,
}

impl Takes {
    /// `recordings/{digit}_{speaker}_{number}.wav`
    fn find(root: &Path) -> Result<Self, DataError> {
        let folder = root.join("recordings");
        if !folder.is_dir() {
            return Err(DataError::not_the_task(NAME, root, "recordings/"));
        }
        let mut files = Vec::new();
        let mut of_speaker: BTreeMap<String, [Vec<usize>; 10]> = BTreeMap::new();
        for (name, is_folder) in names(&folder)? {
            if is_folder || !ends_in(&name, &["wav"]) {
                continue;
            }
            let (digit, speaker) = parsed(&name).ok_or_else(|| {
                let reason = "it is not called {digit}_{speaker}_{number}.wav";
                DataError::bad_sample(folder.join(&name), reason)
            })?;
            of_speaker.entry(speaker).or_default()[digit].push(files.len());
            files.push(format!("recordings/{name}"));
        }
        if of_speaker.len() < 2 {
            return Err(DataError::wrong_count(&folder, "speakers", 2, of_speaker.len()));
        }
        for (speaker, takes) in &of_speaker {
            if let Some(digit) = takes.iter().position(Vec::is_empty) {
                let what = format!("recordings of {digit} by {speaker}");
                return Err(DataError::wrong_count(&folder, what, 1, 0));
            }
        }
        let testing = of_speaker.len() - of_speaker.len() / 3;
        let testing = testing.min(of_speaker.len() - 1);
        let testing = of_speaker.keys().skip(testing).cloned().collect();
        Ok(Self {
            files,
            of_speaker,
            testing,
        })
    }

    /// What is said, by whom and how, without the sound.
    fn utterances(&self, sizes: DigitSizes) -> Vec<(Utterance, Recipe)> {
        let root = Seed::root(0).child(NAME);
        let mut all = Vec::new();
        for (role, part, n) in [(Role::Train, "train", sizes.train), (Role::Test, "test", sizes.test)] {
            let is_test = |speaker: &String| self.testing.contains(speaker);
            let speakers: Vec<&String> = self
                .of_speaker
                .keys()
                .filter(|speaker| is_test(speaker) == (role == Role::Test))
                .collect();
            for number in 0..n {
                let seed = root.child(part).indexed(number as u64);
                let speaker = speakers[number % speakers.len()];
                let recipe = Recipe::drawn(&self.of_speaker[speaker], seed);
                let words: Vec<&str> = recipe.digits.iter().map(|&digit| DIGITS[digit]).collect();
                let utterance = Utterance {
                    id: format!("{part}-{number:05}-{speaker}"),
                    speaker: Some(speaker.clone()),
                    text: words.join(" "),
                    role,
                    part: part.to_owned(),
                    spans: Vec::new(),
                    source: None,
                };
                all.push((utterance, recipe));
            }
        }
        all
    }
}

/// Digit and speaker of a recording's name.
fn parsed(name: &str) -> Option<(usize, String)> {
    let (digit, rest) = name.split_once('_')?;
    let (speaker, number) = rest.rsplit_once('.')?.0.rsplit_once('_')?;
    number.parse::<u32>().ok()?;
    let digit = digit.parse().ok().filter(|digit| *digit < DIGITS.len())?;
    Some((digit, speaker.to_owned()))
}

/// How an utterance is put together.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Recipe {
    digits: Vec<usize>,
    /// The recording of each digit.
    files: Vec<usize>,
    /// Samples before each digit, and after the last.
    gaps: Vec<usize>,
    /// Where the noise is drawn.
    noise: Seed,
}

impl Recipe {
    fn drawn(takes: &[Vec<usize>; 10], seed: Seed) -> Self {
        let stream = &mut seed.child("digits").stream();
        let digits: Vec<usize> = (0..FEWEST + stream.below(MOST - FEWEST + 1))
            .map(|_| stream.below(DIGITS.len()))
            .collect();
        let take = |&digit: &usize| takes[digit][stream.below(takes[digit].len())];
        let files = digits.iter().map(take).collect();
        let [shortest, longest] = GAPS.map(|milliseconds| milliseconds * SAMPLE_RATE as usize / 1000);
        let stream: &mut Stream = &mut seed.child("gaps").stream();
        Self {
            gaps: (0..=digits.len())
                .map(|_| shortest + stream.below(longest - shortest + 1))
                .collect(),
            digits,
            files,
            noise: seed.child("noise"),
        }
    }
}

/// The recordings, each read when it is first needed, and how utterances are assembled from them.
struct Assembly {
    root: PathBuf,
    files: Vec<String>,
    waves: Vec<OnceLock<Result<Vec<f32>, SampleError>>>,
    recipes: Vec<Recipe>,
}

/// Samples, and where among them each digit lies.
type Spoken = (Vec<f32>, Vec<std::ops::Range<usize>>);

impl Assembly {
    fn take(&self, file: usize) -> Result<&[f32], (usize, SampleError)> {
        let read = || read_sound(Raw::File(self.root.join(&self.files[file])), SAMPLE_RATE);
        let wave = self.waves[file].get_or_init(read).as_ref();
        wave.map(Vec::as_slice).map_err(|error| (file, error.clone()))
    }

    /// The samples of an utterance before the noise, and where its digits lie. An error names the
    /// recording.
    fn spoken(&self, index: usize) -> Result<Spoken, (usize, SampleError)> {
        let Recipe { files, gaps, .. } = &self.recipes[index];
        let (mut wave, mut spans) = (Vec::new(), Vec::new());
        for (&file, gap) in files.iter().zip(gaps) {
            wave.resize(wave.len() + gap, 0.0);
            let start = wave.len();
            wave.extend_from_slice(self.take(file)?);
            spans.push(start..wave.len());
        }
        wave.resize(wave.len() + gaps[files.len()], 0.0);
        Ok((wave, spans))
    }
}

impl Sound for Assembly {
    fn key(&self) -> String {
        format!("digits resampler {RESAMPLER_VERSION}")
    }

    fn wave(&self, index: usize, _sample_rate: u32) -> Result<Vec<f32>, SampleError> {
        let (mut wave, _) = self.spoken(index).map_err(|(_, error)| error)?;
        let mut stream = self.recipes[index].noise.stream();
        wave.iter_mut()
            .for_each(|sample| *sample += NOISE * (2.0 * stream.uniform() - 1.0));
        Ok(wave)
    }

    fn path(&self, index: usize) -> PathBuf {
        self.root.join(&self.files[self.recipes[index].files[0]])
    }
}

#[cfg(test)]
mod tests;

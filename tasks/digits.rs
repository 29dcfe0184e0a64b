//! Connected digits: utterances of 3 to 7 digits, put together from the Free Spoken Digit Dataset's recordings.
//!
//! Each utterance is one speaker's: recordings drawn one by one, with a gap of random length before, between and after, and
//! faint noise all over, as gaps of pure zeros would give the digits away. Speakers are kept apart: a third of them, by
//! name the last, are for testing. Every draw is of a named seed, so that the utterances are the same everywhere and for
//! ever; the seeds of training and test, and of every utterance, have names of their own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bridle_seed::{Seed, Stream};

use crate::data::speech::{Listed, Listing, Sound, read_sound};
use crate::files::folder::{ends_in, locate, names};
use crate::files::hashes::KnownHashes;
use crate::{DataError, Missing, Progress, RESAMPLER_VERSION, Role, Span, SpeechRequest, SpeechSet, Utterance, cache};

const NAME: &str = "digits";
pub(crate) const VERSION: u32 = 1;
pub(crate) const ORIGINAL: &str = "https://github.com/Jakobovski/free-spoken-digit-dataset";
/// The folder's name in `$BRIDLE_DATA`.
const FOLDER: &str = "fsdd";

/// The words, by digit.
pub const DIGITS: [&str; 10] = [
    "ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE",
];

const FEWEST: usize = 3;
const MOST: usize = 7;
/// Milliseconds of the shortest and the longest gap.
const GAPS: [usize; 2] = [50, 300];
/// Largest value of the noise, where a voice reaches some 0.3.
const NOISE: f32 = 0.001;
/// Hertz of the sound that spans count in.
const SAMPLE_RATE: u32 = 16_000;

/// How many utterances are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigitSizes {
    /// For training, of all speakers in turn.
    pub train: usize,
    /// For testing, of all speakers in turn.
    pub test: usize,
}

impl Default for DigitSizes {
    /// About 80 minutes for training and 20 for testing.
    fn default() -> Self {
        Self {
            train: 1_600,
            test: 400,
        }
    }
}

/// Makes the utterances from the recordings in the folder given, else in `fsdd` within `$BRIDLE_DATA`.
///
/// # Errors
/// About the folder, a recording or the cache; and if another sample rate than 16 kHz is wanted.
pub fn open_digits(
    sizes: DigitSizes,
    request: &SpeechRequest,
    progress: &dyn Progress,
) -> Result<SpeechSet, DataError> {
    if request.input.sample_rate != SAMPLE_RATE {
        return Err(DataError::WrongInput {
            task: NAME,
            reason: format!("it makes sound at {SAMPLE_RATE} Hz"),
        });
    }
    let root = locate(FOLDER, request.data.as_deref(), ORIGINAL)?;
    let takes = Takes::find(&root)?;
    let sizes = match request.subset {
        Some(n) => DigitSizes {
            train: sizes.train.min(n),
            test: sizes.test.min(n),
        },
        None => sizes,
    };
    let pool = cache::pool(request.threads)?;
    let remembered = KnownHashes::read(&root, &request.cache.join(NAME));
    let (manifest, _) = remembered.manifest(takes.files.clone(), &pool, progress)?;
    let made = takes.utterances(sizes);
    let parameters = format!("{VERSION} {FEWEST} {MOST} {GAPS:?} {NOISE} {SAMPLE_RATE} {sizes:?}");
    let manifest = crate::files::manifest::sha256(format!("{parameters}\n{}", manifest.text()).as_bytes());
    let sound = Digits {
        root: root.clone(),
        waves: takes.files.iter().map(|_| OnceLock::new()).collect(),
        files: takes.files,
        recipes: made.iter().map(|(_, recipe)| recipe.clone()).collect(),
    };
    let mut utterances = Vec::with_capacity(made.len());
    for (number, (mut utterance, recipe)) in made.into_iter().enumerate() {
        let (_, spans) = sound.spoken(number).map_err(|(file, reason)| DataError::BadSample {
            path: root.join(&sound.files[file]),
            reason,
        })?;
        let bytes = spans.last().map_or(0, |span| 2 * span.end as u64);
        let said = spans.into_iter().zip(&recipe.digits);
        utterance.spans = said
            .map(|(span, &digit)| Span {
                start: span.start,
                end: span.end,
                word: DIGITS[digit].to_owned(),
            })
            .collect();
        let content = manifest.clone();
        utterances.push(Listed {
            utterance,
            content,
            bytes,
        });
    }
    let listing = Listing {
        name: NAME,
        version: VERSION,
        source: ORIGINAL.to_owned(),
        root,
        utterances,
        unusable: Vec::new(),
        missing: Missing::default(),
        splitting: Some(format!("speakers for testing: {}", takes.testing.join(", "))),
        manifest_sha256: manifest,
        sound: Box::new(sound),
    };
    listing.open(request, progress)
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
            return Err(DataError::NotTheTask {
                task: NAME,
                path: root.to_owned(),
                missing: "recordings/",
            });
        }
        let mut files = Vec::new();
        let mut of_speaker: BTreeMap<String, [Vec<usize>; 10]> = BTreeMap::new();
        for (name, is_folder) in names(&folder)? {
            if is_folder || !ends_in(&name, &["wav"]) {
                continue;
            }
            let (digit, speaker) = parsed(&name).ok_or_else(|| DataError::BadSample {
                path: folder.join(&name),
                reason: "it is not called {digit}_{speaker}_{number}.wav".to_owned(),
            })?;
            of_speaker.entry(speaker).or_default()[digit].push(files.len());
            files.push(format!("recordings/{name}"));
        }
        let wrong = |what: String, expected: usize, found: usize| DataError::WrongCount {
            path: folder.clone(),
            what,
            expected,
            found,
        };
        if of_speaker.len() < 2 {
            return Err(wrong("speakers".to_owned(), 2, of_speaker.len()));
        }
        for (speaker, takes) in &of_speaker {
            if let Some(digit) = takes.iter().position(Vec::is_empty) {
                return Err(wrong(format!("recordings of {digit} by {speaker}"), 1, 0));
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

/// The recordings, each read when it is first wanted, and how they are put together.
struct Digits {
    root: PathBuf,
    files: Vec<String>,
    waves: Vec<OnceLock<Result<Vec<f32>, String>>>,
    recipes: Vec<Recipe>,
}

/// Samples, and where among them each digit lies.
type Spoken = (Vec<f32>, Vec<std::ops::Range<usize>>);

impl Digits {
    fn take(&self, file: usize) -> Result<&[f32], (usize, String)> {
        let read = || read_sound(&self.root.join(&self.files[file]), SAMPLE_RATE);
        let wave = self.waves[file].get_or_init(read).as_ref();
        wave.map(Vec::as_slice).map_err(|reason| (file, reason.clone()))
    }

    /// The samples of an utterance before the noise, and where its digits lie. An error names the recording.
    fn spoken(&self, index: usize) -> Result<Spoken, (usize, String)> {
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

impl Sound for Digits {
    fn key(&self) -> String {
        format!("digits resampler {RESAMPLER_VERSION}")
    }

    fn wave(&self, index: usize, _sample_rate: u32) -> Result<Vec<f32>, String> {
        let (mut wave, _) = self.spoken(index).map_err(|(_, reason)| reason)?;
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

//! Laws of speech data sets: own tables, bad input by name, and the same numbers whether kept or
//! not.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use std::path::{Path, PathBuf};

use super::*;
use crate::fixtures::wav_bytes;
use crate::own::speech::open_table;
use crate::{Fbank, Limits};
use bridle_seed::Seed;

pub(crate) fn request(folder: &Path, cache: &Path) -> SpeechRequest {
    SpeechRequest {
        data: Some(folder.to_owned()),
        input: SpeechInput {
            mels: 20,
            ..SpeechInput::default()
        },
        subset: None,
        cache: cache.to_owned(),
        threads: 2,
        limits: Limits::default(),
    }
}

/// `milliseconds` of noise at 16 kHz.
pub(crate) fn noise(seed: u64, milliseconds: usize) -> Vec<f32> {
    let mut stream = Seed::root(seed).stream();
    (0..16 * milliseconds).map(|_| 0.1 * stream.normal()).collect()
}

/// A folder with five sounds of one second and more, and a table of them.
struct Own {
    folder: tempfile::TempDir,
}

const TABLE: &str = "path,text\na.wav,One two\nb.wav,three\nc.wav,four\nd.wav,five\ne.wav,don\u{2019}t\n";

impl Own {
    fn new(table: &str) -> Self {
        let own = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        for (number, name) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
            let wave = noise(number as u64, 1_000 + 100 * number);
            own.write(&format!("{name}.wav"), &wav_bytes(16_000, 1, &wave));
        }
        own.write("table.csv", table.as_bytes());
        own
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    fn open(&self) -> Result<SpeechSet, DataError> {
        self.open_as(|_| ())
    }

    fn open_as(&self, change: impl Fn(&mut SpeechRequest)) -> Result<SpeechSet, DataError> {
        let mut request = request(self.folder.path(), &self.path("cache"));
        change(&mut request);
        open_table(&self.path("table.csv"), &request)
    }

    /// The error without the folder's name.
    fn error(&self) -> String {
        let error = self.open().map(|set| set.facts).unwrap_err().to_string();
        let folder = self.folder.path().display().to_string();
        error.replace(&format!("{folder}/"), "").replace(&folder, "the folder")
    }
}

#[test]
fn a_table_opens_with_inputs_of_each_length_and_standardised_bands() {
    let own = Own::new(TABLE);
    let set = own.open().unwrap();
    let texts: Vec<&str> = set.utterances.iter().map(|utterance| &utterance.text[..]).collect();
    assert_eq!(texts, ["ONE TWO", "THREE", "FOUR", "FIVE", "DON'T"]);
    assert_eq!(
        (set.of_role(Role::Train), set.of_role(Role::Test)),
        (vec![0, 1, 2, 3], vec![4])
    );
    let fbank = Fbank::new(16_000, 20);
    for index in 0..5 {
        let energies = fbank.compute(&noise(index as u64, 1_000 + 100 * index)).unwrap();
        assert_eq!(set.energies(index).unwrap(), energies);
        assert_eq!(set.frames(index), 98 + 10 * index);
    }
    let training: Vec<f32> = set
        .of_role(Role::Train)
        .into_iter()
        .flat_map(|index| set.input(index).unwrap())
        .collect();
    for band in 0..20 {
        let values: Vec<f64> = training.iter().skip(band).step_by(20).map(|&x| f64::from(x)).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        assert!(
            mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-4,
            "band {band}: {mean}, {variance}"
        );
    }
    assert_eq!(
        set.facts.counts,
        [("test".to_owned(), 1), ("train".to_owned(), 4)].into()
    );
}

#[test]
fn keeping_features_or_not_and_threads_change_no_number() {
    let own = Own::new(TABLE);
    let kept = own.open().unwrap();
    for change in [
        |request: &mut SpeechRequest| request.limits.rows = 0,
        |request: &mut SpeechRequest| request.threads = 1,
    ] {
        let other = own.open_as(change).unwrap();
        assert_eq!(other.standardizer, kept.standardizer);
        assert_eq!(other.facts, kept.facts);
        for index in 0..5 {
            assert_eq!(other.input(index).unwrap(), kept.input(index).unwrap());
            assert_eq!(other.frames(index), kept.frames(index));
        }
    }
}

#[test]
fn columns_of_splits_and_speakers_part_utterances() {
    let own = Own::new(
        "text,speaker,path,split\nONE,x,a.wav,train\nTWO,x,b.wav,val\nSIX,y,c.wav,test\nTEN,y,d.wav,train\nA,y,e.wav,test\n",
    );
    let set = own.open().unwrap();
    let roles: Vec<Role> = set.utterances.iter().map(|utterance| utterance.role).collect();
    assert_eq!(roles, [Role::Train, Role::Dev, Role::Test, Role::Train, Role::Test]);
    assert_eq!(set.facts.splitting, None);
    let own = Own::new("text,speaker,path\nONE,x,a.wav\nTWO,z,b.wav\nSIX,y,c.wav\nTEN,y,d.wav\nA,z,e.wav\n");
    let set = own.open().unwrap();
    assert_eq!(set.of_role(Role::Test), [1, 4]);
    assert!(set.facts.splitting.is_some());
    let set = own.open_as(|request| request.subset = Some(1)).unwrap();
    assert_eq!(set.utterances.len(), 2);
}

#[test]
fn what_is_wrong_with_a_table_is_told_by_line() {
    let error = |from: &str, to: &str| Own::new(&TABLE.replacen(from, to, 1)).error();
    insta::assert_snapshot!(error("three", "  "), @"table.csv, line 3: the transcript is empty");
    insta::assert_snapshot!(error("four", "4 you"), @"table.csv, line 4: the transcript has unknown symbols: '4' (U+0034); known are letters without accents, apostrophe and space");
    insta::assert_snapshot!(error("text", "words"), @"table.csv, line 1: there is no column 'text' among 'path, words'");
    insta::assert_snapshot!(error("b.wav", "a.wav"), @"table.csv, line 3: 'a.wav' is listed a second time");
    insta::assert_snapshot!(error("b.wav", "../b.wav"), @"table.csv, line 3: '../b.wav' leads out of the table's folder");
    insta::assert_snapshot!(error("b.wav", "b.mp3"), @"table.csv, line 3: 'b.mp3' is not called .flac or .wav");
    let split = "path,text,split\na.wav,ONE,train\nb.wav,TWO,later\n";
    insta::assert_snapshot!(Own::new(split).error(), @"table.csv, line 3: the split 'later' is not train, dev or test");
    let none = "path,text,split\na.wav,ONE,test\nb.wav,TWO,test\n";
    insta::assert_snapshot!(Own::new(none).error(), @"table.csv: none of its 2 usable utterances is for training");
}

#[test]
fn sounds_that_cannot_be_used_are_skipped_and_named_and_few_may_be() {
    let reason = |name: &str, bytes: &[u8]| {
        let own = Own::new(TABLE);
        own.write(name, bytes);
        let set = own.open().unwrap();
        assert_eq!((set.utterances.len(), set.facts.skipped.len()), (4, 1));
        // the others stay with their own frames
        assert_eq!(
            set.frames(set.utterances.len() - 1),
            if name == "e.wav" { 128 } else { 138 }
        );
        assert_eq!(set.facts.skipped[0].id, name);
        set.facts.skipped[0].reason.clone()
    };
    let mut wave = noise(0, 1_000);
    wave[7_000] = f32::NAN;
    insta::assert_snapshot!(reason("b.wav", &wav_bytes(16_000, 1, &wave)), @"sample 7000 is NaN, not a finite number");
    insta::assert_snapshot!(reason("b.wav", b"a shopping list"), @"it is not a wav, flac, ogg or mp3 file");
    // THREE needs a blank between its last letters: six frames of 20 ms
    insta::assert_snapshot!(reason("b.wav", &wav_bytes(16_000, 1, &noise(1, 125))), @"it has 5 frames of 20 ms, and its transcript of 5 symbols needs 6");
    insta::assert_snapshot!(reason("b.wav", &wav_bytes(16_000, 1, &noise(1, 20))), @"the waveform has 320 samples, fewer than the 400 of one filterbank window");
    insta::assert_snapshot!(reason("b.wav", &wav_bytes(16_000, 1, &noise(1, 60_100))), @"it is 60.1 s long, and an utterance can have 60 s; cut it into sentences");
    let own = Own::new(TABLE);
    own.write("b.wav", b"");
    own.write("c.wav", b"");
    insta::assert_snapshot!(own.error(), @"2 of 5 samples in the folder cannot be used, more than 1 %; the first is b.wav: it is an empty file");
}

#[test]
fn sound_at_another_rate_in_two_channels_is_heard_as_the_same() {
    let own = Own::new(TABLE);
    let tone = |rate: usize, channels: usize| -> Vec<f32> {
        let value = |n: usize| 0.3 * (std::f64::consts::TAU * 440.0 * n as f64 / rate as f64).sin() as f32;
        (0..rate).flat_map(|n| vec![value(n); channels]).collect()
    };
    own.write("a.wav", &wav_bytes(16_000, 1, &tone(16_000, 1)));
    own.write("b.wav", &wav_bytes(48_000, 2, &tone(48_000, 2)));
    let set = own.open().unwrap();
    let (a, b) = (set.wave(0).unwrap(), set.wave(1).unwrap());
    assert_eq!((a.len(), set.frames(0)), (b.len(), set.frames(1)));
    let worst = (2_000..14_000).map(|n| (a[n] - b[n]).abs()).fold(0.0, f32::max);
    assert!(worst < 2e-3, "{worst}");
}

#[test]
fn a_file_that_changes_after_opening_is_told_where_it_is_read_again() {
    let own = Own::new(TABLE);
    let set = own.open_as(|request| request.limits.rows = 0).unwrap();
    own.write("a.wav", &wav_bytes(16_000, 1, &noise(9, 500)));
    let error = set.input(0).unwrap_err().to_string();
    assert!(
        error.ends_with("a.wav: it was changed since the data was opened"),
        "{error}"
    );
    assert!(set.input(1).is_ok());
}

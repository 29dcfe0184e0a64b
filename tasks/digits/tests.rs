//! Laws of connected digits: the same for ever, speakers apart, spans that hold what was said.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use super::*;
use crate::Limits;
use crate::fixtures::{outside_data, wav_bytes};
use std::collections::BTreeSet;

const FEW: DigitSizes = DigitSizes { train: 12, test: 6 };

/// Six speakers with two recordings of each digit: a constant that tells speaker and digit, 100 ms
/// and more at 8 kHz.
fn made() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let recordings = folder.path().join("recordings");
    std::fs::create_dir(&recordings).unwrap();
    for (speaker, name) in ["ann", "bob", "cyd", "dee", "eve", "fay"].into_iter().enumerate() {
        for (digit, take) in (0..10).flat_map(|digit| [(digit, 0), (digit, 1)]) {
            let value = 0.1 + 0.1 * speaker as f32 + 0.005 * digit as f32;
            let wave = vec![value; 800 + 80 * digit + 8 * take];
            let file = recordings.join(format!("{digit}_{name}_{take}.wav"));
            std::fs::write(file, wav_bytes(8_000, 1, &wave)).unwrap();
        }
    }
    folder
}

fn request(folder: &Path, cache: &Path) -> SpeechRequest {
    SpeechRequest {
        data: Some(folder.to_owned()),
        input: SpeechInput {
            mels: 40,
            ..SpeechInput::default()
        },
        subset: None,
        cache: cache.to_owned(),
        threads: 2,
        limits: Limits::default(),
    }
}

fn open(folder: &tempfile::TempDir) -> SpeechSet {
    let cache = tempfile::tempdir().unwrap();
    super::open(FEW, &request(folder.path(), cache.path()), &()).unwrap()
}

#[test]
fn utterances_are_the_same_each_time_and_none_is_another() {
    let folder = made();
    let (a, b) = (open(&folder), open(&folder));
    assert_eq!(
        (a.utterances.len(), &a.utterances, &a.facts),
        (18, &b.utterances, &b.facts)
    );
    for index in 0..18 {
        assert_eq!(a.wave(index).unwrap(), b.wave(index).unwrap());
    }
    let texts: BTreeSet<(&str, Option<&str>)> = a
        .utterances
        .iter()
        .map(|one| (&one.text[..], one.speaker.as_deref()))
        .collect();
    assert!(texts.len() > 15, "{}", texts.len());
    // more utterances are the same ones first
    let cache = tempfile::tempdir().unwrap();
    let more = DigitSizes { train: 15, ..FEW };
    let more = super::open(more, &request(folder.path(), cache.path()), &()).unwrap();
    assert_eq!(more.utterances[..12], a.utterances[..12]);
    assert_eq!(more.utterances[15..], a.utterances[12..]);
}

#[test]
fn speakers_are_kept_apart() {
    let set = open(&made());
    let speakers = |role: Role| -> BTreeSet<&str> {
        set.of_role(role)
            .into_iter()
            .map(|index| set.utterances[index].speaker.as_deref().unwrap())
            .collect()
    };
    assert_eq!(speakers(Role::Train), ["ann", "bob", "cyd", "dee"].into());
    assert_eq!(speakers(Role::Test), ["eve", "fay"].into());
    assert_eq!(set.facts.splitting.as_deref(), Some("speakers for testing: eve, fay"));
}

#[test]
fn spans_hold_the_digits_that_the_transcript_names() {
    let set = open(&made());
    let names = ["ann", "bob", "cyd", "dee", "eve", "fay"];
    for (index, utterance) in set.utterances.iter().enumerate() {
        let wave = set.wave(index).unwrap();
        let words: Vec<&str> = utterance.spans.iter().map(|span| &span.word[..]).collect();
        assert_eq!(words.join(" "), utterance.text);
        assert!((FEWEST..=MOST).contains(&words.len()));
        let speaker = names
            .iter()
            .position(|name| utterance.speaker.as_deref() == Some(name))
            .unwrap();
        let mut end = 0;
        for span in &utterance.spans {
            let gap = span.start - end;
            assert!((800..=4_800).contains(&gap), "a gap of {gap} samples");
            let digit = DIGITS.iter().position(|digit| *digit == span.word).unwrap();
            let expected = 0.1 + 0.1 * speaker as f32 + 0.005 * digit as f32;
            // the noise is at most a thousandth; resampling rings at the ends
            let middle = wave[(span.start + span.end) / 2];
            assert!((middle - expected).abs() < 0.0021, "{middle} where {expected} was said");
            assert!(wave[end..span.start].iter().all(|x| x.abs() <= 0.001));
            end = span.end;
        }
        assert!((800..=4_800).contains(&(wave.len() - end)));
    }
}

#[test]
fn frames_are_annotated_with_the_word_in_their_middle() {
    let set = open(&made());
    let found = set.words_by_frame(0, &DIGITS);
    assert_eq!(found.len(), set.frames(0) / 2);
    let runs: Vec<Option<usize>> = found.chunk_by(|a, b| a == b).map(|run| run[0]).collect();
    // gaps of at least 50 ms are longer than a frame of 20 ms, so that every word is a run between
    // two gaps
    let words: Vec<&str> = runs.iter().flatten().map(|&word| DIGITS[word]).collect();
    assert_eq!(words.join(" "), set.utterances[0].text);
    assert!(runs.iter().step_by(2).all(Option::is_none) && runs.len() % 2 == 1);
}

#[test]
fn what_is_no_set_of_recordings_is_named() {
    let error = |folder: &tempfile::TempDir| {
        let cache = tempfile::tempdir().unwrap();
        let found = super::open(FEW, &request(folder.path(), cache.path()), &());
        let error = found.map(|set| set.facts).unwrap_err().to_string();
        error.replace(&folder.path().display().to_string(), "DATA")
    };
    insta::assert_snapshot!(error(&tempfile::tempdir().unwrap()), @"DATA is not the digits data: it has no recordings/");
    let folder = made();
    let name = |name: &str| folder.path().join("recordings").join(name);
    std::fs::write(name("ten_ann_0.wav"), b"").unwrap();
    insta::assert_snapshot!(error(&folder), @"DATA/recordings/ten_ann_0.wav: it is not called {digit}_{speaker}_{number}.wav");
    std::fs::remove_file(name("ten_ann_0.wav")).unwrap();
    for take in 0..2 {
        std::fs::remove_file(name(&format!("7_bob_{take}.wav"))).unwrap();
    }
    insta::assert_snapshot!(error(&folder), @"DATA/recordings has 0 recordings of 7 by bob, not 1");
    let folder = made();
    for take in 0..2 {
        std::fs::write(folder.path().join(format!("recordings/7_bob_{take}.wav")), b"noise").unwrap();
    }
    let found = error(&folder);
    assert!(
        found.ends_with("it is not a wav, flac, ogg or mp3 file") && found.contains("/7_bob_"),
        "{found}"
    );
}

#[test]
fn the_real_recordings_give_real_utterances() {
    let Some(folder) = outside_data("fsdd") else {
        return;
    };
    let cache = tempfile::tempdir().unwrap();
    let set = super::open(FEW, &request(&folder, cache.path()), &()).unwrap();
    assert_eq!((set.utterances.len(), set.facts.skipped.len()), (18, 0));
    assert_eq!(
        set.facts.splitting.as_deref(),
        Some("speakers for testing: theo, yweweler")
    );
    let first = set.utterances[..3].iter();
    let first: Vec<(&str, &str, usize)> = first
        .map(|one| (&one.id[..], &one.text[..], one.spans[0].start))
        .collect();
    // changing these changes every recorded number
    let stored = [
        ("train-00000-george", "TWO TWO NINE", 4224),
        ("train-00001-jackson", "ZERO ONE FOUR NINE FIVE", 3678),
        ("train-00002-lucas", "THREE SEVEN NINE ONE", 4795),
    ];
    assert_eq!(first, stored);
}

//! LibriSpeech's layout: the small real set, parts by folder, and what may be wrong in a chapter.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use super::*;
use crate::Limits;
use crate::fixtures::{outside_data, wav_bytes};
use bridle_seed::Seed;

fn request(folder: &Path, cache: &Path) -> SpeechRequest {
    SpeechRequest {
        data: Some(folder.to_owned()),
        input: SpeechInput::default(),
        subset: None,
        cache: cache.to_owned(),
        threads: 2,
        limits: Limits::default(),
    }
}

#[test]
fn all_utterances_of_the_small_real_set_are_read() {
    let Some(folder) = outside_data("librispeech-mini") else {
        return;
    };
    let cache = tempfile::tempdir().unwrap();
    let set = LibriSpeech.open(&request(&folder, cache.path()), &()).unwrap();
    assert_eq!(
        (set.utterances.len(), set.facts.skipped.len(), set.facts.missing.count),
        (11, 0, 0)
    );
    let of_61 = set
        .utterances
        .iter()
        .position(|utterance| utterance.id == "61-70968-0000")
        .unwrap();
    assert_eq!(
        set.utterances[of_61].text,
        "HE BEGAN A CONFUSED COMPLAINT AGAINST THE WIZARD WHO HAD VANISHED BEHIND THE CURTAIN ON THE LEFT"
    );
    // 79 s in all
    let frames: usize = (0..11).map(|index| set.frames(index)).sum();
    assert!((7_800..8_000).contains(&frames), "{frames}");
    let speakers = |role: Role| -> Vec<&str> {
        let mut found: Vec<&str> = set
            .of_role(role)
            .into_iter()
            .map(|i| set.utterances[i].speaker.as_deref().unwrap())
            .collect();
        found.dedup();
        found
    };
    assert_eq!(speakers(Role::Train), ["1089", "1272", "2412", "61"]);
    assert_eq!(speakers(Role::Test), ["1995", "8266"]);
    for index in 0..11 {
        let input = set.input(index).unwrap();
        assert_eq!(input.len(), set.frames(index) * 80);
        assert!(input.iter().all(|x| x.is_finite()));
        assert!(set.frames(index) / 2 >= crate::min_frames(&set.utterances[index].text));
    }
}

/// Parts, speakers and chapters of sounds of one second, given as (folder, transcripts, files).
fn made(chapters: &[(&str, Option<&str>, &[&str])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (below, transcripts, files) in chapters {
        let chapter = folder.path().join(below);
        std::fs::create_dir_all(&chapter).unwrap();
        let mut last = below.rsplit('/');
        let (number, speaker) = (last.next().unwrap(), last.next().unwrap());
        if let Some(text) = transcripts {
            std::fs::write(chapter.join(format!("{speaker}-{number}.trans.txt")), text).unwrap();
        }
        for (seed, file) in files.iter().enumerate() {
            let mut stream = Seed::root(seed as u64).stream();
            let wave: Vec<f32> = (0..16_000).map(|_| 0.1 * stream.normal()).collect();
            std::fs::write(chapter.join(file), wav_bytes(16_000, 1, &wave)).unwrap();
        }
    }
    folder
}

fn open(folder: &tempfile::TempDir) -> Result<SpeechSet, String> {
    let cache = tempfile::tempdir().unwrap();
    let found = LibriSpeech.open(&request(folder.path(), cache.path()), &());
    found.map_err(|error| {
        error
            .to_string()
            .replace(&format!("{}", folder.path().display()), "DATA")
    })
}

#[test]
fn parts_are_told_by_their_folders_also_within_librispeech() {
    let chapters: [(&str, Option<&str>, &[&str]); 3] = [
        (
            "LibriSpeech/train-clean-100/7/1",
            Some("7-1-0000 ONE\n7-1-0001 TWO\n"),
            &["7-1-0000.wav", "7-1-0001.wav"],
        ),
        ("LibriSpeech/dev-other/8/2", Some("8-2-0000 SIX\n"), &["8-2-0000.wav"]),
        ("LibriSpeech/test-clean/9/3", Some("9-3-0000 TEN\n"), &["9-3-0000.wav"]),
    ];
    let set = open(&made(&chapters)).unwrap();
    // as folders are sorted
    let ids: Vec<&str> = set.utterances.iter().map(|utterance| &utterance.id[..]).collect();
    assert_eq!(ids, ["8-2-0000", "9-3-0000", "7-1-0000", "7-1-0001"]);
    assert_eq!(set.parts(Role::Train), ["train-clean-100"]);
    assert_eq!(
        (set.parts(Role::Dev), set.parts(Role::Test)),
        (vec!["dev-other"], vec!["test-clean"])
    );
    assert_eq!(
        (set.of_role(Role::Train), set.facts.splitting.clone()),
        (vec![2, 3], None)
    );
    assert_eq!(set.utterances[3].speaker.as_deref(), Some("7"));
}

#[test]
fn what_lacks_a_transcript_or_a_sound_is_named() {
    let chapters: [(&str, Option<&str>, &[&str]); 2] = [
        (
            "train-a/7/1",
            Some("7-1-0000 ONE\n7-1-0009 TWO\n"),
            &["7-1-0000.wav", "7-1-0001.wav"],
        ),
        ("test-a/8/1", Some("8-1-0000 ONE\n"), &["8-1-0000.wav"]),
    ];
    let facts = open(&made(&chapters)).unwrap().facts;
    assert_eq!(
        (facts.missing.count, &facts.missing.first[..]),
        (1, &["7-1-0009".to_owned()][..])
    );
    assert_eq!(facts.skipped.len(), 1);
    assert_eq!(facts.skipped[0].id, "7-1-0001");
    assert_eq!(
        facts.skipped[0].reason,
        "it has no transcript in train-a/7/1/7-1.trans.txt"
    );
    let chapters: [(&str, Option<&str>, &[&str]); 2] = [
        ("train-a/7/1", Some("7-1-0000 ONE\n"), &["7-1-0000.wav"]),
        ("test-a/8/1", None, &["8-1-0000.wav", "8-1-0001.wav"]),
    ];
    insta::assert_snapshot!(open(&made(&chapters)).map(|_| ()).unwrap_err(), @"2 of 3 samples in DATA cannot be used, more than 1 %; the first is 8-1-0000: it has no transcript in test-a/8/1/8-1.trans.txt");
}

#[test]
fn broken_transcripts_are_told_by_file_and_line() {
    let error = |text: &str, files: &[&str]| {
        open(&made(&[("train-a/7/1", Some(text), files)]))
            .map(|_| ())
            .unwrap_err()
    };
    let two = ["7-1-0000.wav", "7-1-0001.wav"];
    insta::assert_snapshot!(error("7-1-0000 ONE\n\n7-1-0001 ROOM 2\n", &two), @"DATA/train-a/7/1/7-1.trans.txt, line 3: the transcript has unknown symbols: '2' (U+0032); known are letters without accents, apostrophe and space");
    insta::assert_snapshot!(error("7-1-0000 ONE\n7-1-0001\n", &two), @"DATA/train-a/7/1/7-1.trans.txt, line 2: the transcript is empty");
    insta::assert_snapshot!(error("7-1-0000 ONE\n7-1-0000 TWO\n", &two), @"DATA/train-a/7/1/7-1.trans.txt, line 2: '7-1-0000' is listed a second time");
    insta::assert_snapshot!(error("7-1-0000 ONE\n", &["7-1-0000.wav", "7-1-0000.flac"]), @"DATA/train-a/7/1/7-1-0000.wav: it has the same name as train-a/7/1/7-1-0000.flac");
}

#[test]
fn a_folder_of_something_else_and_one_that_cannot_be_parted_are_told() {
    let error = |chapters: &[(&str, Option<&str>, &[&str])]| open(&made(chapters)).map(|_| ()).unwrap_err();
    insta::assert_snapshot!(error(&[]), @"DATA is not the librispeech data: it has no <speaker>/<chapter>/<speaker>-<chapter>.trans.txt");
    insta::assert_snapshot!(error(&[("7/1", Some("7-1-0000 ONE\n"), &["7-1-0000.wav"])]), @"DATA is no known variant of the librispeech data: nothing says what is for training and what for testing, and 1 speaker cannot be parted");
    insta::assert_snapshot!(error(&[("test-a/7/1", Some("7-1-0000 ONE\n"), &["7-1-0000.wav"])]), @"DATA/test-a/7/1/7-1.trans.txt: none of its 1 usable utterances is for training");
}

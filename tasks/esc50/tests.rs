//! ESC-50 on small made-up folders, one fault at a time, and on the real one where it is at hand.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod packed;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::table::TABLE;
use super::*;
use crate::files::hashes::KnownHashes;
use crate::fixtures::{outside_data, wav_bytes};
use crate::{Fbank, Limits, decode, resample};

const SAMPLES: usize = 800;
const TINY: Variant = Variant {
    name: "tiny",
    packaging: Packaging::Folder,
    endings: &["wav"],
    clips: 250,
    sound: Some((16_000, SAMPLES)),
    manifest: None,
};

/// File names are fold, source, take and class.
#[test]
fn folds_keep_recordings_of_a_source_together_but_for_four() {
    let mut sources: BTreeMap<&str, BTreeMap<&str, Vec<&str>>> = BTreeMap::new();
    let files = include_str!("16k-flac-ogg.sha256").split_whitespace();
    for name in files.filter_map(|word| word.strip_prefix("audio/")) {
        let parts: Vec<&str> = name.split(['-', '.']).collect();
        let [fold, source, _, class, _] = parts[..] else {
            panic!("{name}")
        };
        sources.entry(source).or_default().entry(fold).or_default().push(class);
    }
    assert_eq!(sources.len(), 1_524);
    sources.retain(|_, folds| folds.len() > 1);
    assert_eq!(
        sources.keys().copied().collect::<Vec<_>>(),
        ["131943", "134049", "209698", "234879"]
    );
    for (source, folds) in sources {
        let classes: Vec<&Vec<&str>> = folds.values().collect();
        assert_eq!(classes.len(), 2, "{source}");
        assert!(
            classes[0].iter().all(|class| !classes[1].contains(class)),
            "{source}: {classes:?}"
        );
    }
}

/// A complete set: one clip for each of 50 classes in each of 5 folds, 50 ms long.
struct Fake(tempfile::TempDir);

impl Fake {
    fn new() -> Self {
        let fake = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir_all(fake.path("audio")).unwrap();
        std::fs::create_dir_all(fake.path("meta")).unwrap();
        let mut table = "filename,fold,target,category,esc10,src_file,take\n".to_owned();
        for (fold, target) in (1..=FOLDS).flat_map(|fold| (0..CLASSES.len()).map(move |target| (fold, target))) {
            let name = format!("{fold}-100-A-{target}.wav");
            let wave: Vec<f32> = (0..SAMPLES)
                .map(|n| 0.3 * ((n * (target + 2)) as f32 * 0.01).sin())
                .collect();
            std::fs::write(fake.path("audio").join(&name), wav_bytes(16_000, 1, &wave)).unwrap();
            table.push_str(&format!("{name},{fold},{target},{},False,100,A\n", CLASSES[target]));
        }
        std::fs::write(fake.path(TABLE), table).unwrap();
        fake
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn clip(&self, name: &str) -> PathBuf {
        self.path("audio").join(name)
    }

    fn edit_table(&self, edit: impl Fn(String) -> String) {
        let table = std::fs::read_to_string(self.path(TABLE)).unwrap();
        std::fs::write(self.path(TABLE), edit(table)).unwrap();
    }

    fn request(&self) -> OpenRequest {
        OpenRequest {
            data: None,
            offline: true,
            input: InputSpec::Audio {
                frames: 8,
                mels: 16,
                sample_rate: 16_000,
                mean: -6.0,
                std: 5.0,
            },
            subset: None,
            allow_different: false,
            cache: self.path("cache"),
            threads: 2,
            limits: Limits::default(),
        }
    }

    fn open(&self) -> Result<Dataset, DataError> {
        open(self.0.path(), &[TINY], &self.request(), &())
    }

    fn open_different(&self) -> Result<Dataset, DataError> {
        open(
            self.0.path(),
            &[TINY],
            &OpenRequest {
                allow_different: true,
                ..self.request()
            },
            &(),
        )
    }

    /// The message of the one error, with the folder's changing name taken out.
    fn error(&self) -> String {
        self.cleaned(self.open())
    }

    fn cleaned(&self, outcome: Result<Dataset, DataError>) -> String {
        let error = outcome.map(|_| "it opened").unwrap_err();
        error.to_string().replace(&self.0.path().display().to_string(), "ESC")
    }
}

#[test]
fn a_complete_folder_opens_with_its_folds_and_inputs() {
    let fake = Fake::new();
    let data = fake.open().unwrap();
    assert_eq!(data.facts.variant, "tiny");
    assert_eq!(
        data.facts.counts,
        (1..=5).map(|fold| (format!("fold-{fold}"), 50)).collect()
    );
    assert_eq!((data.shape(), data.classes.len()), ([1, 8, 16].as_slice(), 50));
    let (train, test) = data.split(Some(3));
    assert_eq!((train.len(), test.len()), (200, 50));
    assert!(test.iter().all(|&index| data.samples[index].fold == Some(3)));
    assert!(data.split(None).1.is_empty());
    let sample = &data.samples[57];
    assert_eq!(
        (sample.id.as_str(), sample.target.classes()),
        ("2-100-A-7", [7].as_slice())
    );
    let wave = decode(std::fs::read(fake.clip("2-100-A-7.wav")).unwrap(), "wav").unwrap();
    let expected = Fbank::new(16_000, 16).model_input(&wave.samples, 8, -6.0, 5.0).unwrap();
    assert_eq!(data.input(57).unwrap(), expected);
    let n = (data.samples.len() * 8 * 16) as f64;
    let raw = |x: &f32| f64::from(*x) * 10.0 - 6.0;
    let mean = (0..250)
        .flat_map(|index| data.input(index).unwrap().into_owned())
        .map(|x| raw(&x))
        .sum::<f64>()
        / n;
    assert!((data.facts.measured_mean - mean).abs() < 1e-4);
}

#[test]
fn a_second_opening_reads_the_same_from_the_cache_and_other_settings_do_not() {
    let fake = Fake::new();
    let features = || std::fs::read_dir(fake.path("cache/esc50")).unwrap().count() - 1;
    let (first, second) = (fake.open().unwrap(), fake.open().unwrap());
    assert_eq!((features(), &first.facts), (1, &second.facts));
    assert!((0..250).all(|index| first.input(index).unwrap() == second.input(index).unwrap()));
    let input = InputSpec::Audio {
        frames: 8,
        mels: 16,
        sample_rate: 16_000,
        mean: -6.0,
        std: 4.0,
    };
    open(
        fake.0.path(),
        &[TINY],
        &OpenRequest {
            input,
            ..fake.request()
        },
        &(),
    )
    .unwrap();
    assert_eq!(features(), 2);
}

#[test]
fn a_subset_takes_the_folds_in_turn() {
    let fake = Fake::new();
    let data = open(
        fake.0.path(),
        &[TINY],
        &OpenRequest {
            subset: Some(2),
            ..fake.request()
        },
        &(),
    )
    .unwrap();
    assert_eq!(data.samples.len(), 100);
    assert_eq!(
        data.facts.counts,
        BTreeMap::from([("fold-1".to_owned(), 50), ("fold-2".to_owned(), 50)])
    );
    assert_eq!(data.facts.subset, Some(2));
    let whole = open(
        fake.0.path(),
        &[TINY],
        &OpenRequest {
            subset: Some(99),
            ..fake.request()
        },
        &(),
    )
    .unwrap();
    assert_eq!(whole.samples.len(), 250);
}

#[test]
fn a_wrong_folder_is_named() {
    let fake = Fake::new();
    std::fs::remove_file(fake.path(TABLE)).unwrap();
    insta::assert_snapshot!(fake.error(), @"ESC is not the esc50 data: it has no meta/esc50.csv");
}

#[test]
fn a_file_too_few_or_too_many_is_named() {
    let fake = Fake::new();
    std::fs::write(fake.clip("9-9-A-9.wav"), "").unwrap();
    insta::assert_snapshot!(fake.error(), @"ESC/audio/9-9-A-9.wav is not listed in meta/esc50.csv");
    std::fs::remove_file(fake.clip("9-9-A-9.wav")).unwrap();
    std::fs::remove_file(fake.clip("2-100-A-31.wav")).unwrap();
    insta::assert_snapshot!(fake.error(), @"ESC/audio/2-100-A-31.wav is missing, though meta/esc50.csv, line 83, lists it");
    fake.edit_table(|table| table.replace("2-100-A-31.wav,2,31,mouse_click,False,100,A\n", ""));
    insta::assert_snapshot!(fake.error(), @"ESC/meta/esc50.csv has 249 clips, not 250");
    std::fs::write(fake.clip("1-100-A-0.ogg"), "").unwrap();
    insta::assert_snapshot!(fake.error(), @"ESC/audio/1-100-A-0.wav: 1-100-A-0.ogg is there too, and meta/esc50.csv lists one clip of this name");
}

#[test]
fn a_bad_line_of_the_table_is_named() {
    let with = |from: &str, to: &str| {
        let fake = Fake::new();
        fake.edit_table(|table| table.replacen(from, to, 1));
        fake.error()
    };
    insta::assert_snapshot!(with(",target,", ",label,"), @"ESC/meta/esc50.csv, line 1: there is no column 'target' among 'filename, fold, label, category, esc10, src_file, take'");
    insta::assert_snapshot!(with("1-100-A-3.wav,1,", "1-100-A-3.wav,one,"), @"ESC/meta/esc50.csv, line 5: the fold 'one' is not a number from 1");
    insta::assert_snapshot!(with("1-100-A-3.wav,1,3,", "1-100-A-3.wav,1,-3,"), @"ESC/meta/esc50.csv, line 5: the target '-3' is not a class number");
    insta::assert_snapshot!(with("1-100-A-3.wav,1,3,cow", "1-100-A-3.wav,1,3"), @"ESC/meta/esc50.csv, line 5: 6 fields, not 7");
    insta::assert_snapshot!(with("1-100-A-3.wav,1,", "1-100-A-3.wav,2,"), @"ESC/meta/esc50.csv, line 5: the name '1-100-A-3' is not that of fold 2 and target 3");
    insta::assert_snapshot!(with("1-100-A-3.wav,1,3,cow", "1-100-A-3.wav,1,4,cow"), @"ESC/meta/esc50.csv, line 6: target 4 is 'frog' here and 'cow' before");
    insta::assert_snapshot!(with("1-100-A-3.wav", "../1-100-A-3.wav"), @"ESC/meta/esc50.csv, line 5: '../1-100-A-3.wav' is not the name of a clip");
    insta::assert_snapshot!(with("1-100-A-3.wav,1,3,cow,", "1-100-A-4.wav,1,4,hen,"), @"ESC/meta/esc50.csv, line 6: the clip '1-100-A-4' is listed a second time");
    insta::assert_snapshot!(with(",cow,", ",kau,"), @"ESC/meta/esc50.csv, line 55: target 3 is 'cow' here and 'kau' before");
}

#[test]
fn a_clip_that_is_not_what_the_variant_says_is_named() {
    let with = |content: Vec<u8>| {
        let fake = Fake::new();
        std::fs::write(fake.clip("4-100-A-40.wav"), content).unwrap();
        fake.error()
    };
    insta::assert_snapshot!(with(b"not a sound, only a text. ".repeat(50)), @"ESC/audio/4-100-A-40.wav: it is not a wav, flac, ogg or mp3 file");
    insta::assert_snapshot!(with(wav_bytes(22_050, 1, &[0.1; SAMPLES])), @"ESC/audio/4-100-A-40.wav: its sample rate is 22050 Hz, not 16000");
    insta::assert_snapshot!(with(wav_bytes(16_000, 1, &[0.1; SAMPLES - 1])), @"ESC/audio/4-100-A-40.wav: it has 799 samples, not 800");
    let whole = wav_bytes(16_000, 1, &[0.1; SAMPLES]);
    insta::assert_snapshot!(with(whole[..whole.len() / 2].to_vec()), @"ESC/audio/4-100-A-40.wav: it is damaged after 391 samples: unexpected end of file");
    insta::assert_snapshot!(with(Vec::new()), @"ESC/audio/4-100-A-40.wav: it is an empty file");
}

#[test]
fn a_pinned_variant_names_an_altered_or_cut_file() {
    let fake = Fake::new();
    let names = Given::find(fake.0.path()).unwrap().files.into_values();
    let names = names.chain([TABLE.to_owned()]).collect();
    let hashed = KnownHashes::none(fake.0.path()).hash(names, &cache::pool(1).unwrap(), &());
    let manifest = hashed.unwrap().manifest;
    let pinned = Variant {
        manifest: Some(Box::leak(manifest.text().into_boxed_str())),
        ..TINY
    };
    let error = || fake.cleaned(open(fake.0.path(), &[pinned], &fake.request(), &()));
    assert_eq!(
        open(fake.0.path(), &[pinned], &fake.request(), &())
            .unwrap()
            .facts
            .manifest_sha256,
        manifest.sha256()
    );
    let mut content = std::fs::read(fake.clip("1-100-A-0.wav")).unwrap();
    content[200] ^= 1;
    std::fs::write(fake.clip("1-100-A-0.wav"), &content).unwrap();
    let altered = error();
    assert!(altered.starts_with("ESC/audio/1-100-A-0.wav has sha256 "), "{altered}");
    content.truncate(1_000);
    std::fs::write(fake.clip("1-100-A-0.wav"), &content).unwrap();
    insta::assert_snapshot!(error(), @"ESC/audio/1-100-A-0.wav has 1000 bytes, not the 3268 of variant tiny");
}

#[test]
fn different_data_skips_and_names_what_it_cannot_use() {
    let fake = Fake::new();
    std::fs::write(fake.clip("1-100-A-0.wav"), "a text").unwrap();
    let data = fake.open_different().unwrap();
    assert_eq!((data.facts.variant.as_str(), data.samples.len()), (DIFFERENT, 249));
    assert_eq!(data.facts.skipped[0].id, "1-100-A-0");
    assert_eq!(data.facts.counts["fold-1"], 49);
    let wave = decode(std::fs::read(fake.clip("1-100-A-1.wav")).unwrap(), "wav").unwrap();
    let expected = Fbank::new(16_000, 16).model_input(&wave.samples, 8, -6.0, 5.0).unwrap();
    assert_eq!(
        (data.samples[0].id.as_str(), data.input(0).unwrap().as_ref()),
        ("1-100-A-1", expected.as_slice())
    );
    // two of 250 are still within 1 %, three are not
    std::fs::remove_file(fake.clip("1-100-A-1.wav")).unwrap();
    assert_eq!(fake.open_different().unwrap().samples.len(), 248);
    std::fs::write(fake.clip("1-100-A-2.wav"), wav_bytes(16_000, 1, &[0.0; 399])).unwrap();
    insta::assert_snapshot!(fake.cleaned(fake.open_different()), @"3 of 250 samples in ESC cannot be used, more than 1 %; the first is 1-100-A-0: it is not a wav, flac, ogg or mp3 file");
}

#[test]
fn files_of_other_kinds_beside_the_clips_are_ignored() {
    let fake = Fake::new();
    let whole = fake.open().unwrap();
    for name in ["1-100-A-0.asd", "1-100-A-0.wav.reapeaks", "notes.txt"] {
        std::fs::write(fake.clip(name), "an overview by an editor").unwrap();
    }
    let data = fake.open().unwrap();
    assert_eq!(data.samples, whole.samples);
    assert_eq!(data.facts, whole.facts);
}

#[test]
fn different_data_has_its_own_classes_rates_and_counts() {
    let fake = Fake::new();
    fake.edit_table(|_| "filename,fold,target,category\na.wav,1,0,rain\nb.wav,2,1,sun\n".to_owned());
    std::fs::write(fake.clip("a.wav"), wav_bytes(44_100, 2, &[0.1; 6_000])).unwrap();
    std::fs::write(fake.clip("b.wav"), wav_bytes(8_000, 1, &[0.1; 6_000])).unwrap();
    let data = fake.open_different().unwrap();
    assert_eq!(
        (data.classes, data.samples.len()),
        (vec!["rain".to_owned(), "sun".to_owned()], 2)
    );
    assert_eq!(data.facts.variant, DIFFERENT);
}

#[test]
fn an_input_that_is_no_sound_is_refused() {
    let fake = Fake::new();
    let input = InputSpec::Image {
        side: 32,
        mean: [0.0; 3],
        std: [1.0; 3],
    };
    insta::assert_snapshot!(fake.cleaned(open(fake.0.path(), &[TINY], &OpenRequest { input, ..fake.request() }, &())), @"esc50 cannot give such an input: its clips are sound");
}

#[test]
fn known_manifests_are_well_formed() {
    for variant in VARIANTS {
        let Some(text) = variant.manifest else { continue };
        let manifest = crate::files::manifest::Manifest::parse(text);
        assert_eq!(manifest.text(), text);
        assert_eq!(text.lines().count(), variant.clips + 1);
        assert!(manifest.get(TABLE).is_some() && manifest.get("audio/1-100032-A-0.flac").is_some());
    }
}

#[test]
fn a_missing_clip_is_named_as_its_variant_names_it() {
    let [pinned, original, ..] = &VARIANTS;
    assert_eq!(
        variants::expected_file(pinned, "1-100032-A-0"),
        "audio/1-100032-A-0.flac"
    );
    assert_eq!(
        variants::expected_file(pinned, "1-100038-A-14"),
        "audio/1-100038-A-14.ogg"
    );
    assert_eq!(
        variants::expected_file(original, "1-100038-A-14"),
        "audio/1-100038-A-14.wav"
    );
}

#[test]
fn the_real_data_is_what_is_known_of_it() {
    let Some(folder) = outside_data(NAME) else { return };
    let cache = tempfile::tempdir().unwrap();
    let request = OpenRequest {
        data: Some(folder),
        input: Esc50.spec().input,
        cache: cache.path().to_owned(),
        threads: 0,
        limits: Limits::default(),
        ..Fake::new().request()
    };
    let data = Esc50.open(&request, &()).unwrap();
    assert_eq!(data.classes, Esc50.spec().classes);
    let mut histogram = BTreeMap::new();
    data.samples
        .iter()
        .for_each(|sample| *histogram.entry(&data.classes[sample.target.classes()[0]]).or_insert(0) += 1);
    insta::assert_json_snapshot!((&data.facts, histogram), {
        "[0].measured_mean" => insta::rounded_redaction(4),
        "[0].measured_std" => insta::rounded_redaction(4),
    });
}

#[test]
fn the_originals_agree_with_the_16_khz_clips() {
    let Some(folder) = outside_data(NAME) else { return };
    for entry in std::fs::read_dir(folder.join("original-wav")).unwrap() {
        let path = entry.unwrap().path();
        let original = decode(std::fs::read(&path).unwrap(), "wav").unwrap();
        assert_eq!((original.sample_rate, original.samples.len()), (44_100, 220_500));
        let ours = resample(original.samples, 44_100, 16_000);
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let flac = folder.join(format!("audio/{stem}.flac"));
        let ogg = folder.join(format!("audio/{stem}.ogg"));
        // their resampler passes less between 7 and 8 kHz, where a sneeze is loud; Vorbis loses
        // much more
        let (file, least) = if flac.exists() { (flac, 20.0) } else { (ogg, 5.0) };
        let theirs = decode(std::fs::read(&file).unwrap(), "").unwrap().samples;
        assert_eq!(ours.len(), theirs.len());
        let energy = |wave: &mut dyn Iterator<Item = f32>| wave.map(|x| f64::from(x * x)).sum::<f64>();
        let difference = energy(&mut ours.iter().zip(&theirs).map(|(a, b)| a - b));
        let decibels = 10.0 * (energy(&mut theirs.iter().copied()) / difference).log10();
        println!("{}: {decibels:.1} dB", file.display());
        assert!(
            decibels > least,
            "{}: signal to difference {decibels:.1} dB",
            file.display()
        );
    }
}

//! AudioSet on small made-up folders, one fault at a time.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use std::path::PathBuf;

use bridle_seed::Seed;

use super::*;
use crate::fixtures::archives::{Column, Files, parquet_of, tar_of};
use crate::fixtures::{fuzz_inputs, mutated, wav_bytes};
use crate::sampling_weights;

const INDEX: &str =
    "index,mid,display_name\n0,/m/09x0r,\"Speech\"\n1,/m/05zppz,\"Male speech, man speaking\"\n2,/t/dd00088,\"Gush\"\n";
const TRAIN: &str = "# Segments csv created Sun Mar  5 10:54:31 2017\n\
    # num_ytids=3, num_segs=3, num_unique_labels=3, num_positive_labels=5\n\
    # YTID, start_seconds, end_seconds, positive_labels\n\
    --PJHxphWEs, 30.000, 40.000, \"/m/09x0r,/t/dd00088\"\n\
    Yabc_fghijk, 0.000, 10.000, \"/m/05zppz,/m/09x0r\"\n\
    gone-gone-g, 0.000, 10.000, \"/m/09x0r\"\n";
const TEST: &str = "# num_ytids=1, num_segs=1\n-0RWZT-miFs, 420.000, 430.000, \"/m/09x0r\"\n";

struct Fake(tempfile::TempDir);

impl Fake {
    fn new() -> Self {
        let fake = Self(tempfile::tempdir().unwrap());
        for (name, text) in [(CLASS_INDEX, INDEX), (BALANCED, TRAIN), (EVALUATION, TEST)] {
            std::fs::write(fake.path(name), text).unwrap();
        }
        fake.clip("balanced_train_segments/Y--PJHxphWEs.wav", 0.1);
        fake.clip("balanced_train_segments/part01/Yabc_fghijk_0_10000.wav", 0.2);
        fake.clip("eval_segments/-0RWZT-miFs.wav", 0.3);
        fake
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn clip(&self, name: &str, value: f32) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        let wave: Vec<f32> = (0..1_600).map(|n| value * (n as f32 * value).sin()).collect();
        std::fs::write(self.path(name), wav_bytes(16_000, 1, &wave)).unwrap();
    }

    fn open(&self) -> Result<Dataset, DataError> {
        let request = OpenRequest {
            data: Some(self.0.path().to_owned()),
            offline: true,
            input: InputSpec::Audio {
                frames: 8,
                mels: 16,
                sample_rate: 16_000,
                mean: -4.4,
                std: 3.3,
            },
            subset: None,
            allow_different: true,
            cache: self.path("cache"),
            threads: 1,
            limits: crate::Limits::default(),
        };
        open("audioset-20k", &[BALANCED], &request, &())
    }

    fn cleaned(&self, error: DataError) -> String {
        error.to_string().replace(&self.0.path().display().to_string(), "AS")
    }

    /// The message after one replacement in a file.
    fn error(file: &str, from: &str, to: &str) -> String {
        let fake = Self::new();
        let text = std::fs::read_to_string(fake.path(file)).unwrap();
        assert!(text.contains(from));
        std::fs::write(fake.path(file), text.replacen(from, to, 1)).unwrap();
        fake.cleaned(fake.open().map(|_| ()).unwrap_err())
    }
}

#[test]
fn lists_and_clips_come_together_and_what_is_missing_is_named() {
    let fake = Fake::new();
    let data = fake.open().unwrap();
    assert_eq!(data.classes, ["Speech", "Male speech, man speaking", "Gush"]);
    let samples: Vec<_> = data
        .samples
        .iter()
        .map(|sample| (sample.id.as_str(), sample.target.classes()))
        .collect();
    let expected: [(&str, &[usize]); 3] = [
        ("--PJHxphWEs", &[0, 2]),
        ("Yabc_fghijk", &[0, 1]),
        ("-0RWZT-miFs", &[0]),
    ];
    assert_eq!(samples, expected);
    assert_eq!((data.facts.counts["train"], data.facts.counts["test"]), (2, 1));
    assert_eq!(
        data.facts.missing,
        Missing {
            count: 1,
            first: vec!["gone-gone-g".to_owned()]
        }
    );
    assert!(data.facts.skipped.is_empty() && data.facts.variant == "different");
    assert_ne!(data.input(0).unwrap(), data.input(1).unwrap());
}

#[test]
fn lists_are_the_same_with_a_byte_order_mark() {
    let (plain, marked) = (Fake::new(), Fake::new());
    for name in [CLASS_INDEX, BALANCED, EVALUATION] {
        let text = std::fs::read_to_string(marked.path(name)).unwrap();
        std::fs::write(marked.path(name), format!("\u{feff}{}", text.replace('\n', "\r\n"))).unwrap();
    }
    let (plain, marked) = (plain.open().unwrap(), marked.open().unwrap());
    assert_eq!((&plain.samples, &plain.classes), (&marked.samples, &marked.classes));
}

#[test]
fn mp3_is_taken_where_there_is_nothing_else() {
    let fake = Fake::new();
    let plain = fake.open().unwrap();
    let mp3 = include_bytes!("../media/tone.mp3");
    for name in ["a.mp3", "--PJHxphWEs.mp3", "gone-gone-g.mp3"] {
        std::fs::write(fake.path(&format!("balanced_train_segments/{name}")), mp3).unwrap();
    }
    let data = fake.open().unwrap();
    assert_eq!((data.samples.len(), data.facts.missing.count), (4, 0));
    let of = |data: &Dataset, id: &str| {
        let number = data.samples.iter().position(|sample| sample.id == id).unwrap();
        data.input(number).unwrap().into_owned()
    };
    // that clip is there as wav too
    assert_eq!(of(&data, "--PJHxphWEs"), of(&plain, "--PJHxphWEs"));
    assert_ne!(of(&data, "gone-gone-g"), of(&data, "--PJHxphWEs"));

    std::fs::write(fake.path("balanced_train_segments/gone-gone-g.mp3"), b"ID3".repeat(100)).unwrap();
    let skipped = fake.open().unwrap().facts.skipped;
    let skipped: Vec<_> = skipped
        .iter()
        .map(|one| (one.id.as_str(), one.reason.as_str()))
        .collect();
    assert_eq!(skipped, [("gone-gone-g", "it is not a wav, flac, ogg or mp3 file")]);
}

#[test]
fn clips_in_shards_and_tables_are_those_of_the_folder() {
    let fake = Fake::new();
    let plain = fake.open().unwrap();
    let moved = |name: &str| {
        let path = fake.path(name);
        let content = std::fs::read(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        content
    };
    let first = moved("balanced_train_segments/Y--PJHxphWEs.wav");
    let second = moved("balanced_train_segments/part01/Yabc_fghijk_0_10000.wav");
    let test = moved("eval_segments/-0RWZT-miFs.wav");
    let shard: Files = vec![
        ("--PJHxphWEs.json".to_owned(), b"{}".to_vec()),
        ("--PJHxphWEs.wav".to_owned(), first),
        ("part/Yabc_fghijk.wav".to_owned(), second),
    ];
    let same = |data: &Dataset| {
        assert_eq!(
            (&data.samples, &data.facts.missing),
            (&plain.samples, &plain.facts.missing)
        );
        (0..3).for_each(|index| assert_eq!(data.input(index).unwrap(), plain.input(index).unwrap()));
    };
    std::fs::create_dir_all(fake.path("shards")).unwrap();
    std::fs::write(fake.path("shards/000.tar"), tar_of(&shard)).unwrap();
    // names that say nothing: the column does
    let named: Files = vec![("clip".to_owned(), test.clone())];
    let columns = [
        Column::Texts("video_id", vec!["-0RWZT-miFs".to_owned()]),
        Column::Files("audio", named),
    ];
    std::fs::write(fake.path("eval.parquet"), parquet_of(&columns, 1)).unwrap();
    same(&fake.open().unwrap());
    let paths: Files = vec![("-0RWZT-miFs.wav".to_owned(), test)];
    std::fs::write(
        fake.path("eval.parquet"),
        parquet_of(&[Column::Files("audio", paths)], 1),
    )
    .unwrap();
    same(&fake.open().unwrap());
    std::fs::write(fake.path("eval.parquet"), "cut").unwrap();
    let told = fake.cleaned(fake.open().map(|_| ()).unwrap_err());
    assert!(
        told.starts_with("AS/eval.parquet: it is no whole parquet file"),
        "{told}"
    );
}

#[test]
fn weights_are_the_sums_over_classes_of_what_is_rare() {
    let data = Fake::new().open().unwrap();
    let weights = sampling_weights(&data, &data.split(None).0);
    let expected = [1000.0 / 2.01 + 1000.0 / 1.01; 2];
    assert!(
        weights
            .iter()
            .zip(expected)
            .all(|(found, expected)| (found - expected).abs() < 1e-9),
        "{weights:?}"
    );
    assert_eq!(sampling_weights(&data, &[2]), [1000.0 / 1.01]);
}

#[test]
fn lists_that_are_not_the_published_ones_say_why() {
    let fake = Fake::new();
    let refuse = || {
        let refused = listing("audioset-20k", fake.0.path(), &[BALANCED], false);
        fake.cleaned(refused.map(|_| ()).unwrap_err())
    };
    insta::assert_snapshot!(refuse(), @"AS is no known variant of the audioset-20k data: class_labels_indices.csv has 3 classes, not 527");
    let more: String = (3..527)
        .map(|class| format!("{class},/x/{class},name {class}\n"))
        .collect();
    std::fs::write(fake.path(CLASS_INDEX), format!("{INDEX}{more}")).unwrap();
    insta::assert_snapshot!(refuse(), @"AS is no known variant of the audioset-20k data: balanced_train_segments.csv has 3 segments, not 22160");
    let id = |number: usize| format!("{number:011}, 0.0, 10.0, \"/m/09x0r\"\n");
    let list = |from: usize, count: usize| (from..from + count).map(id).collect::<String>();
    std::fs::write(fake.path(BALANCED), list(0, 22_159) + TRAIN.lines().nth(3).unwrap()).unwrap();
    std::fs::write(
        fake.path(EVALUATION),
        list(30_000, 20_370) + TEST.lines().nth(1).unwrap(),
    )
    .unwrap();
    let (known, _) = listing("audioset-20k", fake.0.path(), &[BALANCED], false).unwrap();
    assert_eq!((known.variant, known.entries.len()), (Some(VARIANT), 2));
    assert_eq!(
        (known.missing.count, known.missing.first.len()),
        (22_159 + 20_370, NAMED)
    );
    std::fs::write(fake.path(UNBALANCED), format!("# num_segs=2\n{}", list(60_000, 1))).unwrap();
    let all = listing("audioset", fake.0.path(), &[BALANCED, UNBALANCED], false)
        .map(|_| ())
        .unwrap_err();
    insta::assert_snapshot!(fake.cleaned(all), @"AS is no known variant of the audioset data: unbalanced_train_segments.csv has 1 segments, not 2");
}

#[test]
fn a_bad_line_is_named() {
    let with = |from: &str, to: &str| Fake::error(BALANCED, from, to);
    insta::assert_snapshot!(with("--PJHxphWEs, ", "--PJHxphWE, "), @"AS/balanced_train_segments.csv, line 4: '--PJHxphWE' is not a YouTube id of 11 characters");
    insta::assert_snapshot!(with("30.000, 40.000", "40.000, 30.000"), @"AS/balanced_train_segments.csv, line 4: '40.000' to '30.000' is no stretch of time in seconds");
    insta::assert_snapshot!(with("/t/dd00088\"", "/t/dd00088"), @r#"AS/balanced_train_segments.csv, line 4: the quotes of "/m/09x0r,/t/dd00088 do not close"#);
    insta::assert_snapshot!(with("/t/dd00088", "/t/dd"), @"AS/balanced_train_segments.csv, line 4: the label '/t/dd' is not in the index of classes");
    insta::assert_snapshot!(with(", \"/m/09x0r,/t/dd00088\"", ""), @"AS/balanced_train_segments.csv, line 4: it is not an id, a start, an end and labels with commas between");
    insta::assert_snapshot!(with("gone-gone-g", "-0RWZT-miFs"), @"AS/eval_segments.csv, line 2: the clip '-0RWZT-miFs' is listed a second time");
    let index = |from: &str, to: &str| Fake::error(CLASS_INDEX, from, to);
    insta::assert_snapshot!(index("1,/m/05zppz", "2,/m/05zppz"), @"AS/class_labels_indices.csv, line 3: the index '2' is not 1");
    insta::assert_snapshot!(index("/m/05zppz", "/m/09x0r"), @"AS/class_labels_indices.csv, line 3: the class '/m/09x0r' is listed a second time");
    insta::assert_snapshot!(Fake::error(EVALUATION, "-0RWZT-miFs", "-0RWZT-miFt"), @"AS is not the audioset-20k data: it has no clip of eval_segments.csv");
}

#[test]
fn fuzzed_lists_are_lists_or_errors_that_name_the_file() {
    let fake = Fake::new();
    let index = Index::read(&fake.path(CLASS_INDEX)).unwrap();
    let (mut refused, root) = (0, Seed::root(12));
    let inputs = fuzz_inputs(1_000);
    for number in 0..inputs {
        let stream = &mut root.indexed(number).stream();
        let (name, text) = if number % 2 == 0 {
            (BALANCED, TRAIN)
        } else {
            (CLASS_INDEX, INDEX)
        };
        let path = fake.path("damaged.csv");
        std::fs::write(&path, mutated(text.as_bytes(), stream)).unwrap();
        let outcome = match name {
            BALANCED => segments::read(&path, &index).map(|_| ()),
            _ => Index::read(&path).map(|_| ()),
        };
        if let Err(error) = outcome {
            assert!(error.to_string().contains("damaged.csv"), "{error}");
            refused += 1;
        }
    }
    assert!((inputs / 5..inputs).contains(&refused), "{refused} refused");
}

#[test]
fn archives_of_something_else_are_left_alone_and_a_shard_must_be_whole() {
    let fake = Fake::new();
    let whole = fake.open().unwrap();
    let linked = |name: &str| {
        let mut builder = ::tar::Builder::new(Vec::new());
        let mut header = ::tar::Header::new_gnu();
        header.set_entry_type(::tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, name, "v1").unwrap();
        builder.into_inner().unwrap()
    };
    std::fs::write(fake.path("code.tar"), linked("tool/latest")).unwrap();
    let numbers = parquet_of(&[Column::Numbers("energy", vec![1, 2, 3])], 3);
    std::fs::write(fake.path("features.parquet"), numbers).unwrap();
    let data = fake.open().unwrap();
    assert_eq!(data.samples, whole.samples);
    assert_eq!(data.facts.manifest_sha256, whole.facts.manifest_sha256);
    let error = || fake.cleaned(fake.open().map(|_| ()).unwrap_err());
    std::fs::write(fake.path("shard.tar"), linked("clips/gone-gone-g.wav")).unwrap();
    let skipped = fake.open().unwrap().facts.skipped;
    insta::assert_debug_snapshot!(skipped.iter().map(|sample| &sample.reason).collect::<Vec<_>>(), @r#"
    [
        "it is a link, which is not followed in an archive",
    ]
    "#);
    let shard = tar_of(&vec![("gone-gone-g.wav".to_owned(), vec![0; 4_000])]);
    std::fs::write(fake.path("shard.tar"), &shard[..2_000]).unwrap();
    let error = error();
    assert!(error.starts_with("AS/shard.tar"), "{error}");
}

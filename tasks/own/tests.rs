//! Task files over made-up and real data, one fault at a time.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod packed;

use std::collections::BTreeMap;

use bridle_seed::Seed;

use super::*;
use crate::fixtures::{fuzz_inputs, mutated, outside_data, wav_bytes};
use crate::{Census, Limits, MainMetric, Modality, Views};

/// A folder with these files; those named .wav hold a tone.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (number, (name, content)) in files.iter().enumerate() {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let tone = || {
            (0..1_600)
                .map(|n| 0.3 * (0.05 * (number + 1) as f32 * n as f32).sin())
                .collect::<Vec<_>>()
        };
        let bytes = if name.ends_with(".wav") {
            wav_bytes(16_000, 1, &tone())
        } else {
            content.as_bytes().to_vec()
        };
        std::fs::write(path, bytes).unwrap();
    }
    folder
}

const SOUND: &str = "name = \"mine\"\nmodality = \"audio\"\n[input]\nframes = 8\nmels = 16\n";

fn error(task: &str, files: &[(&str, &str)]) -> String {
    let folder = folder(files);
    std::fs::write(folder.path().join("my.toml"), task).unwrap();
    let error = open_task_file(&folder.path().join("my.toml")).map(|_| ()).unwrap_err();
    error.to_string().replace(&folder.path().display().to_string(), "D")
}

fn open(path: &Path, cache: &Path, subset: Option<usize>) -> (TaskSpec, Dataset) {
    let task = open_task_file(path).unwrap();
    let (spec, cache) = (task.spec(), cache.to_owned());
    let input = spec.input.clone();
    let request = OpenRequest {
        data: None,
        offline: true,
        input,
        subset,
        allow_different: false,
        cache,
        threads: 0,
        limits: Limits::default(),
    };
    (spec, task.open(&request, &()).unwrap())
}

#[test]
fn a_folder_per_class_opens_with_measured_statistics_and_a_lasting_holdout() {
    let names: Vec<String> = (0..60)
        .map(|n| format!("data/{}/{n}.wav", ["hum", "buzz"][n % 2]))
        .collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let folder = folder(&files);
    let task = folder.path().join("my.toml");
    std::fs::write(&task, format!("folder = \"data\"\n{SOUND}")).unwrap();
    let (spec, data) = open(&task, &folder.path().join("cache"), None);
    assert_eq!(
        (spec.name, spec.modality, spec.metric, spec.folds),
        ("mine", Modality::Audio, MainMetric::Top1, None)
    );
    assert_eq!(
        (data.samples.len(), data.classes),
        (60, vec!["buzz".to_owned(), "hum".to_owned()])
    );
    let held: Vec<String> = data
        .samples
        .iter()
        .filter(|sample| sample.split == Split::Test)
        .map(|sample| sample.id.clone())
        .collect();
    assert!((4..=22).contains(&held.len()), "{held:?}");
    assert_eq!(
        data.facts.splitting.as_deref(),
        Some("0.2 held out by a hash of the sample's id")
    );
    // training samples alone are measured, and facts are over all
    let off = (data.facts.measured_mean - data.facts.constant_mean).abs() / data.facts.measured_std;
    assert!(off < 0.2 && data.facts.constant_std != 1.0, "{off}");
    std::fs::remove_file(folder.path().join(&names[0])).unwrap();
    let (_, fewer) = open(&task, &folder.path().join("cache"), None);
    for sample in &fewer.samples {
        assert_eq!(held.contains(&sample.id), sample.split == Split::Test, "{}", sample.id);
    }
    std::fs::write(&task, format!("folder = \"data\"\nfolds = 3\n{SOUND}")).unwrap();
    let (spec, folds) = open(&task, &folder.path().join("cache"), None);
    assert_eq!((spec.folds, folds.facts.counts.len()), (Some(3), 3));
}

#[test]
fn a_table_says_splits_folds_and_several_labels() {
    let wavs = [
        ("wav/a.wav", ""),
        ("wav/b.wav", ""),
        ("wav/c d.wav", ""),
        ("wav/e.wav", ""),
    ];
    let open_with = |table: &str| {
        let folder = folder(&wavs);
        std::fs::write(folder.path().join("my.csv"), table).unwrap();
        let task = folder.path().join("my.toml");
        std::fs::write(
            &task,
            format!("csv = \"my.csv\"\nroot = \"wav\"\n{SOUND}mean = -6\nstd = 4.5\n"),
        )
        .unwrap();
        let (spec, data) = open(&task, &folder.path().join("cache"), None);
        let samples: Vec<(String, Vec<usize>, Option<u8>, Split)> = data
            .samples
            .iter()
            .map(|sample| {
                (
                    sample.id.clone(),
                    sample.target.classes().to_vec(),
                    sample.fold,
                    sample.split,
                )
            })
            .collect();
        (spec, data.classes, samples, data.facts)
    };
    let (spec, classes, samples, facts) =
        open_with("label,path,split\n10,a.wav,train\n2,b.wav,train\n2,\"c d.wav\",test\n10,e.wav,test\n");
    assert_eq!(
        (classes, spec.input.constants()),
        (vec!["2".to_owned(), "10".to_owned()], (-6.0, 4.5))
    );
    assert_eq!(samples[2], ("c d.wav".to_owned(), vec![0], None, Split::Test));
    assert_eq!(
        (facts.counts["train"], facts.counts["test"], facts.splitting),
        (2, 2, None)
    );
    let (spec, classes, samples, other) =
        open_with("path,label,fold\na.wav,rain; wind,1\nb.wav,wind,2\nc d.wav,rain,1\ne.wav,wind;rain;wind,2\n");
    assert_eq!((spec.folds, spec.metric, classes.len()), (Some(2), MainMetric::Map, 2));
    assert_eq!(
        (&samples[0].1, &samples[3].1, samples[1].2),
        (&vec![0, 1], &vec![0, 1], Some(2))
    );
    assert_ne!(facts.manifest_sha256, other.manifest_sha256);
}

#[test]
fn a_fault_of_the_task_file_is_named_with_its_line_and_key() {
    let files = [
        ("data/a/1.wav", ""),
        ("data/b/1.wav", ""),
        ("t.csv", "path,label\nx.wav,a\n"),
    ];
    let task = |text: &str| error(text, &files);
    insta::assert_snapshot!(task("name = \"mine\"\nmodalty = \"audio\"\n"), @"D/my.toml, line 2: unknown field `modalty`, expected one of `name`, `modality`, `folder`, `csv`, `root`, `folds`, `holdout`, `metric`, `input`; did you mean `modality`?");
    insta::assert_snapshot!(task("name = \"mine\"\nmodality = \"audoi\"\n"), @"D/my.toml, line 2: `modality`: unknown variant `audoi`, expected one of `audio`, `image`, `video`; did you mean `audio`?");
    insta::assert_snapshot!(task("name = \"mine\"\nfolder = \"data\"\n"), @"D/my.toml, line 1: missing field `modality`");
    insta::assert_snapshot!(task("name = \"mine\"\nmodality = \"audio\n"), @r#"D/my.toml, line 2: `modality`: invalid basic string, expected `"`"#);
    insta::assert_snapshot!(task(SOUND), @"D/my.toml, line 1: `folder` or `csv` must say where the samples are");
    insta::assert_snapshot!(task(&format!("folder = \"dta\"\n{SOUND}")), @"D/my.toml, line 1: `folder`: D/dta is no folder, .zip or .tar");
    insta::assert_snapshot!(task(&format!("folder = \"data\"\nfolds = 1\n{SOUND}")), @"D/my.toml, line 2: `folds` must be from 2 to 100");
    insta::assert_snapshot!(task(&format!("folder = \"data\"\nholdout = 1.5\n{SOUND}")), @"D/my.toml, line 2: `holdout` must lie between 0 and 1");
    insta::assert_snapshot!(task(&format!("folder = \"data\"\n{SOUND}side = 3\n")), @"D/my.toml, line 7: `side` is no setting of modality `audio`");
    insta::assert_snapshot!(task(&format!("folder = \"data\"\n{SOUND}mean = \"atuo\"\n")), @r#"D/my.toml, line 7: `mean`: "atuo" is not "auto", a number or three numbers"#);
    insta::assert_snapshot!(task(&format!("folder = \"data\"\n{SOUND}std = 0\n")), @"D/my.toml, line 7: `std` is out of range");
    insta::assert_snapshot!(task(&format!("folder = \"data/a\"\n{SOUND}")), @"D/data/a: it has no two folders of one class each with files of the task's modality (folders of splits are called train, test and val)");
    insta::assert_snapshot!(task("name = \"esc50\"\nmodality = \"audio\"\nfolder = \"data\"\n"), @"D/my.toml, line 1: `name` is that of a built-in task");
    insta::assert_snapshot!(task("name = \"../x\"\nmodality = \"audio\"\nfolder = \"data\"\n"), @"D/my.toml, line 1: `name` must be of letters, digits, - and _, 64 at most");
}

#[test]
fn a_fault_of_the_table_is_named_with_its_line() {
    let table = |text: &str| error(&format!("csv = \"t.csv\"\n{SOUND}"), &[("t.csv", text), ("a.wav", "")]);
    insta::assert_snapshot!(table("file,label\na.wav,x\n"), @"D/t.csv, line 1: there is no column 'path' among 'file, label'");
    insta::assert_snapshot!(table("path,label\na.wav,x\n"), @"D/t.csv, line 1: it has 1 class, and a task needs two");
    insta::assert_snapshot!(table("path,label\na.wav,x\na.wav,y\n"), @"D/t.csv, line 3: 'a.wav' is listed a second time");
    insta::assert_snapshot!(table("path,label\na.wav,x\nb.wav\n"), @"D/t.csv, line 3: 1 fields, not 2");
    insta::assert_snapshot!(table("path,label\na.wav,x\nb.wav,;\n"), @"D/t.csv, line 3: the label is empty");
    insta::assert_snapshot!(table("path,label\na.wav,x\n../b.wav,y\n"), @"D/t.csv, line 3: '../b.wav' leads out of D");
    insta::assert_snapshot!(table("path,label,split\na.wav,x,train\nb.wav,y,tset\n"), @"D/t.csv, line 3: the split 'tset' is not train or test (or val)");
    insta::assert_snapshot!(table("path,label,split\na.wav,x,train\nb.wav,y,train\n"), @"D/t.csv, line 1: the column 'split' must have both train and test");
    insta::assert_snapshot!(table("path,label,fold\na.wav,x,1\nb.wav,y,3\n"), @"D/t.csv, line 1: the column 'fold' must number two or more folds from 1 without gaps");
    let split = error(
        &format!("csv = \"t.csv\"\nholdout = 0.1\n{SOUND}"),
        &[("t.csv", "path,label,split\na.wav,x,train\nb.wav,y,test\n")],
    );
    let metric = error(
        &format!("csv = \"t.csv\"\nmetric = \"top1\"\n{SOUND}"),
        &[("t.csv", "path,label\na.wav,x\nb.wav,x;y\n")],
    );
    insta::assert_snapshot!(metric, @"D/my.toml, line 2: `metric`: `top1` is for samples of one class, and some have several");
    insta::assert_snapshot!(split, @"D/my.toml, line 2: `holdout` divides data that says nothing of splits, and this data does");
}

/// The ids of the training and of the test samples, and how they were divided.
fn divided(task: &str, files: &[&str]) -> (Vec<String>, Vec<String>, Option<String>) {
    let files: Vec<(&str, &str)> = files.iter().map(|name| (*name, "")).collect();
    let folder = folder(&files);
    let path = folder.path().join("my.toml");
    std::fs::write(&path, format!("{task}\n{SOUND}mean = -6\nstd = 4.5\n")).unwrap();
    if let Some((_, table)) = task.split_once("# table\n") {
        std::fs::write(folder.path().join("t.csv"), table.replace("# ", "")).unwrap();
    }
    let (_, data) = open(&path, &folder.path().join("cache"), None);
    let (train, test) = data.split(None);
    let ids = |indices: Vec<usize>| indices.iter().map(|&index| data.samples[index].id.clone()).collect();
    (ids(train), ids(test), data.facts.splitting.clone())
}

#[test]
fn validation_is_judged_only_where_nothing_is_for_testing() {
    let with = |part: &str| vec![format!("data/{part}/a/1.wav"), format!("data/{part}/b/1.wav")];
    let parts = |parts: &[&str]| {
        let files: Vec<String> = parts.iter().flat_map(|part| with(part)).collect();
        divided(
            "folder = \"data\"",
            &files.iter().map(String::as_str).collect::<Vec<_>>(),
        )
    };
    for name in ["val", "valid", "validation", "dev"] {
        let (train, test, note) = parts(&["train", name, "test"]);
        assert_eq!(
            (train.len(), test),
            (2, vec!["test/a/1.wav".to_owned(), "test/b/1.wav".to_owned()])
        );
        assert_eq!(
            note.as_deref(),
            Some("judged on test; 2 validation samples are not used")
        );
        let (train, test, note) = parts(&["train", name]);
        assert_eq!(
            (train.len(), test[0].as_str(), test.len()),
            (2, &*format!("{name}/a/1.wav"), 2)
        );
        assert_eq!(note, None);
    }
    let (_, _, note) = parts(&["train", "test", "more"]);
    assert_eq!(note.as_deref(), Some("the folder more is not read"));
    // contests hand out tests without classes
    let (_, test, note) = divided(
        "folder = \"data\"",
        &[
            "data/train/a/1.wav",
            "data/train/b/1.wav",
            "data/val/a/1.wav",
            "data/test/1.wav",
        ],
    );
    assert_eq!(test, ["val/a/1.wav"]);
    assert_eq!(
        note.as_deref(),
        Some("judged on validation, as test has no folder of a class")
    );
    let both = ["data/train/a/1.wav", "data/val/a/1.wav", "data/valid/b/1.wav"].map(|name| (name, ""));
    insta::assert_snapshot!(error(&format!("folder = \"data\"\n{SOUND}"), &both), @"D/data: the folders val and valid are all for validation; one can be");
    let table = "csv = \"t.csv\"\n# table\n# path,label,split\n# 1.wav,a,train\n# 2.wav,b,train\n# 3.wav,a,val\n# 4.wav,b,test\n";
    let (train, test, note) = divided(table, &["1.wav", "2.wav", "3.wav", "4.wav"]);
    assert_eq!((train.len(), test), (2, vec!["4.wav".to_owned()]));
    assert_eq!(
        note.as_deref(),
        Some("judged on test; 1 validation samples are not used")
    );
}

#[test]
#[cfg(unix)]
fn one_file_that_cannot_be_read_is_left_out_and_named() {
    use std::os::unix::ffi::OsStrExt;
    let reason = |spoil: &dyn Fn(&Path)| {
        let names: Vec<String> = (0..12).map(|n| format!("data/{}/{n}.wav", ["a", "b"][n % 2])).collect();
        let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
        let folder = folder(&files);
        spoil(&folder.path().join("data/a"));
        let task = folder.path().join("my.toml");
        std::fs::write(&task, format!("folder = \"data\"\nholdout = 0.4\n{SOUND}")).unwrap();
        let (_, data) = open(&task, &folder.path().join("cache"), None);
        assert_eq!((data.samples.len(), data.facts.skipped.len()), (12, 1));
        data.facts.skipped[0].reason.clone()
    };
    let link = |folder: &Path| std::os::unix::fs::symlink("/no/such/object", folder.join("z.wav")).unwrap();
    insta::assert_snapshot!(reason(&link), @"its link leads nowhere");
    let name = |folder: &Path| std::fs::write(folder.join(std::ffi::OsStr::from_bytes(b"z\xe9.wav")), "").unwrap();
    insta::assert_snapshot!(reason(&name), @"its name is not UTF-8");
    let pipe = |folder: &Path| {
        let made = std::process::Command::new("mkfifo")
            .arg(folder.join("z.wav"))
            .status()
            .unwrap();
        assert!(made.success());
    };
    insta::assert_snapshot!(reason(&pipe), @"it cannot be read: it is not a plain file");
    // a class must not go unseen
    let folder = folder(&[("data/a/1.wav", ""), ("data/b/1.wav", "")]);
    std::os::unix::fs::symlink("/no/such/class", folder.path().join("data/c")).unwrap();
    std::fs::write(folder.path().join("my.toml"), format!("folder = \"data\"\n{SOUND}")).unwrap();
    let error = open_task_file(&folder.path().join("my.toml"))
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(error.ends_with("data/c: its link leads nowhere"), "{error}");
}

#[test]
fn a_table_with_absolute_paths_is_that_with_relative_ones() {
    let folder = folder(&[("x/a.wav", ""), ("x/b.wav", "")]);
    let write = |before: &str| {
        let table = format!("path,label,split\n{before}x/a.wav,a,train\n{before}x/b.wav,b,test\n");
        std::fs::write(folder.path().join("t.csv"), table).unwrap();
        let task = folder.path().join("x/../my.toml");
        std::fs::write(&task, format!("csv = \"t.csv\"\n{SOUND}mean = -6\nstd = 4\n")).unwrap();
        open(&task, &folder.path().join("cache"), None).1.samples
    };
    assert_eq!(write(""), write(&format!("{}/", folder.path().display())));
}

#[test]
fn fuzzed_task_files_and_tables_are_read_or_errors_that_name_the_file() {
    let folder = folder(&[("data/a/1.wav", ""), ("data/b/1.wav", "")]);
    let whole = format!("folder = \"data\"\nholdout = 0.5\nmetric = \"top1\"\n{SOUND}mean = -6.5\nstd = 4\n");
    let table = "path,label,split\na.wav,x,train\n\"b, c.wav\",y;z,test\nd.wav,x,train\n";
    let (task, csv, root) = (
        folder.path().join("my.toml"),
        folder.path().join("t.csv"),
        Seed::root(13),
    );
    let mut refused = [0, 0];
    let inputs = fuzz_inputs(1_000);
    for number in 0..2 * inputs {
        let stream = &mut root.indexed(number).stream();
        let (kind, name, outcome) = if number % 2 == 0 {
            std::fs::write(&task, mutated(whole.as_bytes(), stream)).unwrap();
            (0, "my.toml", file::read(&task).map(|_| ()))
        } else {
            std::fs::write(&csv, mutated(table.as_bytes(), stream)).unwrap();
            (1, "t.csv", table::read(&csv, folder.path()).map(|_| ()))
        };
        if let Err(error) = outcome {
            assert!(error.to_string().contains(name), "{error}");
            refused[kind] += 1;
        }
    }
    assert!(
        refused.iter().all(|count| (inputs / 5..inputs).contains(count)),
        "{refused:?} refused"
    );
}

#[test]
fn digits_work_through_a_table_of_their_names() {
    let Some(data) = outside_data("fsdd") else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut table = "path,label,split\n".to_owned();
    let mut names: Vec<String> = std::fs::read_dir(data.join("recordings"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".wav"))
        .collect();
    names.sort();
    for name in &names {
        let [digit, _, number] = name
            .trim_end_matches(".wav")
            .split('_')
            .collect::<Vec<_>>()
            .try_into()
            .unwrap();
        let split = if number.parse::<u32>().unwrap() < 5 {
            "test"
        } else {
            "train"
        };
        table.push_str(&format!("{name},{digit},{split}\n"));
    }
    std::fs::write(folder.path().join("digits.csv"), table).unwrap();
    let task = folder.path().join("digits.toml");
    let text = format!(
        "name = \"digits-mine\"\nmodality = \"audio\"\ncsv = \"digits.csv\"\nroot = {:?}\n[input]\nframes = 64\nmels = 32\n",
        data.join("recordings")
    );
    std::fs::write(&task, text).unwrap();
    let (spec, data) = open(&task, &folder.path().join("cache"), Some(3));
    assert_eq!(spec.classes, (0..10).map(|digit| digit.to_string()).collect::<Vec<_>>());
    assert_eq!(
        (names.len(), data.facts.counts["train"], data.facts.counts["test"]),
        (3_000, 30, 30)
    );
    let report = Census::measure(&data, &spec.input).unwrap();
    insta::assert_json_snapshot!(report, {
        ".input.mean" => insta::rounded_redaction(3),
        ".input.std" => insta::rounded_redaction(3),
        ".measured.mean" => insta::rounded_redaction(2),
        ".measured.std" => insta::rounded_redaction(2),
    });
    let (mean, std) = spec.input.constants();
    assert!(
        (data.facts.measured_mean - mean).abs() < std && mean != 0.0 && std != 1.0,
        "{mean} {std}"
    );
}

#[test]
fn pictures_in_folders_are_listed_by_split_and_class() {
    let Some(data) = outside_data("cifar10-folder") else {
        return;
    };
    let found = from_folder(&data, Kind::Image).unwrap();
    let mut histogram: BTreeMap<(Split, &str), usize> = BTreeMap::new();
    for Entry { sample, .. } in &found.entries {
        *histogram
            .entry((sample.split, found.classes[sample.target.classes()[0]].as_str()))
            .or_default() += 1;
    }
    assert!(found.split && found.classes.len() == 10 && histogram.len() == 20);
    assert!(
        histogram
            .iter()
            .all(|((split, _), &count)| count == if *split == Split::Train { 500 } else { 100 })
    );
    assert_eq!(found.entries[0].sample.id, "train/airplane/0000.jpg");
}

#[test]
fn pictures_open_with_measured_statistics_and_views_that_are_mirrored_only_if_they_may_be() {
    let Some(data) = outside_data("cifar10-folder") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let task = folder.path().join("cifar.toml");
    let with = |settings: &str| {
        let text =
            format!("name = \"cifar-mine\"\nmodality = \"image\"\nfolder = {data:?}\n[input]\nside = 32\n{settings}");
        std::fs::write(&task, text).unwrap();
        open(&task, &folder.path().join("cache"), Some(3))
    };
    let (spec, mirrored) = with("");
    let report = Census::measure(&mirrored, &spec.input).unwrap();
    insta::assert_json_snapshot!(report, {
        ".input.mean[]" => insta::rounded_redaction(4),
        ".input.std[]" => insta::rounded_redaction(4),
        ".measured.mean" => insta::rounded_redaction(3),
        ".measured.std" => insta::rounded_redaction(3),
    });
    let (_, upright) = with("mirror = false\n");
    assert_eq!(mirrored.input(0).unwrap(), upright.input(0).unwrap());
    let flipped = |view: &[f32]| {
        view.chunks_exact(32)
            .flat_map(|row| row.iter().rev().copied())
            .collect::<Vec<_>>()
    };
    let mut turned = 0;
    for seed in 0..40 {
        let seed = Seed::root(seed);
        let view = |data: &Dataset| data.view(0, Views::Pretraining, &seed).unwrap().into_owned();
        let (one, other) = (view(&mirrored), view(&upright));
        turned += u32::from(one != other);
        assert!(one == other || flipped(&one) == other);
    }
    // 20 expected, standard deviation 3
    assert!((8..=32).contains(&turned), "{turned} of 40 were mirrored");
}

#[test]
fn samples_of_one_source_stay_on_one_side_and_are_named_where_the_user_parts_them() {
    let names: Vec<String> = (0..24).map(|n| format!("{n}.wav")).collect();
    let files: Vec<&str> = names.iter().map(String::as_str).collect();
    let row = |n: usize, more: &str| format!("# {n}.wav,{},bird {}{more}\n", ["x", "y"][n % 2], n / 4);
    let rows: String = (0..24).map(|n| row(n, "")).collect();
    let (train, test, note) = divided(
        &format!("csv = \"t.csv\"\nholdout = 0.4\n# table\n# path,label,source\n{rows}"),
        &files,
    );
    let sources = |ids: &[String]| -> BTreeSet<usize> {
        let number = |id: &String| id.trim_end_matches(".wav").parse::<usize>().unwrap() / 4;
        ids.iter().map(number).collect()
    };
    assert!(
        !test.is_empty() && sources(&train).is_disjoint(&sources(&test)),
        "{test:?}"
    );
    assert_eq!(note.as_deref(), Some("0.4 held out by a hash of the sample's source"));
    let parted: String = (0..24)
        .map(|n| row(n, if n % 3 == 0 { ",test" } else { ",train" }))
        .collect();
    let (_, _, note) = divided(
        &format!("csv = \"t.csv\"\n# table\n# path,label,source,split\n{parted}"),
        &files,
    );
    assert_eq!(
        note.as_deref(),
        Some("6 sources have samples to train on and to judge: scores may be too good")
    );
}

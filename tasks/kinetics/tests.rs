//! Lists and folders of videos, one fault at a time, and the small real set where it is at hand.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use std::collections::BTreeMap;
use std::path::PathBuf;

use bridle_seed::Seed;

use super::*;
use crate::data::listing::Entry;
use crate::fixtures::outside_data;
use crate::{Limits, Split, Views};

/// A folder with these files; those named .mp4 are empty.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    folder
}

fn found(files: &[(&str, &str)]) -> Result<Vec<(String, usize, Split, bool)>, String> {
    let folder = folder(files);
    let (listing, _) =
        listing(folder.path()).map_err(|error| error.to_string().replace(&folder.path().display().to_string(), "K"))?;
    let entry =
        |Entry { sample, file }: Entry<Sample>| (sample.id, sample.target.classes()[0], sample.split, file.is_some());
    Ok(listing.entries.into_iter().map(entry).collect())
}

#[test]
fn every_way_to_write_a_line_is_the_same_list() {
    let expected = vec![
        ("train/a b/x, y.mp4".to_owned(), 1, Split::Train, true),
        ("train/z.MKV".to_owned(), 0, Split::Train, false),
        ("val/v.webm".to_owned(), 1, Split::Test, false),
    ];
    let video = ("train/a b/x, y.mp4", "");
    for (train, val) in [
        ("train/a b/x, y.mp4 1\ntrain/z.MKV 0\n", "val/v.webm 1"),
        ("train/a b/x, y.mp4,1\r\ntrain/z.MKV,0\r\n", "val/v.webm,1\r\n"),
        ("\"train/a b/x, y.mp4\", 1\n\n./train/z.MKV, 0", "val/v.webm\t1"),
        (
            "path,label\ntrain/a b/x, y.mp4,1\ntrain/z.MKV,0",
            "path label\nval/v.webm 1",
        ),
        (
            "train/a b/x, y.mp4,b: on a bike\ntrain/z.MKV,a, b",
            "val/v.webm b: on a bike",
        ),
    ] {
        assert_eq!(
            found(&[("train.csv", train), ("val.csv", val), video]).unwrap(),
            expected,
            "{train}"
        );
    }
}

#[test]
fn folders_are_classes() {
    let files = [
        "train/b/2.mp4",
        "train/b/1.avi",
        "train/a/1.webm",
        "val/b/1.mkv",
        "train/b/notes.txt",
        "train/a/.1.mp4",
    ];
    let entries = found(&files.map(|name| (name, ""))).unwrap();
    let ids: Vec<(&str, usize)> = entries.iter().map(|(id, class, ..)| (id.as_str(), *class)).collect();
    assert_eq!(
        ids,
        [
            ("train/a/1.webm", 0),
            ("train/b/1.avi", 1),
            ("train/b/2.mp4", 1),
            ("val/b/1.mkv", 1)
        ]
    );
    assert_eq!(entries.iter().filter(|entry| entry.2 == Split::Test).count(), 1);
}

#[test]
fn a_bad_list_or_folder_is_named() {
    let lists = |train: &str, labels: Option<&str>| {
        let mut files = vec![("train.csv", train), ("val.csv", "v.mp4 0")];
        files.extend(labels.map(|labels| ("labels.csv", labels)));
        found(&files).unwrap_err()
    };
    insta::assert_snapshot!(found(&[]).unwrap_err(), @"K is not the kinetics data: it has no train.csv and val.csv, nor the folders train and val");
    insta::assert_snapshot!(lists("", None), @"K/train.csv, line 1: it lists nothing");
    insta::assert_snapshot!(lists("a.mp4 0\nb.mp4", None), @"K/train.csv, line 2: it is not a path and a label with a space or comma between");
    insta::assert_snapshot!(lists("a.mp4 0\na.mp4 1", None), @"K/train.csv, line 2: 'a.mp4' is listed a second time");
    insta::assert_snapshot!(lists("a.mp4 0\nb.mp4 2", None), @"K/train.csv, line 1: classes must be numbered from 0 without gaps, and 1 is not there");
    insta::assert_snapshot!(lists("../a.mp4 0", None), @"K/train.csv, line 1: '../a.mp4' does not lie in the data folder; link it there, and list the link");
    insta::assert_snapshot!(lists("/else/a.mp4 0", None), @"K/train.csv, line 1: '/else/a.mp4' does not lie in the data folder; link it there, and list the link");
    insta::assert_snapshot!(lists("a.mp4 1", Some("0,zero")), @"K/train.csv, line 1: there is no class 1 in labels.csv");
    insta::assert_snapshot!(lists("a.mp4 0", Some("label_index,label\n0,zero\nzero")), @"K/labels.csv, line 3: it is not a class number and a name with a comma between");
    insta::assert_snapshot!(lists("a.mp4 0", Some("0,zero\n0,null")), @"K/labels.csv, line 2: the class 0 is named a second time");
    insta::assert_snapshot!(lists("label,youtube_id,time_start,time_end,split\n", None), @"K/train.csv, line 1: this is the list of what YouTube has; needed are lines of path and label");
    insta::assert_snapshot!(found(&[("train/a/1.mp4", ""), ("val/b/1.mp4", "")]).unwrap_err(), @"K/val/b is not listed in the classes of K/train");
    insta::assert_snapshot!(found(&[("train/a/1.txt", ""), ("val/b.mp4", "")]).unwrap_err(), @"K is not the kinetics data: it has no video in its folder train");
}

#[test]
fn a_list_is_the_same_with_a_byte_order_mark_and_with_quotes() {
    let videos = [("a.mp4", ""), ("b.mp4", "")];
    let of = |train: &str, val: &str, labels: Option<&str>| {
        let mut files = vec![("train.csv", train), ("val.csv", val)];
        files.extend(labels.map(|labels| ("labels.csv", labels)));
        files.extend(videos);
        let folder = folder(&files);
        let (listing, classes) = listing(folder.path()).unwrap();
        let ids: Vec<String> = listing.entries.iter().map(|entry| entry.sample.id.clone()).collect();
        (ids, classes)
    };
    let (ids, classes) = of(
        "\u{feff}a.mp4 0\r\nb.mp4 1\r\n",
        "v.mp4 0",
        Some("\u{feff}0,alpha\r\n1,beta\r\n"),
    );
    assert_eq!(
        (ids.len(), ids[0].as_str(), classes),
        (3, "a.mp4", vec!["alpha".to_owned(), "beta".to_owned()])
    );
    let (_, classes) = of(
        "a.mp4 playing, \"drums\"\nb.mp4 \"riding a bike\"",
        "v.mp4 riding a bike",
        None,
    );
    assert_eq!(classes, ["playing, \"drums\"", "riding a bike"]);
    let labels = "0,\"playing \"\"drums\"\", loud\"\n1,5\" nails\n";
    let (_, classes) = of("a.mp4,0\nb.mp4,1", "v.mp4 0", Some(labels));
    assert_eq!(classes, ["playing \"drums\", loud", "5\" nails"]);
}

#[test]
fn more_than_a_path_and_a_label_is_refused() {
    let told = |line: &str| {
        let files = [("train.csv", &*format!("a.mp4 x\n{line}")), ("val.csv", "v.mp4 x")];
        found(&files).unwrap_err()
    };
    insta::assert_snapshot!(told("b.mp4 300 0"), @"K/train.csv, line 2: '300 0' is more than a label: a line is a path and a label, which is in quotes if a number is one of its words");
    for line in [
        "b.mp4,300,0",
        "b.mp4 0.0 10.0 riding a bike",
        "b.mp4,riding a bike,300",
        "b.mp4\triding a bike\tmore",
        "b.mp4 0 1 5",
        "b.mp4,\"riding a bike\",300",
        "b.mp4 \"riding a bike",
    ] {
        assert!(told(line).starts_with("K/train.csv, line 2: "), "{line}");
    }
    // in quotes, a number is a word like any other; and a first line that is no header is a line
    let quoted = [
        ("train.csv", "a.mp4 \"class 1\"\nb.mp4 \"2 fast\""),
        ("val.csv", "v.mp4 \"class 1\""),
    ];
    assert_eq!(found(&quoted).unwrap().len(), 3);
    let first = [("train.csv", "v/a.mp5 x\nb.mp4 x"), ("val.csv", "v.mp4 x")];
    assert_eq!(found(&first).unwrap().len(), 3);
}

fn request(data: PathBuf, cache: &Path) -> OpenRequest {
    OpenRequest {
        data: Some(data),
        offline: true,
        input: InputSpec::Video {
            frames: 4,
            side: 32,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
        },
        subset: Some(2),
        allow_different: true,
        cache: cache.to_owned(),
        threads: 0,
        limits: Limits::default(),
    }
}

#[test]
fn lists_are_different_data_until_that_is_allowed() {
    let folder = folder(&[("train.csv", "a.mp4 0\nb.mp4 1"), ("val.csv", "v.mp4 0")]);
    let request = OpenRequest {
        allow_different: false,
        ..request(folder.path().to_owned(), folder.path())
    };
    let error = Kinetics.open(&request, &()).map(|_| ()).unwrap_err().to_string();
    assert!(
        error.ends_with("none is pinned, as copies differ; this one lists 3 videos of 2 classes"),
        "{error}"
    );
}

#[test]
fn the_small_real_set_is_what_is_known_of_it() {
    let (Some(data), Some(programs)) = (outside_data("kinetics-mini"), crate::media::video::programs()) else {
        return;
    };
    let cache = tempfile::tempdir().unwrap();
    let (whole, classes) = listing(&data).unwrap();
    let mut histogram = BTreeMap::new();
    for entry in &whole.entries {
        let path = data.join(entry.file.as_ref().unwrap());
        let facts = programs.probe(&path).unwrap();
        let class = &classes[entry.sample.target.classes()[0]];
        let (clips, frames): &mut (usize, BTreeMap<u64, usize>) =
            histogram.entry((entry.sample.split, class)).or_default();
        *clips += 1;
        *frames.entry(facts.frames / 10 * 10).or_default() += 1;
    }
    let histogram: Vec<_> = histogram.into_iter().collect();
    let opened = Kinetics.open(&request(data, cache.path()), &()).unwrap();
    assert_eq!(opened.samples.len(), 24);
    insta::assert_json_snapshot!((&opened.facts, histogram), {
        "[0].measured_mean" => insta::rounded_redaction(3),
        "[0].measured_std" => insta::rounded_redaction(3),
    });
}

#[test]
fn a_clip_is_that_of_its_own_file_and_broken_ones_are_named() {
    let (Some(data), Some(_)) = (outside_data("kinetics-mini"), crate::media::video::programs()) else {
        return;
    };
    let copy = tempfile::tempdir().unwrap();
    let mut train = String::new();
    for number in 0..3 {
        let name = format!("fight_{number}.mp4");
        let original = std::fs::read_dir(data.join("train/fight"))
            .unwrap()
            .map(|entry| entry.unwrap().path());
        std::fs::copy(original.min().unwrap(), copy.path().join(&name)).unwrap();
        train.push_str(&format!("{name} 0\n"));
    }
    std::fs::write(copy.path().join("fight_1.mp4"), "no video").unwrap();
    std::fs::write(copy.path().join("train.csv"), train).unwrap();
    std::fs::write(copy.path().join("val.csv"), "fight_v.mp4 0").unwrap();
    let request = OpenRequest {
        subset: None,
        ..request(copy.path().to_owned(), &copy.path().join("cache"))
    };
    let error = Kinetics.open(&request, &()).map(|_| ()).unwrap_err().to_string();
    assert!(
        error.contains("2 of 4 samples") && error.contains("the first is fight_1.mp4: ffprobe says:"),
        "{error}"
    );
    std::fs::write(copy.path().join("val.csv"), "fight_2.mp4 0").unwrap();
    std::fs::write(copy.path().join("train.csv"), "fight_0.mp4 0\nfight_1.mp4 0").unwrap();
    let opened = Kinetics.open(&request, &()).unwrap();
    assert_eq!(
        (opened.samples.len(), opened.facts.skipped[0].id.as_str()),
        (2, "fight_1.mp4")
    );
    assert_eq!(opened.input(0).unwrap(), opened.input(1).unwrap());
    // five clips with three squares each; the middle of the middle clip is the input for judging
    let views = opened.test_views(0, 5).unwrap();
    assert_eq!(views.len(), 15);
    assert_eq!(views[7], opened.input(0).unwrap());
    assert_ne!(views[0], views[14]);
    assert_eq!(opened.test_views(0, 1).unwrap(), [opened.input(0).unwrap()]);
    let view = |sample, seed| {
        opened
            .view(sample, Views::Pretraining, &Seed::root(seed))
            .unwrap()
            .into_owned()
    };
    assert!(opened.augments());
    assert_eq!(view(0, 1), view(1, 1));
    assert_ne!(view(0, 1), view(0, 2));
    // nothing kept: the same facts, inputs and views, decoded when they are wanted
    let limits = Limits {
        rows: 0,
        videos: 0,
        ..Limits::default()
    };
    let streamed = Kinetics.open(&OpenRequest { limits, ..request }, &()).unwrap();
    assert!(streamed.streams() && !opened.streams());
    assert_eq!(streamed.facts, opened.facts);
    assert_eq!(streamed.input(1).unwrap(), opened.input(1).unwrap());
    for seed in 0..8 {
        let anew = streamed.view(0, Views::FineTuning, &Seed::root(seed)).unwrap();
        assert!(*anew == view(0, seed), "seed {seed}");
    }
}

#[test]
fn fuzzed_lists_are_lists_or_errors_that_name_the_file() {
    let folder = folder(&[("val.csv", "val/v.webm 1"), ("labels.csv", "0,a\n1,b\n")]);
    let train = "train/a b/x, y.mp4 1\ntrain/z.mkv 0\n\"train/q.avi\",1\n";
    let (mut refused, root) = (0, Seed::root(14));
    let inputs = crate::fixtures::fuzz_inputs(1_000);
    for number in 0..inputs {
        let damaged = crate::fixtures::mutated(train.as_bytes(), &mut root.indexed(number).stream());
        std::fs::write(folder.path().join("train.csv"), damaged).unwrap();
        if let Err(error) = listing(folder.path()) {
            assert!(error.to_string().contains("train.csv"), "{error}");
            refused += 1;
        }
    }
    assert!((inputs / 5..inputs).contains(&refused), "{refused} refused");
}

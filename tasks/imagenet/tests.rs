//! ImageNet's layout on small made-up folders, one fault at a time, and on real subsets where they
//! are at hand.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod packed;

use std::collections::BTreeMap;
use std::path::PathBuf;

use bridle_seed::Seed;

use super::*;
use crate::data::listing::DIFFERENT;
use crate::fixtures::outside_data;
use crate::media::image::tests::{pattern, png_bytes};
use crate::media::image::{Picture, Resizer, to_input};
use crate::{DataFacts, Limits, Views};

const MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const STD: [f64; 3] = [0.229, 0.224, 0.225];

/// Two classes with 110 pictures to train and 3 to judge each.
struct Fake(tempfile::TempDir);

impl Fake {
    fn new() -> Self {
        let fake = Self(tempfile::tempdir().unwrap());
        for (split, n) in [("train", 110), ("val", 3)] {
            for class in ["n01440764", "n01443537"] {
                std::fs::create_dir_all(fake.path(&format!("{split}/{class}"))).unwrap();
                (0..n)
                    .for_each(|at| std::fs::write(fake.file(split, class, at), png_bytes(&Self::picture(at))).unwrap());
            }
        }
        fake
    }

    fn picture(at: usize) -> Picture {
        pattern(20 + at % 7, 20 + at % 5)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, split: &str, class: &str, at: usize) -> PathBuf {
        self.path(&format!("{split}/{class}/{at:03}.JPEG"))
    }

    /// The one file of this kind in the cache.
    fn only(&self, extension: &str) -> PathBuf {
        let files = std::fs::read_dir(self.path(".cache/imagenet")).unwrap();
        let mut files = files
            .map(|file| file.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == extension));
        let only = files.next().unwrap();
        assert_eq!(files.next(), None);
        only
    }

    fn request(&self) -> OpenRequest {
        OpenRequest {
            data: None,
            offline: true,
            input: InputSpec::Image {
                side: 16,
                mean: MEAN,
                std: STD,
            },
            subset: None,
            allow_different: true,
            cache: self.path(".cache"),
            threads: 2,
            limits: Limits::default(),
        }
    }

    fn open(&self, request: OpenRequest) -> Result<Dataset, String> {
        let outcome = open(self.0.path(), &request, &());
        outcome.map_err(|error| error.to_string().replace(&self.0.path().display().to_string(), "SET"))
    }
}

#[test]
fn the_classes_are_a_thousand_wordnet_ids_in_order() {
    let classes = classes();
    assert_eq!(classes.len(), 1_000);
    assert!(classes.is_sorted());
    let is_id = |class: &String| class.len() == 9 && class.starts_with('n') && class[1..].parse::<u32>().is_ok();
    assert!(classes.iter().all(is_id));
}

#[test]
fn different_data_opens_with_its_classes_splits_and_centres() {
    let fake = Fake::new();
    let data = fake.open(fake.request()).unwrap();
    assert_eq!((data.facts.variant.as_str(), data.samples.len()), (DIFFERENT, 226));
    assert_eq!(
        data.facts.counts,
        BTreeMap::from([("test".to_owned(), 6), ("train".to_owned(), 220)])
    );
    assert_eq!(data.classes, ["n01440764", "n01443537"]);
    let (train, test) = data.split(None);
    assert_eq!((train.len(), test.len()), (220, 6));
    let sample = &data.samples[224];
    assert_eq!(
        (sample.id.as_str(), sample.target.classes()),
        ("val/n01443537/001.JPEG", [1].as_slice())
    );
    let centre = Resizer::default().centre(&Fake::picture(1), 16);
    assert_eq!(data.input(224).unwrap(), to_input(&centre, MEAN, STD));
    // read back from the cache
    assert_eq!(fake.open(fake.request()).unwrap().facts, data.facts);
}

#[test]
fn a_subset_takes_the_first_of_each_class_in_each_split() {
    let fake = Fake::new();
    let data = fake
        .open(OpenRequest {
            subset: Some(2),
            ..fake.request()
        })
        .unwrap();
    let ids: Vec<&str> = data.samples.iter().map(|sample| sample.id.as_str()).collect();
    assert_eq!(
        ids[..3],
        [
            "train/n01440764/000.JPEG",
            "train/n01440764/001.JPEG",
            "train/n01443537/000.JPEG"
        ]
    );
    assert_eq!(
        data.facts.counts,
        BTreeMap::from([("test".to_owned(), 4), ("train".to_owned(), 4)])
    );
}

#[test]
fn what_is_not_the_full_set_is_named() {
    let fake = Fake::new();
    let error = || {
        fake.open(OpenRequest {
            allow_different: false,
            ..fake.request()
        })
        .map(|_| ())
        .unwrap_err()
    };
    insta::assert_snapshot!(error(), @"SET is no known variant of the imagenet data: it has 2 of its 1,000 classes");
    std::fs::rename(fake.path("train/n01443537"), fake.path("train/cats")).unwrap();
    std::fs::rename(fake.path("val/n01443537"), fake.path("val/cats")).unwrap();
    insta::assert_snapshot!(error(), @"SET is no known variant of the imagenet data: the class 'cats' is none of its 1,000");
    let input = InputSpec::Audio {
        frames: 8,
        mels: 16,
        sample_rate: 16_000,
        mean: 0.0,
        std: 1.0,
    };
    let sound = fake
        .open(OpenRequest {
            input,
            ..fake.request()
        })
        .map(|_| ())
        .unwrap_err();
    insta::assert_snapshot!(sound, @"imagenet cannot give such an input: its samples are pictures");
}

#[test]
fn a_thousand_classes_with_wrong_counts_are_not_the_full_set() {
    let found = Contents {
        form: "tiny",
        tree: Tree::folder(Path::new("SET")),
        lists: Vec::new(),
        entries: Vec::new(),
        classes: classes(),
    };
    let error = check_full(Path::new("SET"), &found).unwrap_err();
    insta::assert_snapshot!(error, @"SET has 0 pictures in train, not 1281167");
}

#[test]
fn up_to_one_percent_of_bad_files_are_skipped_and_named() {
    let fake = Fake::new();
    std::fs::write(fake.file("train", "n01440764", 0), "a text").unwrap();
    let whole = png_bytes(&Fake::picture(5));
    std::fs::write(fake.file("train", "n01440764", 5), &whole[..whole.len() / 2]).unwrap();
    let data = fake.open(fake.request()).unwrap();
    assert_eq!(data.samples.len(), 224);
    let skipped: Vec<_> = data
        .facts
        .skipped
        .iter()
        .map(|skipped| format!("{}: {}", skipped.id, skipped.reason))
        .collect();
    insta::assert_snapshot!(skipped.join("; "), @"train/n01440764/000.JPEG: it is not a jpeg or png file; train/n01440764/005.JPEG: it is cut off");
    std::fs::write(fake.file("val", "n01440764", 0), "").unwrap();
    insta::assert_snapshot!(fake.open(fake.request()).map(|_| ()).unwrap_err(), @"3 of 226 samples in SET cannot be used, more than 1 %; the first is train/n01440764/000.JPEG: it is not a jpeg or png file");
}

#[test]
fn views_are_drawn_from_the_seed_and_their_purpose_and_inputs_are_not() {
    let fake = Fake::new();
    let data = fake.open(fake.request()).unwrap();
    assert!(data.augments() && !data.streams());
    let view = |views, seed| data.view(224, views, &Seed::root(seed)).unwrap().into_owned();
    for views in [Views::Pretraining, Views::FineTuning] {
        assert_eq!(view(views, 1), view(views, 1));
        assert_ne!(view(views, 1), view(views, 2));
        assert_ne!(view(views, 1), data.input(224).unwrap().into_owned());
    }
    assert_ne!(view(Views::Pretraining, 1), view(Views::FineTuning, 1));
}

/// What a request with room for no rows opens.
fn streamed(fake: &Fake) -> Dataset {
    let limits = Limits {
        rows: 226 * 3 * 16 * 16 * 4 - 1,
        ..Limits::default()
    };
    let request = OpenRequest {
        limits,
        ..fake.request()
    };
    fake.open(request).unwrap()
}

#[test]
fn what_is_too_much_to_be_kept_is_decoded_when_wanted_and_the_same() {
    let fake = Fake::new();
    std::fs::write(fake.file("train", "n01440764", 7), "a text").unwrap();
    let kept = fake.open(fake.request()).unwrap();
    let data = streamed(&fake);
    assert!(data.streams() && !kept.streams());
    assert_eq!((&data.facts, &data.samples), (&kept.facts, &kept.samples));
    for index in 0..data.samples.len() {
        assert_eq!(data.input(index).unwrap(), kept.input(index).unwrap(), "{index}");
        let view = |data: &Dataset| {
            data.view(index, Views::FineTuning, &Seed::root(5))
                .unwrap()
                .into_owned()
        };
        assert_eq!(view(&data), view(&kept), "{index}");
    }
    // what was learned is kept
    assert_eq!(streamed(&fake).facts, data.facts);
    let bytes = |name: &str| std::fs::metadata(fake.only(name)).unwrap().len();
    assert!(bytes("survey") < 1_000 && bytes("features") > 225 * 3 * 16 * 16 * 4);
}

#[test]
fn a_file_that_vanished_or_changed_after_the_opening_is_an_error_that_names_it() {
    let fake = Fake::new();
    let (kept, data) = (fake.open(fake.request()).unwrap(), streamed(&fake));
    std::fs::remove_file(fake.file("train", "n01440764", 0)).unwrap();
    std::fs::write(fake.file("train", "n01440764", 1), png_bytes(&pattern(9, 9))).unwrap();
    let message = |outcome: Result<std::borrow::Cow<[f32]>, DataError>| {
        let error = outcome.unwrap_err().to_string();
        error.replace(&fake.0.path().display().to_string(), "SET")
    };
    insta::assert_snapshot!(message(data.input(0)), @"SET/train/n01440764/000.JPEG: there is no such file");
    insta::assert_snapshot!(message(data.input(1)), @"SET/train/n01440764/001.JPEG: it was changed since the data was opened");
    let seed = Seed::root(1);
    assert_eq!(message(kept.view(0, Views::Pretraining, &seed)), message(data.input(0)));
    assert!(kept.input(0).is_ok() && data.input(2).is_ok());
}

/// Counts of all of it, and the inputs' statistics over the first ten of each class and split.
fn statistics(name: &str, side: usize) -> Option<(DataFacts, BTreeMap<String, usize>)> {
    let folder = outside_data(name)?;
    let listing = folder::list(&folder).unwrap();
    let mut histogram = BTreeMap::new();
    for Entry { sample, .. } in &listing.entries {
        let class = format!("{:?} {}", sample.split, listing.classes[sample.target.classes()[0]]);
        *histogram.entry(class).or_insert(0) += 1;
    }
    let cache = tempfile::tempdir().unwrap();
    let request = OpenRequest {
        data: Some(folder),
        offline: true,
        input: InputSpec::Image {
            side,
            mean: MEAN,
            std: STD,
        },
        subset: Some(10),
        allow_different: true,
        cache: cache.path().to_owned(),
        threads: 0,
        limits: Limits::default(),
    };
    Some((Imagenet.open(&request, &()).unwrap().facts, histogram))
}

#[test]
fn the_real_subset_of_imagenet_is_what_is_known_of_it() {
    let Some(statistics) = statistics("imagenet-mini", 224) else {
        return;
    };
    insta::assert_json_snapshot!(statistics, {
        "[0].measured_mean" => insta::rounded_redaction(4),
        "[0].measured_std" => insta::rounded_redaction(4),
    });
}

#[test]
fn the_real_subset_of_cifar10_is_what_is_known_of_it() {
    let Some(statistics) = statistics("cifar10-folder", 32) else {
        return;
    };
    insta::assert_json_snapshot!(statistics, {
        "[0].measured_mean" => insta::rounded_redaction(4),
        "[0].measured_std" => insta::rounded_redaction(4),
    });
}

//! ImageNet's layout on small made-up folders, one fault at a time, and on real subsets where they are at hand.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use std::collections::BTreeMap;

use bridle_seed::Seed;

use super::*;
use crate::image::tests::{pattern, png_bytes};
use crate::image::{ImageAugment, Picture, Resizer, to_input};
use crate::support::outside_data;

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
        }
    }

    fn open(&self, request: OpenRequest) -> Result<Dataset, String> {
        let outcome = open(self.0.path().to_owned(), &request, &());
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
    assert_eq!((sample.id.as_str(), sample.target), ("val/n01443537/001.JPEG", 1));
    let centre = Resizer::default().centre(&Fake::picture(1), 16);
    assert_eq!(data.input(224), to_input(&centre, MEAN, STD));
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
    let files = Vec::new();
    let listing = Listing {
        classes: classes(),
        files,
    };
    let error = check_full(Path::new("SET"), &listing).unwrap_err();
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
fn views_are_the_rows_or_what_the_stream_says() {
    let fake = Fake::new();
    let request = fake.request();
    let files = vec!["val/n01440764/002.JPEG".to_owned(), "val/missing.png".to_owned()];
    let pictures = Pictures::new(fake.0.path().to_owned(), files, &request.input).unwrap();
    let data = fake.open(request).unwrap();
    let index = data
        .samples
        .iter()
        .position(|sample| sample.id == "val/n01440764/002.JPEG")
        .unwrap();
    assert_eq!(pictures.view(0, None).unwrap(), data.input(index));
    let augment = ImageAugment::pretraining();
    let random = |seed| {
        pictures
            .view(0, Some((&augment, &mut Seed::root(seed).stream())))
            .unwrap()
    };
    assert_eq!(random(1), random(1));
    assert_ne!(random(1), random(2));
    assert!(pictures.view(1, None).unwrap_err().starts_with("it cannot be read: "));
}

/// Counts of all of it, and the inputs' statistics over the first ten of each class and split.
fn statistics(name: &str, side: usize) -> Option<(DataFacts, BTreeMap<String, usize>)> {
    let folder = outside_data(name)?;
    let listing = folder::list(&folder, NAME).unwrap();
    let mut histogram = BTreeMap::new();
    for listed in &listing.files {
        let class = format!("{:?} {}", listed.split, listing.classes[listed.target]);
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

//! ImageNet as tars and as tables: the same as its folder, and what is missing beside them is
//! named.

use super::*;
use crate::fixtures::archives::{Column, Files, parquet_of, tar_of};

const CLASSES: [&str; 2] = ["n01440764", "n01443537"];
/// The number of each in the order of the ids.
const NUMBERS: [i64; 2] = [0, 1];

/// Pictures of one part, named as the original names them, with their classes.
fn originals(split: &str, each: usize) -> Vec<(usize, String, Vec<u8>)> {
    let picture = |n: usize| {
        let (class, at) = (n % 2, n / 2);
        let name = match split {
            "train" => format!("{}_{at}.JPEG", CLASSES[class]),
            _ => format!("ILSVRC2012_val_{:08}.JPEG", n + 1),
        };
        (class, name, png_bytes(&pattern(20 + n, 24 + at)))
    };
    (0..2 * each).map(picture).collect()
}

/// The same pictures as a folder of classes, as tars, and as tables, each in a folder of its own.
fn packed_forms() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let [train, val] = [originals("train", 5), originals("val", 3)];
    for (split, pictures) in [("train", &train), ("val", &val)] {
        for (class, name, bytes) in pictures {
            write(&format!("plain/{split}/{}/{name}", CLASSES[*class]), bytes);
        }
    }
    let of_class = |class: usize| -> Files {
        let of_class = train.iter().filter(|(of, ..)| *of == class);
        of_class.map(|(_, name, bytes)| (name.clone(), bytes.clone())).collect()
    };
    let tars: Files = [1, 0]
        .map(|class| (format!("{}.tar", CLASSES[class]), tar_of(&of_class(class))))
        .to_vec();
    write("tars/ILSVRC2012_img_train.tar", &tar_of(&tars));
    let files = |pictures: &[(usize, String, Vec<u8>)]| -> Files {
        pictures
            .iter()
            .map(|(_, name, bytes)| (name.clone(), bytes.clone()))
            .collect()
    };
    write("tars/ILSVRC2012_img_val.tar", &tar_of(&files(&val)));
    let table = |pictures: &[(usize, String, Vec<u8>)]| {
        let labels = pictures.iter().map(|(class, ..)| NUMBERS[*class]).collect();
        parquet_of(
            &[
                Column::Files("image", files(pictures)),
                Column::Numbers("label", labels),
            ],
            4,
        )
    };
    write("hub/data/train-00000-of-00002.parquet", &table(&train[..4]));
    write("hub/data/train-00001-of-00002.parquet", &table(&train[4..]));
    write("hub/data/validation-00000-of-00001.parquet", &table(&val));
    write("hub/data/test-00000-of-00001.parquet", &table(&val));
    folder
}

fn open_at(folder: &Path, form: &str, allow_different: bool) -> Result<Dataset, String> {
    let input = InputSpec::Image {
        side: 16,
        mean: MEAN,
        std: STD,
    };
    let request = OpenRequest {
        data: None,
        offline: true,
        input,
        subset: None,
        allow_different,
        cache: folder.join("cache"),
        threads: 2,
        limits: Limits::default(),
    };
    let opened = open(&folder.join(form), &request, &());
    opened.map_err(|error| error.to_string().replace(&folder.display().to_string(), "SET"))
}

/// A line for each picture to judge.
fn judged(line: impl Fn(usize, &str) -> String) -> String {
    let pictures = originals("val", 3);
    pictures
        .iter()
        .map(|(class, name, _)| line(*class, name.trim_end_matches(".JPEG")) + "\n")
        .collect()
}

#[test]
fn tars_and_tables_give_what_the_folder_gives() {
    let folder = packed_forms();
    let folder = folder.path();
    let plain = open_at(folder, "plain", true).unwrap();
    let by_id = |data: &Dataset| {
        let sample = |index: usize| {
            let seed = Seed::root(3);
            let view = data.view(index, Views::Pretraining, &seed).unwrap().into_owned();
            let sample = &data.samples[index];
            let class = data.classes[sample.target.classes()[0]].clone();
            (
                sample.id.clone(),
                (class, sample.split, data.input(index).unwrap().into_owned(), view),
            )
        };
        (0..data.samples.len()).map(sample).collect::<BTreeMap<_, _>>()
    };
    let tars = |list: &str, text: &str| {
        std::fs::write(folder.join("tars").join(list), text).unwrap();
        let data = open_at(folder, "tars", true).unwrap();
        std::fs::remove_file(folder.join("tars").join(list)).unwrap();
        assert_eq!(
            (&data.samples, &data.classes),
            (&plain.samples, &plain.classes),
            "{list}"
        );
        assert!(by_id(&data) == by_id(&plain), "{list}");
    };
    let id = |class: usize| CLASSES[class];
    let header = "ImageId,PredictionString\n";
    tars(
        "LOC_val_solution.csv",
        &(header.to_owned() + &judged(|class, name| format!("{name},{} 1 2 3 4 ", id(class)))),
    );
    tars(
        "val_map.txt",
        &format!("\u{feff}{}", judged(|class, name| format!("{name}.JPEG {}", id(class)))),
    );
    tars(
        "val.txt",
        &judged(|class, name| format!("{name}.JPEG {}", NUMBERS[class])),
    );
    tars(
        "imagenet_2012_validation_synset_labels.txt",
        &judged(|class, _| id(class).to_owned()),
    );
    std::fs::write(folder.join("tars/synsets.txt"), "449 n01440764\n17 n01443537\n").unwrap();
    tars(
        "ILSVRC2012_validation_ground_truth.txt",
        &judged(|class, _| [449, 17][class].to_string()),
    );
    let hub = open_at(folder, "hub", true).unwrap();
    assert_eq!((hub.classes.len(), &hub.facts.counts), (1_000, &plain.facts.counts));
    assert!(by_id(&hub) == by_id(&plain));
}

#[test]
fn what_is_missing_or_wrong_beside_archives_is_named() {
    let folder = packed_forms();
    let folder = folder.path();
    let tars = || open_at(folder, "tars", true).map(|_| ()).unwrap_err();
    let write = |name: &str, text: &str| std::fs::write(folder.join("tars").join(name), text).unwrap();
    insta::assert_snapshot!(tars(), @"SET/tars is not the imagenet data: it has no list of the classes of its validation pictures: LOC_val_solution.csv (as Kaggle has it), imagenet_2012_validation_synset_labels.txt (as TensorFlow's models have it) or val_map.txt (lines of picture and WordNet id)");
    write("ILSVRC2012_validation_ground_truth.txt", "1\n2\n");
    insta::assert_snapshot!(tars(), @"SET/tars is not the imagenet data: it has no synsets.txt beside ILSVRC2012_validation_ground_truth.txt, with the number and WordNet id of each class in a line, as the devkit's meta.mat has them: its numbers are not those of the sorted ids");
    write("synsets.txt", "1 n01440764\n");
    insta::assert_snapshot!(tars(), @"SET/tars/ILSVRC2012_validation_ground_truth.txt, line 2: '2' is no number of synsets.txt");
    write("val_map.txt", "ILSVRC2012_val_00000001.JPEG n01440764\n");
    insta::assert_snapshot!(tars(), @"SET/tars/ILSVRC2012_img_val.tar/ILSVRC2012_val_00000002.JPEG is not listed in val_map.txt");
    write("val_map.txt", &judged(|class, name| format!("{name} {}", class + 1)));
    insta::assert_snapshot!(tars(), @"SET/tars/val_map.txt, line 1: its classes are numbers, and none is 0: they must count the sorted WordNet ids from 0");
    write("val_map.txt", "a n01440764\nb cat\n");
    insta::assert_snapshot!(tars(), @"SET/tars/val_map.txt, line 2: 'cat' is neither a WordNet id nor a number from 0 to 999");
    write("val_map.txt", "a 0\nb 300 0\n");
    insta::assert_snapshot!(tars(), @"SET/tars/val_map.txt, line 2: '0' follows the picture and its class");
    write(
        "val_map.txt",
        &judged(|class, name| format!("{name} {}", CLASSES[class])),
    );
    let known = open_at(folder, "tars", false).map(|_| ()).unwrap_err();
    insta::assert_snapshot!(known, @"SET/tars is no known variant of the imagenet data: it has 2 of its 1,000 classes");
    let counted = open_at(folder, "hub", false).map(|_| ()).unwrap_err();
    insta::assert_snapshot!(counted, @"SET/hub has 10 pictures in train, not 1281167");
    std::fs::remove_file(folder.join("tars/ILSVRC2012_img_train.tar")).unwrap();
    insta::assert_snapshot!(tars(), @"SET/tars is not the imagenet data: it has no ILSVRC2012_img_train.tar beside ILSVRC2012_img_val.tar");
    std::fs::remove_file(folder.join("hub/data/validation-00000-of-00001.parquet")).unwrap();
    let half = open_at(folder, "hub", true).map(|_| ()).unwrap_err();
    insta::assert_snapshot!(half, @"SET/hub/data is no known variant of the imagenet data: it has no parquet files named validation-*");
}

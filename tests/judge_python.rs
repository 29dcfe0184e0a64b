//! A new user's way from a model of timm's and a folder of pictures to a score, by the lines of
//! suite/JUDGE.md as they stand there: by vectors and `judge`, and by the encoder itself and `--init`.
//! Only the fetching of weights is taken out: they stay random, which no number here depends on.

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod python;

use bridle_bench::embeddings::Embeddings;
use bridle_bench::protocol::Vectors as _;
use bridle_results::store;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

const CLASSES: [&str; 2] = ["dark", "light"];
const EACH: u32 = 6;

fn program(folder: &Path, line: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridle-bench"));
    command.args(line.split_whitespace()).current_dir(folder);
    let output = command
        .env_remove("BRIDLE_DATA")
        .env("COLUMNS", "200")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// What a picture is called: endings differ, as they do, and what it is is told by its bytes.
fn file(number: u32) -> String {
    format!("{number}.{}", ["jpg", "JPEG", "png"][number as usize % 3])
}

/// Pictures of two classes below `pictures`.
fn write_pictures(folder: &Path) {
    for (class, name) in (0..).zip(CLASSES) {
        fs::create_dir_all(folder.join("pictures").join(name)).unwrap();
        for number in 0..EACH {
            let (wide, high) = (40 + number, 30 + 2 * number);
            let value = |place: u32| (120 * class + (place * (7 + number)) % 110) as u8;
            let bytes: Vec<u8> = (0..3 * wide * high).map(value).collect();
            let picture = fs::File::create(folder.join(format!("pictures/{name}/{}", file(number)))).unwrap();
            let mut encoder = png::Encoder::new(picture, wide, high);
            encoder.set_color(png::ColorType::Rgb);
            encoder.write_header().unwrap().write_image_data(&bytes).unwrap();
        }
    }
}

#[test]
fn the_documented_lines_bring_a_model_and_pictures_to_a_score() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("suite/JUDGE.md")).unwrap();
    let [vectors, folder_of_model] = &python::blocks(&page)[..] else {
        panic!("the page has two blocks of Python")
    };
    assert!(vectors.contains("pretrained=True"), "{vectors}");
    assert!(
        vectors.lines().filter(|line| !line.is_empty()).count() <= 12,
        "{vectors}"
    );
    let Some(python) = python::interpreter("the lines of suite/JUDGE.md", "numpy, PIL, timm, torch") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_pictures(folder);
    let lines = format!("{vectors}\n{folder_of_model}").replace("pretrained=True", "pretrained=False");
    python::run(&python, folder, &format!("import torch\ntorch.manual_seed(0)\n{lines}"));

    let theirs = Embeddings::read(&folder.join("embeddings.npz")).unwrap();
    let ids: Vec<String> = CLASSES
        .iter()
        .flat_map(|class| (0..EACH).map(move |number| format!("{class}/{}", file(number))))
        .collect();
    let ids: Vec<&str> = ids.iter().map(|id| &**id).collect();
    let all: BTreeSet<usize> = (0..ids.len()).collect();

    // the commands of the page, with the preset of the shortest time
    let commands: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("    bridle-bench "))
        .collect();
    let command = |begins: &str| {
        let mut found = commands.iter().filter(|command| command.starts_with(begins));
        found
            .next()
            .unwrap_or_else(|| panic!("the page has no command {begins:?}"))
    };
    for begins in ["judge --task ./pictures", "run --task ./pictures"] {
        let told = program(folder, &format!("{} --preset smoke", command(begins)));
        assert!(
            told.contains('[') && told.contains("knn"),
            "{begins}: no interval in {told}"
        );
    }
    let records = store::find(&[folder.join("results/records")]).unwrap();
    let of = |method: &str| {
        records
            .iter()
            .find(|(_, record)| record.method() == method)
            .unwrap()
            .1
            .clone()
    };
    let (judged, init) = (of("dino-small"), of("init"));
    for record in [&judged, &init] {
        let has_interval = record
            .scores
            .iter()
            .all(|score| score.interval.is_some() || score.n == 0);
        assert!(record.scores.len() >= 2 && has_interval, "{:?}", record.scores);
    }

    // both ways see the same vectors
    program(folder, "features --init dino-small --files pictures --to ours.npz");
    let ours = Embeddings::read(&folder.join("ours.npz")).unwrap();
    assert_eq!(ours.dim, theirs.dim);
    let samples: Vec<usize> = all.iter().copied().collect();
    let numbers = |all_of: &Embeddings| {
        let matched = all_of.matched("pictures", &ids, &all, Some(&[])).unwrap();
        matched.of(&samples, None, &()).unwrap()
    };
    let differences = numbers(&ours)
        .into_iter()
        .zip(numbers(&theirs))
        .map(|(a, b)| (a - b).abs());
    let worst = differences.fold(0.0, f32::max);
    println!("largest difference of a vector's number: {worst:e}");
    assert!(worst < 1e-3, "the two ways differ by {worst}");
}

//! The same samples through a folder, zip, tar and parquet give the same inputs bit for bit; what
//! is wrong with an archive is named with it and the file in it.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use ::zip::CompressionMethod;
use bridle_seed::Seed;

use super::*;
use crate::data::listing::{Entry, Listing};
use crate::fixtures::archives::{Column, Files, parquet_of, tar_of, zip_of};
use crate::fixtures::{outside_data, wav_bytes};
use crate::media::Media;
use crate::media::audio::Sounds;
use crate::media::image::Pictures;
use crate::media::image::tests::{pattern, png_bytes};
use crate::media::video::{Clips, VideoAugment};
use crate::{Dataset, InputSpec, Limits, OpenRequest, Sample, Split, Target, Views};

const SOUND: InputSpec = InputSpec::Audio {
    frames: 64,
    mels: 32,
    sample_rate: 16_000,
    mean: -6.0,
    std: 5.0,
};
const PICTURE: InputSpec = InputSpec::Image {
    side: 32,
    mean: [0.5; 3],
    std: [0.25; 3],
};
const VIDEO: InputSpec = InputSpec::Video {
    frames: 4,
    side: 32,
    mean: [0.5; 3],
    std: [0.25; 3],
};

/// The first files of a folder of outside data, or those that are made in its stead.
fn some(data: &str, within: &str, made: impl Fn(usize) -> (String, Vec<u8>)) -> Files {
    let Some(folder) = outside_data(data) else {
        return (0..6).map(made).collect();
    };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder.join(within))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let file = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read(path).unwrap())
    };
    paths.iter().step_by(paths.len() / 6).take(6).map(file).collect()
}

fn sounds() -> Files {
    some("esc50", "audio", |n| {
        let wave: Vec<f32> = (0..4_000)
            .map(|at| (at as f32 * 0.01 * (n + 1) as f32).sin() * 0.5)
            .collect();
        (format!("{n}.wav"), wav_bytes(16_000, 1, &wave))
    })
}

fn pictures() -> Files {
    some("imagenet-mini", "train/n01440764", |n| {
        (format!("{n}.png"), png_bytes(&pattern(40 + n, 50)))
    })
}

/// The files in each form: the tree, and what it calls them.
fn forms(folder: &Path, files: &Files) -> Vec<(Tree, Vec<String>)> {
    std::fs::create_dir_all(folder.join("plain")).unwrap();
    let mut forms = Vec::new();
    for (name, content) in files {
        std::fs::write(folder.join("plain").join(name), content).unwrap();
    }
    let names = |before: &str| files.iter().map(|(name, _)| format!("{before}/{name}")).collect();
    forms.push((Tree::folder(folder), names("plain")));
    let below: Files = files
        .iter()
        .map(|(name, bytes)| (format!("set/{name}"), bytes.clone()))
        .collect();
    let inner: Files = vec![("set.tar".to_owned(), tar_of(files))];
    let packed = [
        ("stored.zip", zip_of(&below, CompressionMethod::Stored), "/set"),
        ("deflated.zip", zip_of(&below, CompressionMethod::Deflated), "/set"),
        ("plain.tar", tar_of(&below), "/set"),
        ("nested.tar", tar_of(&inner), "/set"),
        (
            "rows.parquet",
            parquet_of(&[Column::Files("audio", files.clone())], 2),
            "",
        ),
    ];
    for (name, bytes, within) in packed {
        std::fs::create_dir_all(folder.join("packed")).unwrap();
        std::fs::write(folder.join("packed").join(name), bytes).unwrap();
        let archive = format!("packed/{name}");
        let called = names(&format!("{archive}{within}"));
        forms.push((Tree::open(folder, vec![archive]).unwrap(), called));
    }
    forms
}

fn classes() -> Vec<String> {
    vec!["a".to_owned(), "b".to_owned()]
}

fn listing(tree: Tree, names: Vec<String>) -> Listing<Sample> {
    let entry = |(n, file): (usize, String)| {
        let split = if n < 4 { Split::Train } else { Split::Test };
        Entry::new(n.to_string(), Some(file), Target::Class(n % 2), split)
    };
    let entries = names.into_iter().enumerate().map(entry).collect();
    Listing {
        variant: Some("whole"),
        ..Listing::new("shelved", 1, "made by a test", tree, entries)
    }
}

fn request(folder: &Path, input: &InputSpec, rows: u64) -> OpenRequest {
    OpenRequest {
        data: None,
        offline: true,
        input: input.clone(),
        subset: None,
        allow_different: false,
        cache: folder.join("cache"),
        threads: 2,
        limits: Limits {
            rows,
            ..Limits::default()
        },
    }
}

/// Everything that a model is shown of a data set.
fn shown(data: &Dataset) -> Vec<Vec<f32>> {
    let view = |index| {
        data.view(index, Views::FineTuning, &Seed::root(7))
            .unwrap()
            .into_owned()
    };
    let samples = 0..data.samples.len();
    samples
        .flat_map(|index| [data.input(index).unwrap().into_owned(), view(index)])
        .collect()
}

fn all_forms_are_equal(files: &Files, input: &InputSpec, media: impl Fn() -> Box<dyn Media>) {
    let folder = tempfile::tempdir().unwrap();
    let mut expected = None;
    for (tree, names) in forms(folder.path(), files) {
        let listing = listing(tree, names.clone());
        // kept, and decoded at each use
        for rows in [1 << 30, 0] {
            let request = request(folder.path(), input, rows);
            let data = listing.clone().open(classes(), media(), &request, &()).unwrap();
            assert_eq!((data.facts.variant.as_str(), data.streams()), ("whole", rows == 0));
            let shown = shown(&data);
            assert_eq!(shown.len(), 2 * files.len());
            assert!(expected.get_or_insert_with(|| shown.clone()) == &shown, "{}", names[0]);
        }
    }
}

#[test]
fn sounds_are_the_same_from_every_form() {
    all_forms_are_equal(&sounds(), &SOUND, || Box::new(Sounds::new("shelved", &SOUND).unwrap()));
}

#[test]
fn pictures_and_their_views_are_the_same_from_every_form() {
    all_forms_are_equal(&pictures(), &PICTURE, || {
        Box::new(Pictures::new("shelved", &PICTURE, true).unwrap())
    });
}

#[test]
fn videos_are_the_same_from_every_form_and_leave_no_copies() {
    let Some(folder) = outside_data("kinetics-mini") else {
        return;
    };
    let path = |name: &str| folder.join("train").join(name);
    let file = |class: &str| {
        let mut videos: Vec<PathBuf> = std::fs::read_dir(path(class))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        videos.sort();
        (format!("{class}.mp4"), std::fs::read(&videos[0]).unwrap())
    };
    let files = ["bottles_moving", "people_walking"].map(file).to_vec();
    let media = || Clips::new("shelved", &VIDEO, 4, VideoAugment::fine_tuning(), 1 << 30);
    if media().is_err() {
        eprintln!("needs ffmpeg");
        return;
    }
    all_forms_are_equal(&files, &VIDEO, || Box::new(media().unwrap()));
    let copy = |name: std::ffi::OsString| {
        name.to_string_lossy()
            .starts_with(&format!("bridle-bench-{}-", std::process::id()))
    };
    let left = std::fs::read_dir(std::env::temp_dir())
        .unwrap()
        .filter(|entry| copy(entry.as_ref().unwrap().file_name()));
    assert_eq!(left.count(), 0);
}

/// The message about the files of one form, with the folder's name taken out.
fn refusal(folder: &Path, tree: Tree, names: Vec<String>) -> String {
    let media = Box::new(Sounds::new("shelved", &SOUND).unwrap());
    let request = request(folder, &SOUND, 1 << 30);
    let opened = listing(tree, names).open(classes(), media, &request, &());
    let error = opened.map(|_| "it opened").unwrap_err().to_string();
    error.replace(&folder.display().to_string(), "SET")
}

#[test]
fn a_bad_file_of_an_archive_is_named_with_it() {
    let (folder, mut files) = (tempfile::tempdir().unwrap(), sounds());
    files[2] = ("2.wav".to_owned(), b"not a sound, only a text. ".repeat(50));
    for (tree, names) in forms(folder.path(), &files) {
        let expected = format!("SET/{}: it is not a wav, flac, ogg or mp3 file", names[2]);
        assert_eq!(refusal(folder.path(), tree, names), expected);
    }
}

#[test]
fn an_altered_member_a_lost_one_and_a_cut_archive_are_named() {
    let (folder, files) = (tempfile::tempdir().unwrap(), sounds());
    let open = |archive: &str| Tree::open(folder.path(), vec![archive.to_owned()]);
    let mut bytes = zip_of(&files, CompressionMethod::Stored);
    let first = files[0].1.clone();
    let at = bytes.windows(first.len()).position(|window| window == first).unwrap();
    bytes[at + first.len() - 1] ^= 1;
    std::fs::write(folder.path().join("a.zip"), &bytes).unwrap();
    let name = |n: usize| format!("a.zip/{}", files[n].0);
    let told = refusal(folder.path(), open("a.zip").unwrap(), vec![name(1), name(0)]);
    assert!(told.starts_with(&format!("SET/{}: it is damaged", name(0))), "{told}");
    let told = refusal(folder.path(), open("a.zip").unwrap(), vec!["a.zip/none.wav".to_owned()]);
    assert_eq!(told, "SET/a.zip/none.wav: the archive has no such file");
    let tar = tar_of(&files);
    std::fs::write(folder.path().join("cut.tar"), &tar[..tar.len() - 3_000]).unwrap();
    let told = open("cut.tar").map(|_| ()).unwrap_err().to_string();
    assert!(
        told.contains(&format!("cut.tar/{}: the archive is cut off within it", files[5].0)),
        "{told}"
    );
    let told = open("none.tar").map(|_| ()).unwrap_err().to_string();
    assert!(told.starts_with("cannot read ") && told.ends_with("none.tar"), "{told}");
}

#[test]
fn an_archive_that_changed_after_the_opening_is_named() {
    let (folder, files) = (tempfile::tempdir().unwrap(), sounds());
    let path = folder.path().join("a.tar");
    std::fs::write(&path, tar_of(&files)).unwrap();
    let tree = Tree::open(folder.path(), vec!["a.tar".to_owned()]).unwrap();
    let names: Vec<String> = tree.members("a.tar").collect();
    let media = Box::new(Sounds::new("shelved", &SOUND).unwrap());
    let request = request(folder.path(), &SOUND, 0);
    let data = listing(tree, names).open(classes(), media, &request, &()).unwrap();
    assert!(data.input(0).is_ok());
    std::fs::write(&path, tar_of(&files[1..].to_vec())).unwrap();
    let told = data.input(0).map(|_| ()).unwrap_err().to_string();
    assert!(
        told.ends_with(": its archive was changed since the data was opened"),
        "{told}"
    );
}

#[test]
fn the_archive_is_what_is_hashed_and_its_content_decides_the_key() {
    let (folder, files) = (tempfile::tempdir().unwrap(), sounds());
    let open = |name: &str, bytes: Vec<u8>| {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        let tree = Tree::open(folder.path(), vec![name.to_owned()]).unwrap();
        let names: Vec<String> = tree.members(name).collect();
        let media = Box::new(Sounds::new("shelved", &SOUND).unwrap());
        let request = request(folder.path(), &SOUND, 1 << 30);
        listing(tree, names).open(classes(), media, &request, &()).unwrap()
    };
    let features = || {
        let files = std::fs::read_dir(folder.path().join("cache/shelved")).unwrap();
        files
            .filter(|file| {
                file.as_ref()
                    .unwrap()
                    .path()
                    .extension()
                    .is_some_and(|e| e == "features")
            })
            .count()
    };
    let tar = tar_of(&files);
    let line = format!("{}  {}  a.tar\n", crate::files::sha256::sha256(&tar), tar.len());
    let first = open("a.tar", tar.clone());
    assert_eq!(
        first.facts.manifest_sha256,
        crate::files::sha256::sha256(line.as_bytes())
    );
    open("a.tar", tar);
    assert_eq!(features(), 1);
    let mut other = files.clone();
    other.swap(0, 1);
    let second = open("a.tar", tar_of(&other));
    assert_ne!(first.facts.manifest_sha256, second.facts.manifest_sha256);
    assert_eq!(features(), 2);
    assert_eq!(first.input(0).unwrap(), second.input(1).unwrap());
}

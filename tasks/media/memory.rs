//! The memory that a listed sample costs: its names and facts, never its input, however many
//! samples there are.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use std::path::Path;
use std::process::{Command, Stdio};

use crate::data::listing::{Entry, Listing};
use crate::files::tree::Tree;
use crate::fixtures::{peak_memory, wav_bytes};
use crate::media::audio::Sounds;
use crate::{Dataset, InputSpec, Limits, OpenRequest, Split, Target, prefetch};

/// How many samples and which folder, for the process that the test measures.
const CHILD: &str = "BRIDLE_TEST_MEMORY";
/// Listed by the smaller and the larger data set; unoptimised, 100,000 files would take minutes to
/// look at.
const SAMPLES: [usize; 2] = [1_000, if cfg!(debug_assertions) { 20_000 } else { 100_000 }];
const FILES: usize = 10;
/// One input is 16 KiB: were inputs kept, samples would cost that.
const INPUT: InputSpec = InputSpec::Audio {
    frames: 64,
    mels: 64,
    sample_rate: 16_000,
    mean: -6.0,
    std: 4.0,
};
/// In bytes, beyond what its id and the name of its file are long.
const MOST: f64 = 512.0;

fn id(number: usize) -> String {
    format!("sample {number:06}")
}

fn file(number: usize) -> String {
    format!("{}.wav", number % FILES)
}

/// Opens a list of `samples` samples over the same few files; nothing is kept.
fn open(samples: usize, folder: &Path) -> Dataset {
    let entry = |number| {
        let target = Target::Class(number % 2);
        Entry::new(id(number), Some(file(number)), target, Split::Train)
    };
    let entries = (0..samples).map(entry).collect();
    let listing = Listing::new("many", 1, "made by a test", Tree::folder(folder), entries);
    let classes = vec!["even".to_owned(), "odd".to_owned()];
    let request = OpenRequest {
        data: None,
        offline: true,
        input: INPUT,
        subset: None,
        allow_different: true,
        cache: folder.join("cache"),
        threads: 2,
        limits: Limits {
            rows: 0,
            ..Limits::default()
        },
    };
    let media = Box::new(Sounds::new("many", &INPUT).unwrap());
    listing.open(classes, media, &request, &()).unwrap()
}

/// Not a test of its own: the process that the next test measures. It opens and reads what
/// `$BRIDLE_TEST_MEMORY` says.
#[test]
fn a_process_to_be_measured() {
    let Ok(what) = std::env::var(CHILD) else { return };
    let (samples, folder) = what.split_once(' ').unwrap();
    let (samples, folder) = (samples.parse().unwrap(), Path::new(folder));
    let data = open(samples, folder);
    assert!(data.streams() && data.samples.len() == samples);
    std::thread::scope(|scope| {
        let input = |step: u64| data.input(step as usize * 7_919 % samples).unwrap().into_owned();
        let inputs = prefetch(scope, 2, 0..2_000, 8, input).unwrap();
        assert!(inputs.map(|input| input.len()).eq(std::iter::repeat_n(64 * 64, 2_000)));
    });
    let peak = peak_memory().map_or_else(String::new, |bytes| bytes.to_string());
    std::fs::write(folder.join("peak"), peak).unwrap();
}

#[test]
fn a_listed_sample_costs_little_more_than_its_names() {
    let peak = |samples: usize| {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..FILES {
            let wave: Vec<f32> = (0..600).map(|n| ((n * (number + 3)) as f32 * 0.1).sin()).collect();
            std::fs::write(folder.path().join(file(number)), wav_bytes(16_000, 1, &wave)).unwrap();
        }
        let ended = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "media::memory::a_process_to_be_measured"])
            .env(CHILD, format!("{samples} {}", folder.path().display()))
            .stdout(Stdio::null())
            .status();
        assert!(ended.unwrap().success(), "{samples} samples cannot be opened and read");
        std::fs::read_to_string(folder.path().join("peak")).unwrap()
    };
    let [few, many] = SAMPLES.map(|samples| peak(samples).parse::<f64>());
    let (Ok(few), Ok(many)) = (few, many) else {
        return eprintln!("this system does not tell how much memory a process used");
    };
    let each = (many - few) / (SAMPLES[1] - SAMPLES[0]) as f64;
    let names = (id(0).len() + file(0).len()) as f64;
    println!(
        "{:?} samples: {:.1} and {:.1} MiB, {each:.0} bytes for each, {names:.0} of them its names",
        SAMPLES,
        few / 1_048_576.0,
        many / 1_048_576.0
    );
    assert!(each < names + MOST, "each listed sample costs {each:.0} bytes");
}

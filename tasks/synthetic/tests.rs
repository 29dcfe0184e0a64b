//! Laws of the generated tasks: the class is in the order of events, and in nothing that a mean
//! over time can see.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use bridle_seed::Seed;

use super::Synthetic;
use super::pattern::{self, PAUSE, SYMBOLS};
use super::sound::{GENERATOR, PLACE, SILENT, SLOT};
use crate::{Dataset, InputSpec, OpenRequest, Task, tasks};

const CLASSES: usize = pattern::CLASSES;

fn request(input: InputSpec, threads: usize) -> OpenRequest {
    let (data, cache) = (None, std::path::PathBuf::from("never-used"));
    OpenRequest {
        data,
        offline: true,
        input,
        subset: Some(40),
        allow_different: false,
        cache,
        threads,
        limits: crate::Limits::default(),
    }
}

fn generated() -> impl Iterator<Item = &'static dyn Task> {
    tasks()
        .iter()
        .copied()
        .filter(|task| task.spec().name.starts_with("synthetic"))
}

#[test]
fn generated_data_is_the_same_on_any_number_of_threads_and_differs_between_samples() {
    for task in generated() {
        let spec = task.spec();
        let mut request = request(spec.input, 1);
        request.subset = Some(3);
        let one = task.open(&request, &()).unwrap();
        request.threads = 3;
        let three = task.open(&request, &()).unwrap();
        assert_eq!(one.facts, three.facts);
        assert_eq!(one.samples, three.samples);
        assert!(
            (0..one.samples.len()).all(|index| one.input(index).unwrap() == three.input(index).unwrap()),
            "{}",
            spec.name
        );
        assert!(
            (1..one.samples.len()).all(|index| one.input(index).unwrap() != one.input(0).unwrap()),
            "{}",
            spec.name
        );
        assert!(!std::path::Path::new("never-used").exists());
    }
}

#[test]
fn splits_are_balanced_and_constants_are_those_measured() {
    for task in generated() {
        let spec = task.spec();
        let data = task.open(&request(spec.input, 0), &()).unwrap();
        let (train, test) = data.split(None);
        assert_eq!((train.len(), test.len()), (40 * CLASSES, 40 * CLASSES), "{}", spec.name);
        for part in [train, test] {
            for class in 0..CLASSES {
                assert_eq!(
                    part.iter()
                        .filter(|&&index| data.samples[index].target.classes() == [class])
                        .count(),
                    40
                );
            }
        }
        let facts = &data.facts;
        println!(
            "{}: mean {}, std {}",
            spec.name, facts.measured_mean, facts.measured_std
        );
        let off = (facts.measured_mean - facts.constant_mean).abs() / facts.measured_std;
        // the pictures' constants are per channel, and their spread over all channels is larger
        let ratio = facts.measured_std / facts.constant_std;
        assert!(
            off < 0.03 && (0.95..1.15).contains(&ratio),
            "{}: mean off by {off} std, std ratio {ratio}",
            spec.name
        );
    }
}

#[test]
fn facts_change_only_with_a_version() {
    let facts = |task: &dyn Task| task.open(&request(task.spec().input, 0), &()).unwrap().facts;
    let all: Vec<_> = generated().map(facts).collect();
    insta::assert_json_snapshot!(all, {
        "[].measured_mean" => insta::rounded_redaction(3),
        "[].measured_std" => insta::rounded_redaction(3),
    });
}

/// The largest distance of a class's mean from the mean of all, in standard errors, over the
/// entries of `describe`.
fn largest_z(data: &Dataset, describe: impl Fn(&[f32]) -> Vec<f64>) -> f64 {
    let rows: Vec<Vec<f64>> = (0..data.samples.len())
        .map(|index| describe(&data.input(index).unwrap()))
        .collect();
    let n = rows.len() as f64;
    let entries = 0..rows[0].len();
    let z = |entry: usize, class: usize| {
        let mean = rows.iter().map(|row| row[entry]).sum::<f64>() / n;
        let var = rows.iter().map(|row| (row[entry] - mean).powi(2)).sum::<f64>() / n;
        let own = rows
            .iter()
            .zip(&data.samples)
            .filter(|(_, sample)| sample.target.classes() == [class])
            .map(|(row, _)| row[entry]);
        let per_class = n / CLASSES as f64;
        (own.sum::<f64>() / per_class - mean).abs() / (var / per_class).sqrt()
    };
    entries
        .flat_map(|entry| (0..CLASSES).map(move |class| (entry, class)))
        .map(|(e, c)| z(e, c))
        .fold(0.0, f64::max)
}

#[test]
fn classes_have_the_same_level_and_long_term_spectrum() {
    for task in generated() {
        let spec = task.spec();
        let data = task.open(&request(spec.input.clone(), 0), &()).unwrap();
        let width = *data.shape().last().unwrap();
        // the mean over time (audio: per mel band; pictures: per column of pixels), and the level
        // of the whole
        let describe = |input: &[f32]| {
            let rows = (input.len() / width) as f64;
            let mut means = vec![0.0; width + 1];
            for row in input.chunks_exact(width) {
                row.iter()
                    .zip(&mut means)
                    .for_each(|(&x, mean)| *mean += f64::from(x) / rows);
            }
            means[width] = input.iter().map(|&x| f64::from(x * x)).sum();
            means
        };
        let z = largest_z(&data, describe);
        // of 129 entries times 4 classes, many of them alike, 4.5 is beyond what chance gives
        assert!(z < 4.5, "{}: a class is off by {z} standard errors", spec.name);
    }
}

#[test]
fn no_window_holds_two_events() {
    let wave = GENERATOR.clip(2, 256, &mut Seed::root(3).stream());
    assert_eq!(wave.len(), 400 + 255 * 160);
    for slot in 0..16 {
        assert!(
            wave[slot * SLOT..][..SILENT].iter().all(|x| x.abs() <= GENERATOR.noise),
            "slot {slot}"
        );
    }
    assert!(wave.iter().any(|x| x.abs() > 0.05));
}

/// Hears in each column of 16 frames when the burst sounds, if one does, and counts steps.
fn heard_class(input: &[f32], mels: usize) -> usize {
    let heard = |column: &[f32]| {
        let levels: Vec<f32> = column
            .chunks_exact(mels)
            .map(|frame| frame.iter().sum::<f32>() / mels as f32)
            .collect();
        let loudest = (0..16).max_by(|&a, &b| levels[a].total_cmp(&levels[b])).unwrap();
        let quietest = levels.iter().copied().fold(f32::INFINITY, f32::min);
        // the middle of the loudest window, 200 samples after its start, lies in the event's place
        let place = ((loudest * 160 + 200).saturating_sub(SILENT) / PLACE).min(SYMBOLS - 2);
        if levels[loudest] - quietest > 0.25 {
            place + 1
        } else {
            PAUSE
        }
    };
    let numbers: Vec<usize> = input.chunks_exact(16 * mels).map(heard).collect();
    let mut steps = [0; SYMBOLS];
    numbers
        .windows(2)
        .for_each(|pair| steps[(SYMBOLS + pair[1] - pair[0]) % SYMBOLS] += 1);
    (0..CLASSES).max_by_key(|&class| steps[class + 1]).unwrap()
}

#[test]
fn whoever_hears_the_order_knows_the_class() {
    let input = Synthetic.spec().input;
    let mels = input.shape()[2];
    let data = Synthetic.open(&request(input, 0), &()).unwrap();
    let right =
        |index: &usize| heard_class(&data.input(*index).unwrap(), mels) == data.samples[*index].target.classes()[0];
    let correct = (0..data.samples.len()).filter(right).count();
    let share = correct as f64 / data.samples.len() as f64;
    assert!(share > 0.95, "only {share} of the clips can be told by ear");
}

#[test]
fn an_input_of_another_kind_is_refused() {
    for task in generated() {
        let other = generated()
            .map(|other| other.spec().input)
            .find(|input| input.modality() != task.spec().modality);
        let error = task
            .open(&request(other.unwrap(), 1), &())
            .map(|_| "it opened")
            .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("{} cannot give such an input", task.spec().name)),
            "{error}"
        );
    }
}

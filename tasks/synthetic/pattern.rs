//! What the classes of the generated tasks differ in: order and rhythm, and nothing else.
//!
//! A slot has one of four events or a pause, numbered 1 to 4 and 0. A sample starts at a random
//! number; its class adds, modulo 5, a number in every slot. In a **sequence** of class k that is k
//! times the slot's number, so no two classes share a pair of neighbours. In an **arrangement**,
//! the numbers are drawn once per class. So in every class, each event and the pause are equally
//! frequent at every place: neither one slot nor the sum of all reveals the class, and predicting a
//! hidden slot requires knowing it.

use rayon::ThreadPool;

use bridle_seed::{Seed, Stream};

use crate::cache::{self, Outcome, Row, Work};
use crate::data::dataset::Inputs;
use crate::data::listing::counts;
use crate::files::sha256::sha256;
use crate::{DataError, DataFacts, Dataset, Missing, OpenRequest, Progress, Sample, Split, Target, TaskSpec};

/// Kinds of events, and the pause.
pub(crate) const SYMBOLS: usize = 5;
/// Classes: the steps from 1 to 4.
pub(crate) const CLASSES: usize = SYMBOLS - 1;
pub(crate) const PAUSE: usize = 0;

/// Samples per class.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub train: usize,
    pub test: usize,
}

/// A sequence of class `class` with a random start.
pub(crate) fn sequence(class: usize, slots: usize, stream: &mut Stream) -> Vec<usize> {
    let start = stream.below(SYMBOLS);
    (0..slots).map(|slot| (start + slot * (class + 1)) % SYMBOLS).collect()
}

/// The arrangement of class `class` with a random start.
pub(crate) fn arrangement(class: usize, slots: usize, stream: &mut Stream) -> Vec<usize> {
    let start = stream.below(SYMBOLS);
    let mut own = Seed::root(0).child("arrangement").indexed(class as u64).stream();
    (0..slots).map(|_| (start + own.below(SYMBOLS)) % SYMBOLS).collect()
}

pub(crate) fn classes() -> Vec<String> {
    (1..=CLASSES).map(|step| format!("step-{step}")).collect()
}

/// Generates a data set, the same one for every seed of a run. `parameters` names everything that
/// `generate` depends on. `generate` makes an input of a class before its normalisation.
pub(crate) fn dataset(
    spec: &TaskSpec,
    size: Size,
    parameters: &str,
    request: &OpenRequest,
    progress: &dyn Progress,
    generate: impl Fn(usize, &mut Stream) -> Vec<f32> + Sync,
    normalise: impl Fn(&mut [f32]) + Sync,
) -> Result<Dataset, DataError> {
    let samples = samples(size, request.subset);
    let pool: ThreadPool = cache::pool(request.threads)?;
    let root = Seed::root(u64::from(spec.version)).child(spec.name);
    let work = Work {
        folder: &request.cache,
        key: "",
        what: "generating samples",
        samples: samples.len(),
        row: request.input.shape().iter().product(),
        keep: true,
        limit: u64::MAX,
    };
    let prepared = cache::in_memory(&work, &pool, progress, |index| {
        let sample = &samples[index];
        let values = generate(sample.target.classes()[0], &mut root.child(&sample.id).stream());
        Ok(Outcome::Row(Row::measured(values, &normalise)))
    })?;
    let (constant_mean, constant_std) = request.input.constants();
    let facts = DataFacts {
        task: spec.name.to_owned(),
        version: spec.version,
        variant: "generated".to_owned(),
        source: spec.source.to_owned(),
        manifest_sha256: sha256(format!("{} {} {parameters} {size:?}", spec.name, spec.version).as_bytes()),
        counts: counts(samples.iter()),
        subset: request.subset,
        skipped: Vec::new(),
        missing: Missing::default(),
        splitting: None,
        measured_mean: prepared.mean,
        measured_std: prepared.std,
        constant_mean,
        constant_std,
    };
    Ok(Dataset::new(
        facts,
        samples,
        classes(),
        request.input.shape(),
        Inputs::Rows(prepared.rows),
    ))
}

/// Classes in turn, so that any beginning of a split is balanced. A subset may enlarge the training
/// samples, but not the test samples.
fn samples(size: Size, subset: Option<usize>) -> Vec<Sample> {
    let part = |split, name: &'static str, per_class: usize| {
        (0..per_class * CLASSES).map(move |index| Sample {
            id: format!("{name}-{index:05}"),
            target: Target::Class(index % CLASSES),
            fold: None,
            split,
            source: None,
        })
    };
    part(Split::Train, "train", subset.unwrap_or(size.train))
        .chain(part(Split::Test, "test", subset.unwrap_or(size.test).min(size.test)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_equally_frequent_in_every_slot_of_every_class() {
        for (draw, class) in [sequence, arrangement]
            .into_iter()
            .flat_map(|draw| (0..CLASSES).map(move |class| (draw, class)))
        {
            let mut stream = Seed::root(1).indexed(class as u64).stream();
            let mut seen = [[0usize; SYMBOLS]; 7];
            for _ in 0..5_000 {
                let sequence = draw(class, 7, &mut stream);
                seen.iter_mut()
                    .zip(&sequence)
                    .for_each(|(seen, &number)| seen[number] += 1);
            }
            // 1,000 expected, standard deviation 28
            let even = seen.iter().flatten().all(|&count| count.abs_diff(1_000) < 140);
            assert!(even, "class {class}: {seen:?}");
        }
    }

    #[test]
    fn more_training_samples_begin_with_those_of_fewer() {
        let size = Size { train: 5, test: 3 };
        let ids = |subset| {
            samples(size, subset)
                .into_iter()
                .map(|sample| (sample.split, sample.id))
                .collect::<Vec<_>>()
        };
        let of = |split, subset| ids(subset).into_iter().filter(|id| id.0 == split).collect::<Vec<_>>();
        for subset in [None, Some(1), Some(4), Some(7)] {
            let (train, most) = (of(Split::Train, subset), of(Split::Train, Some(9)));
            assert_eq!(train.len(), CLASSES * subset.unwrap_or(5));
            assert_eq!(train, most[..train.len()]);
            assert_eq!(of(Split::Test, subset).len(), CLASSES * subset.unwrap_or(3).min(3));
        }
    }

    #[test]
    fn no_start_makes_one_arrangement_into_another() {
        let mut stream = Seed::root(3).stream();
        let mut of = |class| arrangement(class, 16, &mut stream);
        for (a, b) in (0..CLASSES).flat_map(|a| (0..a).map(move |b| (a, b))) {
            for _ in 0..50 {
                let alike = of(a).iter().zip(of(b)).filter(|(a, b)| *a == b).count();
                assert!(alike <= 8, "classes {a} and {b} share {alike} of 16 slots");
            }
        }
    }

    #[test]
    fn neighbours_belong_to_one_class_only() {
        let mut stream = Seed::root(2).stream();
        let mut owner = std::collections::BTreeMap::new();
        for class in (0..CLASSES).flat_map(|class| [class; 20]) {
            for pair in sequence(class, 16, &mut stream).windows(2) {
                assert_eq!(*owner.entry((pair[0], pair[1])).or_insert(class), class, "{pair:?}");
            }
        }
        assert_eq!(owner.len(), SYMBOLS * CLASSES);
    }
}

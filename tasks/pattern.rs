//! Order and rhythm: what the classes of the generated tasks differ in, and nothing else.
//!
//! A sequence of slots holds four kinds of events and a pause, numbered 0 (the pause) to 4. In class k each slot's number
//! follows from the one before by adding k modulo 5, so that in every class each event and the pause are equally frequent,
//! no two classes share a single pair of neighbours, and neither one slot nor the sum of all tells the class. Now and then a
//! sequence starts again at a random number: copying what came a period earlier then fails, and whoever wants to
//! predict a hidden slot has to find out which step this sequence takes.

use rayon::ThreadPool;

use bridle_seed::{Seed, Stream};

use crate::dataset::counts;
use crate::store::{self, Outcome, Row, Work};
use crate::variant::sha256;
use crate::{DataError, DataFacts, Dataset, OpenRequest, Progress, Sample, Split, TaskSpec};

/// Kinds of events, and the pause.
pub(crate) const SYMBOLS: usize = 5;
/// Classes: the steps from 1 to 4.
pub(crate) const CLASSES: usize = SYMBOLS - 1;
/// The number of the pause.
pub(crate) const PAUSE: usize = 0;

/// How many sequences there are and how long they run between two random starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pattern {
    /// Slots of the shortest run.
    pub shortest: usize,
    /// Slots of the longest run.
    pub longest: usize,
    /// Training samples per class.
    pub train: usize,
    /// Test samples per class.
    pub test: usize,
}

impl Pattern {
    /// One sequence of class `class`.
    pub fn draw(&self, class: usize, slots: usize, stream: &mut Stream) -> Vec<usize> {
        let mut sequence = Vec::with_capacity(slots);
        while sequence.len() < slots {
            let mut number = stream.below(SYMBOLS);
            let run = self.shortest + stream.below(self.longest - self.shortest + 1);
            for _ in 0..run.min(slots - sequence.len()) {
                sequence.push(number);
                number = (number + class + 1) % SYMBOLS;
            }
        }
        sequence
    }
}

/// The classes' names.
pub(crate) fn classes() -> Vec<String> {
    (1..=CLASSES).map(|step| format!("step-{step}")).collect()
}

/// Makes a generated data set: the same one for every seed of a run. `parameters` names all that `generate` depends on;
/// `generate` gives the input of a class before normalisation, `normalise` the rest.
pub(crate) fn dataset(
    spec: &TaskSpec,
    pattern: Pattern,
    parameters: &str,
    request: &OpenRequest,
    progress: &dyn Progress,
    generate: impl Fn(usize, &mut Stream) -> Vec<f32> + Sync,
    normalise: impl Fn(&mut [f32]) + Sync,
) -> Result<Dataset, DataError> {
    let samples = samples(pattern, request.subset);
    let pool: ThreadPool = store::pool(request.threads)?;
    let root = Seed::root(u64::from(spec.version)).child(spec.name);
    let work = Work {
        folder: &request.cache,
        key: "",
        what: "generating samples",
        samples: samples.len(),
        row: request.input.shape().iter().product(),
    };
    let prepared = store::in_memory(&work, &pool, progress, |index| {
        let sample = &samples[index];
        let values = generate(sample.target, &mut root.child(&sample.id).stream());
        Ok(Outcome::Row(Row::measured(values, &normalise)))
    })?;
    let (constant_mean, constant_std) = request.input.constants();
    let facts = DataFacts {
        task: spec.name.to_owned(),
        version: spec.version,
        variant: "generated".to_owned(),
        source: spec.source.to_owned(),
        manifest_sha256: sha256(format!("{} {} {parameters} {pattern:?}", spec.name, spec.version).as_bytes()),
        counts: counts(&samples),
        subset: request.subset,
        skipped: Vec::new(),
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
        prepared.rows,
    ))
}

/// Classes in turn, so that any beginning of a split is balanced.
fn samples(pattern: Pattern, subset: Option<usize>) -> Vec<Sample> {
    let part = |split, name: &'static str, per_class: usize| {
        let per_class = subset.map_or(per_class, |n| n.min(per_class));
        (0..per_class * CLASSES).map(move |index| Sample {
            id: format!("{name}-{index:05}"),
            target: index % CLASSES,
            fold: None,
            split,
        })
    };
    part(Split::Train, "train", pattern.train)
        .chain(part(Split::Test, "test", pattern.test))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATTERN: Pattern = Pattern {
        shortest: 4,
        longest: 8,
        train: 1,
        test: 1,
    };

    #[test]
    fn numbers_are_equally_frequent_in_every_class() {
        for class in 0..CLASSES {
            let mut stream = Seed::root(1).indexed(class as u64).stream();
            let mut seen = [0usize; SYMBOLS];
            for _ in 0..2_000 {
                PATTERN
                    .draw(class, 16, &mut stream)
                    .iter()
                    .for_each(|&number| seen[number] += 1);
            }
            // 32,000 slots, 6,400 expected each; neighbours depend on each other, so the band is wide
            assert!(
                seen.iter().all(|&count| count.abs_diff(6_400) < 320),
                "class {class}: {seen:?}"
            );
        }
    }

    #[test]
    fn within_a_run_neighbours_belong_to_one_class_only() {
        let mut stream = Seed::root(2).stream();
        for class in 0..CLASSES {
            let sequence = PATTERN.draw(class, 4_000, &mut stream);
            let own = sequence
                .windows(2)
                .filter(|pair| (pair[0] + class + 1) % SYMBOLS == pair[1])
                .count();
            // a run has 6 slots on average, so 5 of 6 pairs lie inside one, and a fifth of the others fits by chance
            let share = own as f64 / 3_999.0;
            assert!(
                (share - (5.0 / 6.0 + 1.0 / 30.0)).abs() < 0.03,
                "class {class}: {share}"
            );
        }
    }
}

//! Information in labels: their joint entropy over all levels, their information about class and
//! place, their change.
//!
//! All values are plug-in estimates from the empirical distribution, in bits. Such an estimate of
//! mutual information is too high: by about (rows - 1)(columns - 1) / (2 n ln 2) bits for n
//! independent tokens, and by more here, because tokens of one sample, and samples of one source,
//! are alike. With classes shuffled over clips of ESC-50 a code tells 0.06 bits of them, where the
//! formula says 0.02. So each value has beside it what the same estimate gives where there is
//! nothing to tell ([`shuffled`]). Compare labellings of equal size.

mod annotation;
mod shuffled;

pub use annotation::annotation;

use crate::finite;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Statistics of the labels of a data set's tokens, over all levels together. Information is a
/// plug-in estimate in bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelStatistics {
    pub tokens: u64,
    /// Distinct tuples of codes: all codes that a token takes from each level.
    pub joint_used: u64,
    /// Entropy of the tuples. Where a token takes one code of each level, at most the sum over
    /// levels, and equal to it where levels are independent.
    #[serde(with = "finite")]
    pub joint_entropy_bits: f64,
    /// Mutual information of each level's code with the sample's class, `[levels]`; empty where
    /// samples have none.
    #[serde(with = "finite")]
    pub class_information_bits: Vec<f64>,
    /// The same with the classes shuffled over whole sources. None in older records.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "finite")]
    pub class_information_shuffled_bits: Vec<f64>,
    /// Mutual information of each level's code with the token's place in its sample, `[levels]`.
    #[serde(with = "finite")]
    pub place_information_bits: Vec<f64>,
    /// The same with each sample's places turned by a number of its own, in a circle. None in older
    /// records.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "finite")]
    pub place_information_shuffled_bits: Vec<f64>,
    /// Information of the codes about annotations of single tokens, by name: `word`, `speaker`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, Annotation>,
    /// Difference from the previous labelling. None for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<LabelChange>,
}

/// Information of the codes about an annotation of single tokens, such as the word being said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Annotation {
    /// Tokens with this annotation.
    pub tokens: u64,
    /// Entropy of the annotation: the upper limit of `information_bits`.
    #[serde(with = "finite")]
    pub entropy_bits: f64,
    /// Mutual information of each level's code with the annotation, `[levels]`.
    #[serde(with = "finite")]
    pub information_bits: Vec<f64>,
    /// The same with each sample's annotations those of another one, repeated or cut to its length.
    /// None in older records.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "finite")]
    pub information_shuffled_bits: Vec<f64>,
}

/// Difference between two labellings of the same tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelChange {
    /// Phase after which the earlier labelling was made.
    pub since: String,
    /// Share of tokens whose code differs, `[levels]`. Near 1 where a codebook was restarted, since
    /// its codes are numbered anew even where the same tokens stay together.
    #[serde(with = "finite")]
    pub changed: Vec<f64>,
    /// Mutual information of a token's code before and after, `[levels]`: independent of how codes
    /// are numbered.
    #[serde(with = "finite")]
    pub kept_information_bits: Vec<f64>,
    /// The same with each sample's codes before those of another one, repeated or cut to its length.
    /// None in older records.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "finite")]
    pub kept_information_shuffled_bits: Vec<f64>,
}

#[derive(Clone, Copy, Debug)]
pub struct SampleLabels<'a> {
    /// The recording that it was cut from, by number; else a number of its own.
    pub source: usize,
    /// The sample's classes. A token counts once for each class, and in no class's statistics if
    /// there are none.
    pub classes: &'a [usize],
    /// Codes of its tokens, row-major `[tokens, levels]`; each below the number of codes.
    pub codes: &'a [u16],
}

/// Computes the statistics of a labelling with `levels` codebooks of `codes` codes each. Every
/// sample has the same number of tokens. `change` stays empty.
///
/// Memory: two counts per code and class, two per code and place, and up to 32 bytes per token; with
/// the codes themselves 0.8 GB for 100,000 samples of 256 tokens and 4 levels.
pub fn statistics(samples: &[SampleLabels<'_>], levels: usize, codes: usize) -> LabelStatistics {
    let mut tuples = Tuples::new(levels, codes);
    // of classes and places as they are, and shuffled
    let mut by_class = [(); 2].map(|()| Tables::new(levels, codes));
    let mut by_place = [(); 2].map(|()| Tables::new(levels, codes));
    let count = |sample: &SampleLabels<'_>| sample.codes.len() / levels;
    let classes = shuffled::classes(samples);
    let turns = shuffled::turns(samples.iter().map(count));
    for ((sample, other), turn) in samples.iter().zip(classes).zip(turns) {
        let tokens = count(sample);
        for (place, tuple) in sample.codes.chunks_exact(levels).enumerate() {
            tuples.push(tuple);
            by_class[0].count(tuple, sample.classes);
            by_class[1].count(tuple, other);
            by_place[0].count(tuple, &[place]);
            by_place[1].count(tuple, &[(place + turn) % tokens]);
        }
    }
    let tuples = tuples.counts();
    let [class_information_bits, class_information_shuffled_bits] = by_class.map(|tables| tables.information());
    let [place_information_bits, place_information_shuffled_bits] = by_place.map(|tables| tables.information());
    LabelStatistics {
        tokens: tuples.iter().sum(),
        joint_used: tuples.len() as u64,
        joint_entropy_bits: entropy_bits(tuples),
        class_information_bits,
        class_information_shuffled_bits,
        place_information_bits,
        place_information_shuffled_bits,
        annotations: BTreeMap::new(),
        change: None,
    }
}

/// Compares a labelling with the one made after phase `since`. Pairs hold the codes before and
/// after, `[tokens, levels]` each, of the same samples.
pub fn change(since: &str, samples: &[(&[u16], &[u16])], levels: usize, codes: usize) -> LabelChange {
    let mut kept = [(); 2].map(|()| Tables::new(levels, codes));
    let (mut tokens, mut changed) = (0u64, vec![0u64; levels]);
    for ((before, after), other) in samples.iter().zip(shuffled::others(samples.len())) {
        let mut others = samples[other].0.chunks_exact(levels).cycle();
        for (before, after) in before.chunks_exact(levels).zip(after.chunks_exact(levels)) {
            tokens += 1;
            kept[0].count_each(before, after);
            others
                .next()
                .into_iter()
                .for_each(|other| kept[1].count_each(other, after));
            let differs = before
                .iter()
                .zip(after)
                .map(|(before, after)| u64::from(before != after));
            changed
                .iter_mut()
                .zip(differs)
                .for_each(|(count, differs)| *count += differs);
        }
    }
    let [kept_information_bits, kept_information_shuffled_bits] = kept.map(|tables| tables.information());
    LabelChange {
        since: since.to_owned(),
        changed: changed
            .iter()
            .map(|&count| count as f64 / tokens.max(1) as f64)
            .collect(),
        kept_information_bits,
        kept_information_shuffled_bits,
    }
}

/// The tuples of all tokens, kept to be sorted: a hash table of 25 million takes ten times as long.
enum Tuples {
    /// As numbers to the base K, where they fit.
    Packed { base: u128, keys: Vec<u128> },
    /// Where they do not fit a number.
    Whole(Vec<Box<[u16]>>),
}

impl Tuples {
    fn new(levels: usize, codes: usize) -> Self {
        let base = codes as u128;
        match u32::try_from(levels).ok().and_then(|levels| base.checked_pow(levels)) {
            Some(_) => Self::Packed { base, keys: Vec::new() },
            None => Self::Whole(Vec::new()),
        }
    }

    fn push(&mut self, tuple: &[u16]) {
        match self {
            Self::Packed { base, keys } => {
                keys.push(tuple.iter().fold(0, |key, &code| key * *base + u128::from(code)));
            }
            Self::Whole(keys) => keys.push(tuple.into()),
        }
    }

    /// The count of each tuple that occurs.
    fn counts(self) -> Vec<u64> {
        match self {
            Self::Packed { keys, .. } => run_lengths(keys),
            Self::Whole(keys) => run_lengths(keys),
        }
    }
}

fn run_lengths<T: Ord>(mut values: Vec<T>) -> Vec<u64> {
    values.sort_unstable();
    values.chunk_by(|a, b| a == b).map(|equal| equal.len() as u64).collect()
}

/// Joint counts of codes and the values of another variable.
#[derive(Clone, Debug)]
struct Contingency {
    codes: usize,
    /// Row-major `[values, codes]`; grows with the largest value.
    counts: Vec<u64>,
}

impl Contingency {
    fn new(codes: usize) -> Self {
        Self {
            codes,
            counts: Vec::new(),
        }
    }

    fn count(&mut self, code: u16, value: usize) {
        let place = value * self.codes + usize::from(code);
        if place >= self.counts.len() {
            self.counts.resize((value + 1) * self.codes, 0);
        }
        self.counts[place] += 1;
    }

    /// I(code; value) = H(code) + H(value) - H(code, value); never below 0.
    fn mutual_information(&self) -> f64 {
        let rows = || self.counts.chunks_exact(self.codes);
        let values = rows().map(|row| row.iter().sum()).collect();
        let codes = (0..self.codes).map(|code| rows().map(|row| row[code]).sum()).collect();
        (entropy_bits(codes) + entropy_bits(values) - entropy_bits(self.counts.clone())).max(0.0)
    }
}

/// Joint counts of each level's codes and the values of another variable.
struct Tables(Vec<Contingency>);

impl Tables {
    fn new(levels: usize, codes: usize) -> Self {
        Self(vec![Contingency::new(codes); levels])
    }

    /// Counts a token once for each of these values.
    fn count(&mut self, tuple: &[u16], values: &[usize]) {
        for (table, &code) in self.0.iter_mut().zip(tuple) {
            values.iter().for_each(|&value| table.count(code, value));
        }
    }

    /// Counts a token whose levels have values of their own.
    fn count_each(&mut self, tuple: &[u16], values: &[u16]) {
        for ((table, &code), &value) in self.0.iter_mut().zip(tuple).zip(values) {
            table.count(code, usize::from(value));
        }
    }

    /// The mutual information of each level, in bits.
    fn information(&self) -> Vec<f64> {
        self.0.iter().map(Contingency::mutual_information).collect()
    }
}

/// Entropy of the distribution of these counts. Sorting fixes the order of the sum.
fn entropy_bits(mut counts: Vec<u64>) -> f64 {
    counts.retain(|&count| count > 0);
    counts.sort_unstable();
    let total = counts.iter().sum::<u64>() as f64;
    let sum: f64 = counts
        .iter()
        .map(|&count| count as f64 / total)
        .map(|p| p * p.log2())
        .sum();
    if sum == 0.0 { 0.0 } else { -sum }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
    use super::*;
    use crate::codes::CodebookCounts;
    use bridle_seed::Seed;

    const LEVELS: usize = 2;
    const CODES: usize = 8;

    /// `samples` of 4 classes with 16 tokens each; level 1 is the class, level 2 is drawn.
    fn drawn(samples: usize) -> Vec<(usize, Vec<u16>)> {
        let mut stream = Seed::root(5).stream();
        let codes = |class: usize, stream: &mut bridle_seed::Stream| {
            (0..16)
                .flat_map(|_| [class as u16, stream.below(CODES) as u16])
                .collect()
        };
        (0..samples)
            .map(|sample| (sample % 4, codes(sample % 4, &mut stream)))
            .collect()
    }

    /// Samples of one class each, every one of a source of its own.
    fn labels(samples: &[(usize, Vec<u16>)]) -> Vec<SampleLabels<'_>> {
        let samples = samples.iter().enumerate();
        let labels = samples.map(|(source, (class, codes))| SampleLabels {
            source,
            classes: std::slice::from_ref(class),
            codes,
        });
        labels.collect()
    }

    fn of(samples: &[(usize, Vec<u16>)]) -> LabelStatistics {
        statistics(&labels(samples), LEVELS, CODES)
    }

    #[test]
    fn a_code_that_is_the_class_tells_it_and_a_drawn_one_does_not() {
        let found = of(&drawn(400));
        assert_eq!(found.tokens, 6400);
        assert!((found.class_information_bits[0] - 2.0).abs() < 1e-12);
        // the bias of the plug-in estimate: 3 * 7 / (2 * 6400 ln 2) = 0.0024 bits
        assert!(found.class_information_bits[1] < 0.006, "{found:?}");
        assert!(found.place_information_bits[0].abs() < 1e-12);
        assert!(found.place_information_bits[1] < 0.03);
        // independent levels: the tuple's entropy is nearly the sum of 2 and 3 bits
        assert_eq!(found.joint_used, 32);
        assert!((found.joint_entropy_bits - 5.0).abs() < 0.01);
    }

    #[test]
    fn the_tuple_lies_between_its_best_level_and_the_sum_of_all() {
        let samples = drawn(40);
        let mut counts = CodebookCounts::new(LEVELS, CODES);
        samples.iter().for_each(|(_, codes)| {
            counts
                .add(&codes.iter().map(|&code| i64::from(code)).collect::<Vec<_>>())
                .unwrap()
        });
        let levels: Vec<f64> = counts.statistics().iter().map(|level| level.entropy_bits).collect();
        let joint = of(&samples).joint_entropy_bits;
        assert!(levels.iter().all(|&level| level <= joint + 1e-12));
        assert!(joint <= levels.iter().sum::<f64>() + 1e-12);
    }

    #[test]
    fn order_of_samples_and_names_of_codes_change_nothing() {
        let samples = drawn(40);
        let mut reversed = samples.clone();
        reversed.reverse();
        let renamed: Vec<(usize, Vec<u16>)> = samples
            .iter()
            .map(|(class, codes)| (*class, codes.iter().map(|code| (code + 3) % 8).collect()))
            .collect();
        // a shuffle is of samples in their order
        let unshuffled = |samples| LabelStatistics {
            class_information_shuffled_bits: Vec::new(),
            place_information_shuffled_bits: Vec::new(),
            ..of(samples)
        };
        assert_eq!(unshuffled(&samples), unshuffled(&reversed));
        let (a, b) = (of(&samples), of(&renamed));
        assert!((a.joint_entropy_bits - b.joint_entropy_bits).abs() < 1e-12);
        assert!((a.class_information_bits[1] - b.class_information_bits[1]).abs() < 1e-12);
        let pairs: Vec<_> = samples
            .iter()
            .zip(&renamed)
            .map(|(a, b)| (&a.1[..], &b.1[..]))
            .collect();
        let moved = change("encoder-1", &pairs, LEVELS, CODES);
        assert_eq!(moved.changed, [1.0, 1.0]);
        // all that the codes say is kept: the information is their entropy
        assert!((moved.kept_information_bits[0] - 2.0).abs() < 1e-12);
        // nothing of it against the codes of other samples, but for 40 samples of 4 classes
        assert!(moved.kept_information_shuffled_bits[0] < 0.4, "{moved:?}");
    }

    #[test]
    fn tuples_are_counted_alike_whether_they_fit_a_number_or_not() {
        // 43 levels of 8 codes take 129 bits; the added levels say nothing new
        let samples = drawn(40);
        let wide = 43;
        let repeat = |codes: &[u16]| codes.chunks(LEVELS).flat_map(|t| (0..wide).map(|i| t[i % 2])).collect();
        let repeated: Vec<(usize, Vec<u16>)> = samples.iter().map(|(class, codes)| (*class, repeat(codes))).collect();
        let (narrow, wide) = (of(&samples), statistics(&labels(&repeated), wide, CODES));
        assert_eq!(
            (narrow.joint_used, narrow.joint_entropy_bits, narrow.tokens),
            (wide.joint_used, wide.joint_entropy_bits, wide.tokens)
        );
        assert!(matches!(Tuples::new(43, CODES), Tuples::Whole(_)));
    }

    #[test]
    fn a_sample_of_two_classes_counts_for_both() {
        let samples = drawn(40);
        let with = |classes| {
            let labels = labels(&samples).into_iter();
            let labels: Vec<_> = labels.map(|sample| SampleLabels { classes, ..sample }).collect();
            statistics(&labels, LEVELS, CODES).class_information_bits
        };
        // what is in both classes alike tells nothing of them
        assert!(with(&[0, 1])[0] < 1e-12);
        assert_eq!(with(&[]), [0.0, 0.0]);
        // the same as a copy of the sample for each of its classes
        let of_classes = |classes: &dyn Fn(usize) -> Vec<usize>, copies: usize| {
            let owned: Vec<(Vec<usize>, &[u16])> = (0..copies)
                .flat_map(|copy| samples.iter().map(move |(class, codes)| (class + copy, &codes[..])))
                .map(|(class, codes)| (classes(class), codes))
                .collect();
            let labels =
                owned
                    .iter()
                    .enumerate()
                    .map(|(source, (classes, codes))| SampleLabels { source, classes, codes });
            statistics(&labels.collect::<Vec<_>>(), LEVELS, CODES).class_information_bits
        };
        assert_eq!(
            of_classes(&|class| vec![class, class + 1], 1),
            of_classes(&|class| vec![class], 2)
        );
    }

    /// 1,200 samples of 400 sources; all tokens of a source have one code, and classes are drawn without
    /// a look at the codes.
    fn alike() -> Vec<(usize, usize, Vec<u16>)> {
        let mut stream = Seed::root(8).stream();
        let sources: Vec<(usize, u16)> = (0..400)
            .map(|_| (stream.below(4), stream.below(CODES) as u16))
            .collect();
        let sample = |sample: usize| {
            let (class, code) = sources[sample % 400];
            (sample % 400, class, [code, code].repeat(16))
        };
        (0..1200).map(sample).collect()
    }

    #[test]
    fn what_comes_out_where_there_is_nothing_to_tell_stands_beside_each_value() {
        let samples = alike();
        let labels: Vec<_> = samples
            .iter()
            .map(|(source, class, codes)| SampleLabels {
                source: *source,
                classes: std::slice::from_ref(class),
                codes,
            })
            .collect();
        let found = statistics(&labels, LEVELS, CODES);
        // the classes are drawn, and yet 400 sources tell 3 * 7 / (2 * 400 ln 2) = 0.04 bits: so does the
        // shuffle, but the formula for 19,200 independent tokens says 0.001
        let (value, shuffled) = (
            found.class_information_bits[0],
            found.class_information_shuffled_bits[0],
        );
        assert!(value > 0.015 && shuffled > 0.015, "{found:?}");
        assert!((value - shuffled).abs() < 0.03, "{found:?}");
        // shuffled over samples, the classes would hang together less
        let each = labels
            .iter()
            .enumerate()
            .map(|(source, sample)| SampleLabels { source, ..*sample });
        let each = statistics(&each.collect::<Vec<_>>(), LEVELS, CODES);
        assert!(each.class_information_shuffled_bits[0] < 0.7 * shuffled, "{each:?}");
        assert_eq!(each.class_information_bits, found.class_information_bits);

        // where codes tell the class, the shuffle does not
        let drawn = of(&drawn(400));
        assert!((drawn.class_information_bits[0] - 2.0).abs() < 1e-12);
        assert!(drawn.class_information_shuffled_bits[0] < 0.05, "{drawn:?}");
        // a code that is the place in its sample tells all of it, and nothing once places are turned
        let placed: Vec<(usize, Vec<u16>)> = (0..400)
            .map(|_| (0, (0..16).flat_map(|place| [place / 2, 0]).collect()))
            .collect();
        let placed = of(&placed);
        assert!((placed.place_information_bits[0] - 3.0).abs() < 1e-12);
        assert!(placed.place_information_shuffled_bits[0] < 0.05, "{placed:?}");
    }

    #[test]
    fn the_same_labelling_has_not_changed() {
        let samples = drawn(10);
        let pairs: Vec<_> = samples.iter().map(|(_, codes)| (&codes[..], &codes[..])).collect();
        let still = change("a", &pairs, LEVELS, CODES);
        assert_eq!((still.changed, still.since.as_str()), (vec![0.0, 0.0], "a"));
        let nothing = change("a", &[], LEVELS, CODES);
        assert_eq!(
            (nothing.changed, nothing.kept_information_bits),
            (vec![0.0; 2], vec![0.0; 2])
        );
    }
}

//! Information in labels: their joint entropy over all levels, their information about class and
//! place, their change.
//!
//! All values are plug-in estimates from the empirical distribution, in bits. Such an estimate of
//! mutual information is too high: by about (rows - 1)(columns - 1) / (2 n ln 2) bits for n
//! independent tokens, and by more here, because tokens of one sample, and samples of one source,
//! are alike. With classes shuffled over clips of ESC-50 a code tells 0.06 bits of them, where the
//! formula says 0.02. Compare labellings of equal size.

mod annotation;

pub use annotation::annotation;

use crate::finite;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Statistics of the labels of a data set's tokens, over all levels together. Information is a
/// plug-in estimate in bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelStatistics {
    pub tokens: u64,
    /// Distinct tuples of codes, one code from each level.
    pub joint_used: u64,
    /// Entropy of the tuples. At most the sum over levels; equal to it where levels are
    /// independent.
    #[serde(with = "finite")]
    pub joint_entropy_bits: f64,
    /// Mutual information of each level's code with the sample's class, `[levels]`; empty where
    /// samples have none.
    #[serde(with = "finite")]
    pub class_information_bits: Vec<f64>,
    /// Mutual information of each level's code with the token's place in its sample, `[levels]`.
    #[serde(with = "finite")]
    pub place_information_bits: Vec<f64>,
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
}

#[derive(Clone, Copy, Debug)]
pub struct SampleLabels<'a> {
    /// The sample's classes. A token counts once for each class, and in no class's statistics if
    /// there are none.
    pub classes: &'a [usize],
    /// Codes of its tokens, row-major `[tokens, levels]`; each below the number of codes.
    pub codes: &'a [u16],
}

/// Computes the statistics of a labelling with `levels` codebooks of `codes` codes each. Every
/// sample has the same number of tokens. `change` stays empty.
///
/// Memory: one count per code and class, one per code and place, and up to 32 bytes per token; with
/// the codes themselves 0.8 GB for 100,000 samples of 256 tokens and 4 levels.
pub fn statistics<'a>(
    samples: impl IntoIterator<Item = SampleLabels<'a>>,
    levels: usize,
    codes: usize,
) -> LabelStatistics {
    let mut tuples = Tuples::new(levels, codes);
    let mut by_class = vec![Contingency::new(codes); levels];
    let mut by_place = vec![Contingency::new(codes); levels];
    let mut tokens = 0;
    for sample in samples {
        for (place, tuple) in sample.codes.chunks_exact(levels).enumerate() {
            tokens += 1;
            tuples.push(tuple);
            for (level, &code) in tuple.iter().enumerate() {
                by_place[level].count(code, place);
                sample
                    .classes
                    .iter()
                    .for_each(|&class| by_class[level].count(code, class));
            }
        }
    }
    let tuples = tuples.counts();
    let information = |tables: &[Contingency]| tables.iter().map(Contingency::mutual_information).collect();
    LabelStatistics {
        tokens,
        joint_used: tuples.len() as u64,
        joint_entropy_bits: entropy_bits(tuples),
        class_information_bits: information(&by_class),
        place_information_bits: information(&by_place),
        annotations: BTreeMap::new(),
        change: None,
    }
}

/// Compares a labelling with the one made after phase `since`. Pairs hold the codes before and
/// after, `[tokens, levels]` each, of the same samples.
pub fn change<'a>(
    since: &str,
    samples: impl IntoIterator<Item = (&'a [u16], &'a [u16])>,
    levels: usize,
    codes: usize,
) -> LabelChange {
    let mut tables = vec![Contingency::new(codes); levels];
    let (mut tokens, mut changed) = (0u64, vec![0u64; levels]);
    for (before, after) in samples {
        for (before, after) in before.chunks_exact(levels).zip(after.chunks_exact(levels)) {
            tokens += 1;
            for level in 0..levels {
                changed[level] += u64::from(before[level] != after[level]);
                tables[level].count(before[level], usize::from(after[level]));
            }
        }
    }
    LabelChange {
        since: since.to_owned(),
        changed: changed
            .iter()
            .map(|&count| count as f64 / tokens.max(1) as f64)
            .collect(),
        kept_information_bits: tables.iter().map(Contingency::mutual_information).collect(),
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

    fn of(samples: &[(usize, Vec<u16>)]) -> LabelStatistics {
        let labels = samples.iter().map(|(class, codes)| SampleLabels {
            classes: std::slice::from_ref(class),
            codes,
        });
        statistics(labels, LEVELS, CODES)
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
        assert_eq!(of(&samples), of(&reversed));
        let (a, b) = (of(&samples), of(&renamed));
        assert!((a.joint_entropy_bits - b.joint_entropy_bits).abs() < 1e-12);
        assert!((a.class_information_bits[1] - b.class_information_bits[1]).abs() < 1e-12);
        let pairs = || samples.iter().zip(&renamed).map(|(a, b)| (&a.1[..], &b.1[..]));
        let moved = change("encoder-1", pairs(), LEVELS, CODES);
        assert_eq!(moved.changed, [1.0, 1.0]);
        // all that the codes say is kept: the information is their entropy
        assert!((moved.kept_information_bits[0] - 2.0).abs() < 1e-12);
    }

    #[test]
    fn tuples_are_counted_alike_whether_they_fit_a_number_or_not() {
        // 43 levels of 8 codes take 129 bits; the added levels say nothing new
        let samples = drawn(40);
        let wide = 43;
        let repeat = |codes: &[u16]| codes.chunks(LEVELS).flat_map(|t| (0..wide).map(|i| t[i % 2])).collect();
        let repeated: Vec<(usize, Vec<u16>)> = samples.iter().map(|(class, codes)| (*class, repeat(codes))).collect();
        let labels = repeated.iter().map(|(class, codes)| SampleLabels {
            classes: std::slice::from_ref(class),
            codes,
        });
        let (narrow, wide) = (of(&samples), statistics(labels, wide, CODES));
        assert_eq!(
            (narrow.joint_used, narrow.joint_entropy_bits, narrow.tokens),
            (wide.joint_used, wide.joint_entropy_bits, wide.tokens)
        );
        assert!(matches!(Tuples::new(43, CODES), Tuples::Whole(_)));
    }

    #[test]
    fn a_sample_of_two_classes_counts_for_both() {
        let samples = drawn(40);
        let both = samples.iter().map(|(_, codes)| SampleLabels {
            classes: &[0, 1],
            codes,
        });
        // what is in both classes alike tells nothing of them
        assert!(statistics(both, LEVELS, CODES).class_information_bits[0] < 1e-12);
        let none = samples.iter().map(|(_, codes)| SampleLabels { classes: &[], codes });
        assert_eq!(statistics(none, LEVELS, CODES).class_information_bits, [0.0, 0.0]);
        // the same as a copy of the sample for each of its classes
        let of_classes = |classes: &dyn Fn(usize) -> Vec<usize>, copies: usize| {
            let owned: Vec<(Vec<usize>, &[u16])> = (0..copies)
                .flat_map(|copy| samples.iter().map(move |(class, codes)| (class + copy, &codes[..])))
                .map(|(class, codes)| (classes(class), codes))
                .collect();
            let labels = owned.iter().map(|(classes, codes)| SampleLabels { classes, codes });
            statistics(labels, LEVELS, CODES).class_information_bits
        };
        assert_eq!(
            of_classes(&|class| vec![class, class + 1], 1),
            of_classes(&|class| vec![class], 2)
        );
    }

    #[test]
    fn the_same_labelling_has_not_changed() {
        let samples = drawn(10);
        let still = change(
            "a",
            samples.iter().map(|(_, codes)| (&codes[..], &codes[..])),
            LEVELS,
            CODES,
        );
        assert_eq!((still.changed, still.since.as_str()), (vec![0.0, 0.0], "a"));
        let nothing = change("a", std::iter::empty(), LEVELS, CODES);
        assert_eq!(
            (nothing.changed, nothing.kept_information_bits),
            (vec![0.0; 2], vec![0.0; 2])
        );
    }
}

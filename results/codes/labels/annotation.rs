//! Information of codes about annotations of single tokens: a spoken digit, a phone, the speaker.

use super::{Annotation, Tables, entropy_bits, shuffled};

/// Computes the information of codes, `[tokens, levels]` per sample, about annotations, `[tokens]`
/// per sample. Tokens without an annotation, such as pauses, are left out. Samples may differ in
/// length. Panics unless codes and annotations of a sample have the same number of tokens.
pub fn annotation(samples: &[(&[u16], &[Option<usize>])], levels: usize, codes: usize) -> Annotation {
    let mut tables = [(); 2].map(|()| Tables::new(levels, codes));
    let mut values: Vec<u64> = Vec::new();
    for ((sample, annotations), other) in samples.iter().zip(shuffled::others(samples.len())) {
        assert_eq!(sample.len(), annotations.len() * levels, "an annotation for each token");
        let mut others = samples[other].1.iter().cycle();
        for (tuple, annotation) in sample.chunks_exact(levels).zip(*annotations) {
            if let Some(&Some(other)) = others.next() {
                tables[1].count(tuple, &[other]);
            }
            let Some(value) = *annotation else { continue };
            values.resize(values.len().max(value + 1), 0);
            values[value] += 1;
            tables[0].count(tuple, &[value]);
        }
    }
    let [information_bits, information_shuffled_bits] = tables.map(|tables| tables.information());
    Annotation {
        tokens: values.iter().sum(),
        entropy_bits: entropy_bits(values),
        information_bits,
        information_shuffled_bits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::labels::{SampleLabels, statistics};
    use bridle_seed::Seed;

    const CODES: usize = 8;

    /// Tokens of two levels; level 1 is the annotation, level 2 is drawn. Every third token has
    /// none.
    fn drawn(samples: usize) -> Vec<(Vec<u16>, Vec<Option<usize>>)> {
        let mut stream = Seed::root(6).stream();
        let sample = |number: usize| {
            let tokens = 20 + number % 5;
            let values: Vec<usize> = (0..tokens).map(|_| stream.below(4)).collect();
            let codes = values
                .iter()
                .flat_map(|&value| [value as u16, stream.below(CODES) as u16])
                .collect();
            let annotation = |(token, value): (usize, usize)| (token % 3 > 0).then_some(value);
            (codes, values.into_iter().enumerate().map(annotation).collect())
        };
        (0..samples).map(sample).collect()
    }

    fn of(samples: &[(Vec<u16>, Vec<Option<usize>>)]) -> Annotation {
        let samples: Vec<_> = samples.iter().map(|(codes, known)| (&codes[..], &known[..])).collect();
        annotation(&samples, 2, CODES)
    }

    #[test]
    fn a_code_that_is_the_annotation_tells_all_of_it_and_a_drawn_one_next_to_nothing() {
        let found = of(&drawn(400));
        assert!(
            (found.information_bits[0] - found.entropy_bits).abs() < 1e-12,
            "{found:?}"
        );
        assert!((found.entropy_bits - 2.0).abs() < 0.01);
        // the bias of the plug-in estimate: 3 * 7 / (2 * 5800 ln 2) = 0.0026 bits
        assert!(found.information_bits[1] < 0.007, "{found:?}");
        // with the annotations of other samples, neither tells anything
        assert!(
            found.information_shuffled_bits.iter().all(|bits| *bits < 0.007),
            "{found:?}"
        );
        assert_eq!(
            found.tokens,
            drawn(400).iter().flat_map(|(_, known)| known.iter().flatten()).count() as u64
        );
    }

    #[test]
    fn what_holds_for_a_whole_sample_is_what_its_class_would_be() {
        let samples = drawn(60);
        let classes: Vec<[usize; 1]> = (0..samples.len()).map(|number| [number % 3]).collect();
        let labels = samples.iter().zip(&classes).enumerate();
        let labels = labels.map(|(source, ((codes, _), classes))| SampleLabels { source, classes, codes });
        let by_class = statistics(&labels.collect::<Vec<_>>(), 2, CODES).class_information_bits;
        let known: Vec<Vec<Option<usize>>> = samples
            .iter()
            .zip(&classes)
            .map(|((codes, _), class)| vec![Some(class[0]); codes.len() / 2])
            .collect();
        let pairs = samples
            .iter()
            .zip(&known)
            .map(|((codes, _), known)| (&codes[..], &known[..]));
        let found = annotation(&pairs.collect::<Vec<_>>(), 2, CODES);
        assert_eq!(found.information_bits, by_class);
    }

    #[test]
    fn tokens_without_an_annotation_count_for_nothing() {
        let samples = drawn(20);
        let mut more = samples.clone();
        more.push((vec![7; 60], vec![None; 30]));
        let told = |samples: &[_]| {
            let found = of(samples);
            (found.tokens, found.entropy_bits, found.information_bits)
        };
        assert_eq!(told(&samples), told(&more));
        assert_eq!(told(&more[20..]), (0, 0.0, vec![0.0; 2]));
    }
}

//! Laws of error rates over utterances: agreement with plain sums, coverage over simulated systems,
//! exchange.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use crate::metric::Metric;
use crate::stats::{FoldRuns, Interval, Spread};
use bridle_seed::{Seed, Stream};

const SIMULATIONS: usize = 400;

/// `utterances` transcripts of 3 to 7 words, and for each seed what A and B recognise: every word
/// is wrong with a chance that an utterance's hardness shares between systems and seeds, and B's is
/// `gap` higher.
fn simulated(stream: &mut Stream, utterances: usize, seeds: usize, gap: f64) -> (Vec<String>, Vec<[Vec<String>; 2]>) {
    let lengths: Vec<usize> = (0..utterances).map(|_| 3 + stream.below(5)).collect();
    let hardness: Vec<f64> = (0..utterances).map(|_| 0.4 * stream.uniform_f64()).collect();
    let references = lengths.iter().map(|&n| vec!["ONE"; n].join(" ")).collect();
    let mut system = |chance: f64| -> Vec<String> {
        let words = |(&n, &hard): (&usize, &f64)| {
            let mut word = || ["ONE", "TWO"][usize::from(stream.uniform_f64() < hard + chance)];
            (0..n).map(|_| word()).collect::<Vec<_>>().join(" ")
        };
        lengths.iter().zip(&hardness).map(words).collect()
    };
    let seeds = (0..seeds).map(|_| [system(0.1), system(0.1 + gap)]).collect();
    (references, seeds)
}

fn paired(references: &[String], seeds: &[[Vec<String>; 2]]) -> Paired {
    let sources: Vec<usize> = (0..references.len()).collect();
    let fold = PairedTranscripts {
        references,
        sources: &sources,
        seeds: seeds.iter().map(|[a, b]| [&a[..], &b[..]]).collect(),
    };
    Paired::of_transcripts(Unit::Words, &[fold]).unwrap()
}

/// The spread over utterances of A - B, or of A alone.
fn spread(references: &[String], seeds: &[[Vec<String>; 2]], of_both: bool) -> Spread {
    let (mut values, mut influences) = (Vec::new(), Vec::new());
    for pair in seeds {
        let [a, b] = pair
            .each_ref()
            .map(|found| rate(Unit::Words, references, found).unwrap().influence());
        let sign = if of_both { 1.0 } else { 0.0 };
        values.push(a.value - sign * b.value);
        influences.push(
            a.by_sample
                .iter()
                .zip(&b.by_sample)
                .map(|(a, b)| a - sign * b)
                .collect(),
        );
    }
    let samples = references.len();
    let runs = FoldRuns {
        values,
        influences,
        samples,
    };
    Spread::of(&[runs]).unwrap()
}

fn difference(references: &[String], seeds: &[[Vec<String>; 2]]) -> Interval {
    spread(references, seeds, true).interval_of_difference(Metric::Wer, 0.95)
}

#[test]
fn values_are_sums_over_sums() {
    let (references, seeds) = simulated(&mut Seed::root(1).stream(), 30, 2, 0.1);
    let pair = paired(&references, &seeds);
    for (run, seed) in pair.runs().iter().zip(&seeds) {
        for (value, system) in run.iter().zip(seed) {
            assert_eq!(value.unwrap(), rate(Unit::Words, &references, system).unwrap().value());
        }
    }
    assert_eq!((pair.samples(), pair.discordant()), (30, None));
}

#[test]
fn intervals_hold_the_true_difference_and_the_true_rate() {
    let (mut of_both, mut alone) = (0, 0);
    for simulation in 0..SIMULATIONS {
        let seed = Seed::root(2).indexed(simulation as u64);
        let (references, seeds) = simulated(&mut seed.stream(), 60, 1, 0.1);
        let found = difference(&references, &seeds);
        of_both += usize::from(found.low <= -0.1 && -0.1 <= found.high);
        let found = spread(&references, &seeds, false).interval(Metric::Wer, 0.95);
        assert_eq!((found.n, &found.method[..]), (60, "log"));
        // words are wrong with a chance of 0.1 and half of 0.4
        alone += usize::from(found.low <= 0.3 && 0.3 <= found.high);
    }
    // 0.95 less what a variance of 60 utterances loses, and three standard errors of 400 simulations
    for held in [of_both, alone] {
        let share = held as f64 / SIMULATIONS as f64;
        assert!((0.90..=0.985).contains(&share), "{share}");
    }
}

#[test]
fn small_p_values_are_as_rare_as_they_say_where_systems_are_alike() {
    let p = |simulation: usize| {
        let seed = Seed::root(3).indexed(simulation as u64);
        let (references, seeds) = simulated(&mut seed.stream(), 40, 2, 0.0);
        paired(&references, &seeds).permutation(99, &seed.child("p")).unwrap()
    };
    let small = (0..SIMULATIONS).filter(|&simulation| p(simulation) <= 0.1).count();
    // 40 expected, 6 is one standard deviation
    assert!((20..=60).contains(&small), "{small}");
}

#[test]
fn exchanging_the_systems_turns_the_difference_round() {
    let (references, seeds) = simulated(&mut Seed::root(4).stream(), 40, 3, 0.2);
    let turned: Vec<[Vec<String>; 2]> = seeds.iter().map(|[a, b]| [b.clone(), a.clone()]).collect();
    let [one, other] = [&seeds, &turned].map(|seeds| difference(&references, seeds));
    assert!((one.low + other.high).abs() < 1e-12 && (one.high + other.low).abs() < 1e-12);
    assert!(one.high < 0.0, "{one:?}");
    assert_eq!(one.method, "runs and samples, linear");
}

#[test]
fn what_has_no_rate_or_no_partner_is_refused() {
    let words = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect::<Vec<_>>();
    assert_eq!(
        rate(Unit::Words, &words(&["ONE"]), &words(&[])),
        Err(MetricError::Utterances { expected: 1, found: 0 })
    );
    let empty = words(&["", ""]);
    let fold = PairedTranscripts {
        references: &empty,
        sources: &[0, 1],
        seeds: vec![[&empty, &empty]],
    };
    assert_eq!(
        Paired::of_transcripts(Unit::Words, &[fold]).map(|_| ()),
        Err(MetricError::NoTranscript)
    );
}

//! What information comes out where there is none: the values are shuffled over whole sources or
//! samples, so that tokens of one sample hang together as they did.
//!
//! One shuffle, drawn from a fixed seed: the same labels have the same baseline.

use super::SampleLabels;
use bridle_seed::{Seed, Stream};
use std::collections::BTreeMap;

fn stream(name: &str) -> Stream {
    Seed::root(0).child("shuffled labels").child(name).stream()
}

/// The classes of each sample with those of whole sources shuffled, `[samples]`: every sample of a
/// source gets the classes of another source's first sample.
pub(super) fn classes<'a>(samples: &[SampleLabels<'a>]) -> Vec<&'a [usize]> {
    let mut places = BTreeMap::new();
    let mut of_sources = Vec::new();
    for sample in samples {
        places.entry(sample.source).or_insert_with(|| {
            of_sources.push(sample.classes);
            of_sources.len() - 1
        });
    }
    let shuffled = stream("classes").permutation(of_sources.len());
    let of_sample = |sample: &SampleLabels| of_sources[shuffled[places[&sample.source]]];
    samples.iter().map(of_sample).collect()
}

/// How far the places of each sample's tokens are turned, in a circle.
pub(super) fn turns(tokens: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let mut stream = stream("places");
    tokens.into_iter().map(|tokens| stream.below(tokens.max(1))).collect()
}

/// For each of so many samples another one, whose values it gets.
pub(super) fn others(samples: usize) -> Vec<usize> {
    stream("samples").permutation(samples)
}

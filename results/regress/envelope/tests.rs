//! How often a run of the same plan leaves its envelope, and that one which differs does.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use crate::fixtures::record;
use bridle_seed::{Seed, Stream};

const POINTS: usize = 40;
const CURVES: usize = 7;

/// How the curves of runs deviate from their mean.
#[derive(Clone, Copy, Debug)]
struct Deviations {
    runs: usize,
    /// Share of the variance that a whole curve has in common.
    common: f64,
    /// Correlation of the rest from one point to the next.
    next: f64,
    /// Whether the deviation grows eighteenfold over the curve.
    grows: bool,
}

/// A run whose curves deviate so.
fn drawn(of: Deviations, stream: &mut Stream) -> GateRun {
    let mut run = GateRun::from_json(&record(0, 100).to_json().unwrap()).unwrap();
    let mut normal = || f64::from(stream.normal());
    let curve = |number: usize| {
        let (common, mut rest) = (of.common.sqrt() * normal(), normal());
        let value = |point: usize| {
            if point > 0 {
                rest = of.next * rest + (1.0 - of.next * of.next).sqrt() * normal();
            }
            let scale = if of.grows {
                0.1 + 1.7 * point as f64 / (POINTS - 1) as f64
            } else {
                1.0
            };
            (3.0 - 0.05 * point as f64 + 0.1 * scale * (common + (1.0 - of.common).sqrt() * rest)).exp()
        };
        RunCurve {
            phase: "encoder-1".into(),
            what: number.to_string(),
            steps: (0..POINTS as u64).collect(),
            values: (0..POINTS).map(value).collect(),
        }
    };
    run.curves = (0..CURVES).map(curve).collect();
    run
}

/// The share of runs that leave the envelope of others of the same kind.
fn left(of: Deviations, data_sets: usize) -> f64 {
    let seed = Seed::root(7).child(&format!("{of:?}"));
    let leaves = |data_set: usize| {
        let mut stream = seed.indexed(data_set as u64).stream();
        let runs: Vec<GateRun> = (0..of.runs).map(|_| drawn(of, &mut stream)).collect();
        let envelope = PlanEnvelope::of(&runs.iter().collect::<Vec<_>>());
        !envelope.departures(&drawn(of, &mut stream)).is_empty()
    };
    (0..data_sets).filter(|&data_set| leaves(data_set)).count() as f64 / data_sets as f64
}

#[test]
fn a_run_of_the_same_plan_rarely_leaves() {
    let data_sets = 400;
    // three standard errors of a share of 5 or 8 %
    let room = |share: f64| share + 3.0 * (share * (1.0 - share) / data_sets as f64).sqrt();
    for runs in [3, 4, 5, 10] {
        for (common, next) in [(0.0, 0.0), (0.3, 0.5), (0.6, 0.9), (0.9, 0.9), (1.0, 0.0)] {
            for grows in [false, true] {
                let of = Deviations {
                    runs,
                    common,
                    next,
                    grows,
                };
                let found = left(of, data_sets);
                assert!(found <= room(if grows { 0.08 } else { 0.05 }), "{of:?}: {found}");
            }
        }
    }
    // the rule is no wider than it must be
    let tight = Deviations {
        runs: 3,
        common: 1.0,
        next: 0.0,
        grows: false,
    };
    let found = left(tight, data_sets);
    assert!(found >= 0.02, "{found}");
}

#[test]
fn a_curve_that_falls_to_another_place_leaves_at_its_step() {
    let of = Deviations {
        runs: 5,
        common: 0.5,
        next: 0.5,
        grows: false,
    };
    let mut stream = Seed::root(3).stream();
    let mut run = |seed: u64| {
        let mut run = drawn(of, &mut stream);
        run.key.seed = seed;
        run
    };
    let runs: Vec<GateRun> = (0..5).map(&mut run).collect();
    let envelopes = Envelopes::of(&runs).unwrap();
    assert_eq!(envelopes.left(&runs), []);
    let text = serde_json::to_string(&envelopes).unwrap();
    assert_eq!(serde_json::from_str::<Envelopes>(&text).unwrap(), envelopes);
    // a codebook collapses at step 23
    let mut collapsed = run(9);
    collapsed.curves[4].values[23..]
        .iter_mut()
        .for_each(|value| *value /= 5.0);
    let left = envelopes.left(&[collapsed.clone()]);
    let departures = &left[0].departures;
    assert_eq!((left.len(), departures.len(), left[0].runs), (1, 1, 5));
    assert_eq!((departures[0].step, &*departures[0].what), (23, "4"));
    assert_eq!((departures[0].outside, departures[0].points), (17, 40));
    assert!(departures[0].value < departures[0].low && departures[0].low < departures[0].high);
    for wrong in [0.0, f64::INFINITY, f64::NAN] {
        collapsed.curves[4].values = vec![wrong; POINTS];
        assert_eq!(envelopes.left(&[collapsed.clone()])[0].departures[0].step, 0, "{wrong}");
    }
    // another plan has no envelope; two runs make none
    collapsed.key.plan_hash = "000000000000".into();
    assert_eq!(envelopes.left(&[collapsed]), []);
    assert!(Envelopes::of(&runs[..2]).is_err());
    assert!(Envelopes::of(&[runs[0].clone(), runs[0].clone(), runs[0].clone()]).is_err());
}

#[test]
fn committed_runs_lie_in_the_envelope_of_the_other_seeds() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("records");
    let runs = GateRun::find(&[folder]).unwrap();
    let envelopes = Envelopes::of(&runs).unwrap();
    assert!(envelopes.plans.len() >= 5 && envelopes.plans.iter().all(|plan| !plan.curves.is_empty()));
    // also those of other number types, which are no part of them
    let left = envelopes.left(&runs);
    assert!(left.is_empty(), "{left:#?}");
}

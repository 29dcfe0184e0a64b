//! Which groups of runs are paired, what is left out, and what filters keep.

use super::*;
use crate::fixtures::backend;

/// The same run under another plan: method and quantizer, backend, protocol.
fn group(quantizer: Option<&str>, on: &str, protocol: &str, hash: &str, top1: usize) -> ScoredRun {
    let mut run = run(0, Some(1), top1, 3);
    let scores = std::mem::take(&mut run.record.scores);
    run.record = other(run.record, quantizer, hash, 0);
    run.record.backend = backend(on);
    run.record.scores = scores;
    run.record
        .scores
        .iter_mut()
        .for_each(|score| score.protocol = protocol.into());
    scores_of(&mut run).protocols[0].protocol = protocol.into();
    run.path = format!("{hash}.json").into();
    run
}

const RQ: Option<&str> = Some("rq");
const VQ: Option<&str> = Some("vq");

/// The blocks with what was left out, in words.
fn blocks(a: &[ScoredRun], b: &[ScoredRun]) -> String {
    let found = compare(a, b, 20, &Seed::root(0)).unwrap();
    let block = |block: &Comparison| {
        let [a, b] = &block.names;
        format!("{} {}: {a} | {b}\n", block.task, block.protocol)
    };
    let blocks: String = found.comparisons.iter().map(block).collect();
    format!("{blocks}{}", found.left_out.join("\n"))
}

#[test]
fn folders_are_paired_by_protocol_and_backend() {
    let rq = [
        group(RQ, "flex", "linear-probe", "f00000000000", 80),
        group(RQ, "tch", "linear-probe", "a00000000000", 90),
        group(RQ, "tch", "finetune", "b00000000000", 90),
        group(RQ, "tch", "knn", "a00000000000", 70),
    ];
    let vq = [
        group(VQ, "tch", "finetune", "c00000000000", 100),
        group(VQ, "tch", "linear-probe", "d00000000000", 110),
    ];
    insta::assert_snapshot!(blocks(&rq, &vq), @r"
    esc50 finetune: bridle rq, tch fp32, plan b00000 | bridle vq, tch fp32, plan c00000
    esc50 linear-probe: bridle rq, tch fp32, plan a00000 | bridle vq, tch fp32, plan d00000
    no partner by knn on esc50: bridle rq, tch fp32, plan a00000 of A
    no partner by linear-probe on esc50: bridle rq, flex fp32, plan f00000 of A
    ");
}

#[test]
fn one_group_is_compared_with_the_other_whatever_they_are() {
    let a = [group(RQ, "flex", "knn", "f00000000000", 80)];
    let b = [group(None, "tch", "knn", "a00000000000", 90)];
    insta::assert_snapshot!(blocks(&a, &b), @"esc50 knn: bridle rq, flex fp32, plan f00000 | random-init, tch fp32, plan a00000");
}

#[test]
fn of_several_methods_and_plans_each_meets_its_own() {
    let a = [
        group(RQ, "tch", "knn", "a00000000000", 80),
        group(RQ, "tch", "knn", "b00000000000", 80),
        group(VQ, "tch", "knn", "c00000000000", 90),
    ];
    let mut b = a.to_vec();
    b.reverse();
    // a plan may change where there is one of its method
    b[0].record.plan_hash = "d00000000000".into();
    b.push(group(None, "tch", "knn", "e00000000000", 70));
    insta::assert_snapshot!(blocks(&a, &b), @r"
    esc50 knn: bridle rq, tch fp32, plan a00000 | bridle rq, tch fp32, plan a00000
    esc50 knn: bridle rq, tch fp32, plan b00000 | bridle rq, tch fp32, plan b00000
    esc50 knn: bridle vq, tch fp32, plan c00000 | bridle vq, tch fp32, plan d00000
    no partner by knn on esc50: random-init, tch fp32, plan e00000 of B
    ");
}

#[test]
fn a_choice_is_left_to_the_user() {
    let rq = group(RQ, "tch", "knn", "a00000000000", 80);
    let restart = group(RQ, "tch", "knn", "b00000000000", 80);
    let vq = group(VQ, "tch", "knn", "c00000000000", 90);
    let several = [rq.clone(), vq.clone()];
    for (a, b) in [
        (&several[..], &several[..1]),
        (&several[1..], &[rq.clone(), restart.clone()]),
        (&several, &[rq, group(None, "tch", "knn", "e00000000000", 70)]),
    ] {
        assert!(matches!(refused(a, b), CompareError::Ambiguous { .. }));
    }
    let error = refused(&[vq], &[restart, several[0].clone()]);
    insta::assert_snapshot!(error, @"knn runs can be paired in several ways; A has bridle vq, tch fp32, plan c00000; B has bridle rq, tch fp32, plan a00000 | bridle rq, tch fp32, plan b00000");
}

#[test]
fn a_pair_without_a_run_in_common_stops_no_other() {
    let mut later = group(VQ, "tch", "finetune", "c00000000000", 100);
    later.record.seed = 5;
    let a = [
        group(RQ, "tch", "finetune", "b00000000000", 90),
        group(RQ, "tch", "knn", "a00000000000", 80),
    ];
    let b = [later, group(VQ, "tch", "knn", "d00000000000", 90)];
    insta::assert_snapshot!(blocks(&a, &b), @r"
    esc50 knn: bridle rq, tch fp32, plan a00000 | bridle vq, tch fp32, plan d00000
    no finetune run in common: A has seed 0 fold 1, B has seed 5 fold 1
    ");
    assert!(matches!(refused(&a[..1], &b[..1]), CompareError::NoCommonRun { .. }));
}

#[test]
fn filters_keep_what_has_one_value_of_each_key() {
    let out = tempfile::tempdir().unwrap();
    for (quantizer, on, hash) in [
        (RQ, "tch", "a00000000000"),
        (RQ, "flex", "b00000000000"),
        (None, "tch", "c00000000000"),
    ] {
        let mut run = group(quantizer, on, "knn", hash, 80);
        let predictions = scores_of(&mut run).clone();
        store::write(out.path(), &run.record, Some(&predictions)).unwrap();
    }
    let read = |words: &[&str]| {
        let filters: Vec<Filter> = words.iter().map(|word| word.parse().unwrap()).collect();
        ScoredRun::read(out.path(), &filters).map(|runs| {
            let hash = |run: &ScoredRun| run.record.plan_hash[..1].to_string();
            let mut hashes: Vec<String> = runs.iter().map(hash).collect();
            hashes.sort();
            hashes.concat()
        })
    };
    let expected: [(&[&str], &str); 9] = [
        (&[], "abc"),
        (&["backend=tch"], "ac"),
        (&["backend=tch", "quantizer=rq"], "a"),
        (&["plan=b0", "plan=c"], "bc"),
        (&["quantizer=none"], "c"),
        (&["method=random-init"], "c"),
        (&["pretrain.encoder.rate=0.0010"], "abc"),
        (&["seed=0", "fold=1", "dtype=fp32", "task=esc50"], "abc"),
        (&["protocol=knn", "protocol=finetune"], "abc"),
    ];
    for (words, hashes) in expected {
        assert_eq!(read(words).unwrap(), hashes, "{words:?}");
    }
    let refusals = [read(&["backend=tch", "plan=b"]), read(&["quantiser=rq"])];
    let [nothing, unknown] = refusals.map(Result::unwrap_err);
    assert!(nothing.to_string().ends_with("has backend=tch and plan=b"), "{nothing}");
    assert_eq!(unknown.to_string(), "no record has a value `quantiser`");
    assert!("quantizer".parse::<Filter>().is_err() && "=rq".parse::<Filter>().is_err());
}

#[test]
fn a_filter_by_protocol_leaves_the_scores_of_the_others() {
    let out = tempfile::tempdir().unwrap();
    let mut run = run(0, Some(1), 80, 3);
    run.record.scores.push(Score {
        protocol: "knn".into(),
        ..run.record.scores[0].clone()
    });
    let predictions = scores_of(&mut run).clone();
    store::write(out.path(), &run.record, Some(&predictions)).unwrap();
    let kept = ScoredRun::read(out.path(), &["protocol=knn".parse().unwrap()]).unwrap();
    let protocols: Vec<&str> = kept[0].record.scores.iter().map(|score| &score.protocol[..]).collect();
    assert_eq!(protocols, ["knn"]);
}

#[test]
fn seeds_on_different_data_are_never_one_group() {
    let on = |manifest: &str, mut run: ScoredRun| {
        run.record.data.variant = "different".into();
        run.record.data.manifest_sha256 = Some(manifest.repeat(64));
        run
    };
    let rq = |seed: u64| {
        let mut rq = group(RQ, "flex", "knn", "f00000000000", 80);
        rq.record.seed = seed;
        rq
    };
    let vq = group(VQ, "flex", "knn", "a00000000000", 90);
    let a = [on("1", rq(0)), on("2", rq(1))];
    let found = blocks(&a, &[on("1", vq.clone())]);
    let (paired, alone) = found.split_once('\n').unwrap();
    assert!(
        paired.starts_with("esc50 knn: bridle rq, flex fp32, plan f00000, data "),
        "{found}"
    );
    assert!(
        alone.starts_with("no partner by knn on esc50: bridle rq, flex fp32, plan f00000, data "),
        "{found}"
    );
    // both sides on one data set each, but not the same
    let found = compare(&a[..1], &[on("2", vq.clone())], 20, &Seed::root(0)).unwrap();
    let notes = &found.comparisons[0].notes;
    assert!(
        notes.iter().any(|note| note.starts_with("different data: A ")),
        "{notes:?}"
    );
    let error = compare(&a, &[on("3", vq)], 20, &Seed::root(0)).unwrap_err();
    assert!(matches!(error, CompareError::Ambiguous { .. }), "{error}");
}

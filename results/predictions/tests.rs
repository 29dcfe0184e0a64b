//! Round trip of predictions, and refusal of what is none.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use proptest::prelude::*;

fn finite_f32() -> impl Strategy<Value = f32> {
    prop::num::f32::POSITIVE | prop::num::f32::NEGATIVE | prop::num::f32::SUBNORMAL | prop::num::f32::ZERO
}

fn predictions() -> impl Strategy<Value = Predictions> {
    (0usize..6, 1usize..4, 0usize..3, any::<bool>()).prop_flat_map(|(n, classes, protocols, named)| {
        let targets = prop::collection::vec(0..classes as u32, 0..=2);
        let scores = prop::collection::vec(finite_f32(), n * classes);
        let ids = prop::collection::vec("[a-zA-Z0-9 ,;\"é/._-]{0,8}", n);
        let sources = prop::collection::vec("[a-z ,]{0,4}", n).prop_map(move |all| named.then_some(all));
        let all = (
            ids,
            sources,
            prop::collection::vec(targets, n),
            prop::collection::vec(scores, protocols),
        );
        all.prop_map(move |(ids, sources, targets, scores)| {
            let named = scores.into_iter().zip(["linear-probe", "knn.cosine"]);
            let protocols = named
                .map(|(scores, name)| ProtocolScores {
                    protocol: name.into(),
                    scores,
                })
                .collect();
            // without any score the file does not tell how many classes there are
            Predictions {
                ids,
                targets,
                sources,
                classes,
                protocols,
            }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn csv_gives_back_the_same_bits(written in predictions()) {
        let csv = written.to_csv().unwrap();
        if written.protocols.is_empty() && written.targets.iter().any(|targets| !targets.is_empty()) {
            prop_assert!(Predictions::from_csv(&csv).is_err());
            return Ok(());
        }
        let read = Predictions::from_csv(&csv).unwrap();
        prop_assert_eq!((&read.ids, &read.targets, &read.sources), (&written.ids, &written.targets, &written.sources));
        let bits = |all: &Predictions| -> Vec<(String, Vec<u32>)> {
            all.protocols.iter().map(|p| (p.protocol.clone(), p.scores.iter().map(|s| s.to_bits()).collect())).collect()
        };
        prop_assert_eq!(bits(&read), bits(&written));
        prop_assert_eq!(read.to_csv().unwrap(), csv);
    }
}

fn two(scores: Vec<f32>) -> Predictions {
    Predictions {
        ids: vec!["a".into(), "b".into()],
        targets: vec![vec![1], vec![0]],
        sources: None,
        classes: 2,
        protocols: vec![ProtocolScores {
            protocol: "knn".into(),
            scores,
        }],
    }
}

#[test]
fn the_file_reads_as_its_header_says() {
    let csv = two(vec![0.1, 1e-30, -0.0, 3.0]).to_csv().unwrap();
    insta::assert_snapshot!(String::from_utf8(csv).unwrap(), @r"
    id,target,knn.0,knn.1
    a,1,0.1,0.000000000000000000000000000001
    b,0,-0,3
    ");
}

#[test]
fn what_is_no_prediction_is_refused() {
    let checks = [
        two(vec![0.0, 1.0, f32::NAN, 0.0]).to_csv().unwrap_err(),
        two(vec![0.0; 3]).to_csv().unwrap_err(),
        Predictions::new(vec!["a".into()], vec![vec![2]], 2, Vec::new()).unwrap_err(),
        Predictions::from_csv(b"id,target,knn.1\n").unwrap_err(),
        Predictions::from_csv(b"name,target\n").unwrap_err(),
        Predictions::from_csv(b"id,target,a.0,a.1,b.0\n").unwrap_err(),
        Predictions::from_csv(b"id,target,knn.0\na,0,0.5\nb,0,half\n").unwrap_err(),
        Predictions::from_csv(b"id,target,knn.0\na,cat,0.5\n").unwrap_err(),
        Predictions::from_csv(b"id,target,knn.0\na,0,inf\n").unwrap_err(),
        Predictions::from_csv(b"id,target,knn.0\na,0\n").unwrap_err(),
    ];
    let messages: Vec<String> = checks.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(messages.join("\n"));
}

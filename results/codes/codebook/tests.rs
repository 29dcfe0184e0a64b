//! Laws of codebook statistics, and the parity case where its folder is given.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use proptest::prelude::*;

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * b.abs().max(1.0)
}

#[test]
fn even_use_has_the_perplexity_of_the_codebook() {
    let statistics = CodebookStatistics::from_counts(&[7; 256]);
    assert!(close(statistics.entropy_bits, 8.0) && close(statistics.perplexity, 256.0));
    assert!(close(statistics.normalised_entropy(), 1.0));
    assert_eq!((statistics.used, statistics.dead, statistics.usage), (256, 0, 1.0));
}

#[test]
fn one_code_has_no_entropy() {
    let statistics = CodebookStatistics::from_counts(&[0, 9, 0, 0]);
    assert_eq!((statistics.entropy_bits, statistics.perplexity), (0.0, 1.0));
    assert!(
        statistics.entropy_bits.is_sign_positive(),
        "a minus sign would be shown"
    );
    assert_eq!((statistics.used, statistics.dead, statistics.usage), (1, 3, 0.25));
    assert_eq!(statistics.reference_ecu(), f64::INFINITY);
}

#[test]
fn nothing_counted_is_all_dead() {
    let statistics = CodebookCounts::new(1, 4).statistics().remove(0);
    assert_eq!(
        (statistics.dead, statistics.usage, statistics.perplexity),
        (4, 0.0, 1.0)
    );
}

#[test]
fn a_wrong_batch_is_named_and_not_counted() {
    let mut counts = CodebookCounts::new(2, 4);
    counts.add(&[0, 1, 2, 3]).unwrap();
    let before = counts.clone();
    for code in [4, -1, i64::MAX] {
        let error = counts.add(&[0, 0, 1, code]).unwrap_err();
        assert_eq!(
            error,
            CodebookError::OutOfRange {
                code,
                row: 1,
                level: 1,
                codes: 4
            }
        );
    }
    assert_eq!(
        counts.add(&[0, 1, 2]).unwrap_err(),
        CodebookError::Ragged { len: 3, levels: 2 }
    );
    assert_eq!(counts, before);
    assert_eq!(counts.rows(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn statistics_keep_their_bounds(counts in prop::collection::vec(0u64..1000, 1..40)) {
        let statistics = CodebookStatistics::from_counts(&counts);
        prop_assert_eq!(statistics.used + statistics.dead, statistics.codes);
        prop_assert!(statistics.perplexity >= 1.0 - 1e-12);
        prop_assert!(statistics.perplexity <= statistics.used.max(1) as f64 * (1.0 + 1e-12));
        prop_assert!(close(statistics.entropy_bits.exp2(), statistics.perplexity));
        let mut permuted = counts.clone();
        permuted.reverse();
        prop_assert!(close(CodebookStatistics::from_counts(&permuted).entropy_bits, statistics.entropy_bits));
    }

    #[test]
    fn batches_add_up(codes in prop::collection::vec(0i64..8, 1..60), cut in 0usize..30) {
        let rows = &codes[..codes.len() / 2 * 2];
        let cut = (cut * 2).min(rows.len());
        let (mut whole, mut parts) = (CodebookCounts::new(2, 8), CodebookCounts::new(2, 8));
        whole.add(rows).unwrap();
        parts.add(&rows[..cut]).unwrap();
        parts.add(&rows[cut..]).unwrap();
        prop_assert_eq!(whole, parts);
    }
}

/// The case's figures, from the folder in `$BRIDLE_PARITY` or the committed core; infinite values
/// are stored as 9999.
#[test]
fn statistics_equal_the_parity_case() {
    let committed = || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/parity");
    let folder = std::env::var_os("BRIDLE_PARITY").map_or_else(committed, Into::into);
    let base = folder.join("codebook_stats");
    if !base.with_extension("json").exists() {
        println!("needs outside data: the parity case codebook_stats");
        assert_ne!(
            std::env::var("BRIDLE_REQUIRE_DATA").as_deref(),
            Ok("1"),
            "{} is missing",
            base.display()
        );
        return;
    }
    let case: serde_json::Value = serde_json::from_slice(&std::fs::read(base.with_extension("json")).unwrap()).unwrap();
    let bytes = std::fs::read(base.with_extension("safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let integers = |name: &str| -> Vec<i64> {
        tensors
            .tensor(name)
            .unwrap()
            .data()
            .chunks(8)
            .map(|b| i64::from_le_bytes(b.try_into().unwrap()))
            .collect()
    };
    let floats = |name: &str| -> Vec<f64> {
        let data = tensors.tensor(name).unwrap().data();
        data.chunks(4)
            .map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap())))
            .collect()
    };
    let tolerance = |key: &str| case["tolerance"]["float32"][key].as_f64().unwrap();
    let (levels, codes) = (
        case["config"]["levels"].as_u64().unwrap(),
        case["config"]["code_num"].as_u64().unwrap(),
    );
    let mut counts = CodebookCounts::new(levels as usize, codes as usize);
    counts.add(&integers("codes")).unwrap();
    let statistics = counts.statistics();

    let found: Vec<i64> = statistics
        .iter()
        .flat_map(|s| s.counts.iter().map(|&count| count as i64))
        .collect();
    assert_eq!(found, integers("counts"));
    assert_eq!(
        statistics.iter().map(|s| s.dead as i64).collect::<Vec<_>>(),
        integers("dead")
    );
    type Of = fn(&CodebookStatistics) -> f64;
    let all: [(&str, Of); 8] = [
        ("usage", |s| s.usage),
        ("entropy_nats", |s| s.entropy_nats()),
        ("entropy_bits", |s| s.entropy_bits),
        ("perplexity", |s| s.perplexity),
        ("normalised_entropy", |s| s.normalised_entropy()),
        ("reference_CUR", |s| s.reference_cur()),
        ("reference_UE", |s| s.reference_ue()),
        ("reference_ECU", |s| {
            if s.reference_ecu().is_finite() {
                s.reference_ecu()
            } else {
                9999.0
            }
        }),
    ];
    for (name, of) in all {
        for (level, (found, expected)) in statistics.iter().map(of).zip(floats(name)).enumerate() {
            let allowed = tolerance("atol") + tolerance("rtol") * expected.abs();
            assert!(
                (found - expected).abs() <= allowed,
                "{name}, level {level}: {found} instead of {expected}"
            );
        }
    }
}

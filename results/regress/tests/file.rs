//! Laws of the baseline file: bands from a spread, the round trip, and what is said of a malformed
//! one.

use super::*;

#[test]
fn a_spread_gives_bands_of_standard_deviations() {
    let rq = &runs()[..3];
    let bands = Bands::new(Bands::ABSOLUTE, Bands::RELATIVE);
    let baseline = Baseline::of(rq, bands, Some(2.0)).unwrap();
    // top1 is 165, 160 and 172 of 400: a standard deviation of 6.0277 / 400
    let Some(Width::Absolute(width)) = baseline.runs[0].entries[0].width else {
        panic!("no band of its own")
    };
    assert!((width - 2.0 * 6.027_713_773 / 400.0).abs() < 1e-9, "{width}");
    // the codebooks of these records are the same for every seed
    let own = baseline
        .runs
        .iter()
        .flat_map(|run| &run.entries)
        .filter(|entry| entry.width.is_some());
    assert!(own.clone().all(|entry| entry.quantity.section == QuantityKind::Scores));
    assert_eq!(own.count(), 6);
    let error = Baseline::of(&rq[..2], bands, Some(2.0)).unwrap_err();
    assert!(matches!(error, BaselineError::FewSeeds { seeds: 2, .. }), "{error}");
}

#[test]
fn a_baseline_reads_as_it_was_written() {
    let mut baseline = baseline(&runs());
    baseline.runs[0].entries[0].width = Some(Width::Relative(0.125));
    baseline.runs[0].entries[1].width = Some(Width::Absolute(1e-7));
    baseline.runs[0].entries[2].two_sided = Some(false);
    baseline.bands.scores.two_sided = true;
    assert_eq!(Baseline::from_toml(&baseline.to_toml()).unwrap(), baseline);
    insta::assert_snapshot!(super::baseline(&runs()[2..4]).to_toml());
}

#[test]
fn a_malformed_baseline_is_told_with_line_and_key() {
    let good = baseline(&runs()[..1]).to_toml();
    let edits = [
        ("task = \"esc50\"", "task = "),
        ("task = \"esc50\"\n", ""),
        ("task = \"esc50\"", "task = 50"),
        ("seed = 0", "seed = -1"),
        ("seed = 0", "seeds = 0"),
        ("fold = 1", "fold = 256"),
        ("[bands]", "[band]"),
        ("absolute = 0.05", "absolute = -0.05"),
        ("absolute = 0.05", "absolute = 0.05, relative = 0.1"),
        ("two_sided = false", "two_sided = \"no\""),
        ("top1 = 0.4125", "top1 = \"0.4\""),
        ("top1 = 0.4125", "top1 = nan"),
        ("top1 = 0.4125", "top1 = { valeu = 0.4, absolute = 0.1 }"),
        ("top1 = 0.4125", "top1 = { absolute = 0.1 }"),
        ("top1 = 0.4125", "top1 = 0.4\nlinear-probe.top1 = 0.5"),
        ("[run.scores]", "[run.score]"),
        ("[[run]]", "[run]"),
    ];
    let messages = edits.map(|(from, to)| {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        format!("{to:?}: {}", Baseline::from_toml(&text).unwrap_err())
    });
    insta::assert_snapshot!(messages.join("\n"));
    let run = &good[good.find("[[run]]").unwrap()..];
    let twice = format!("{good}{run}");
    assert!(
        Baseline::from_toml(&twice)
            .unwrap_err()
            .to_string()
            .ends_with("a second entry of one run")
    );
    for empty in ["", "# nothing\n", "[bands]\n"] {
        assert!(matches!(Baseline::from_toml(empty), Err(BaselineError::Empty)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_baseline_reads_as_it_was_written(
        words in prop::collection::vec("\\PC{0,8}|[a-z\"\\\\\n\t.]{0,4}", 8),
        numbers in prop::collection::vec(prop::num::f64::NORMAL | prop::num::f64::ZERO, 2),
        (seed, fold, of_data) in (0..i64::MAX as u64, any::<Option<u8>>(), any::<Option<u8>>()),
    ) {
        let mut written = baseline(&runs()[..1]);
        let run = &mut written.runs[0];
        let [task, method, plan_hash, backend, dtype, data] = std::array::from_fn(|i| words[i].clone());
        let identity = of_data.map(|number| number.to_string());
        run.key = RunKey { task, method, quantizer: None, plan_hash, backend, dtype, seed, fold, data: identity };
        run.data = data;
        run.entries.truncate(1);
        // two words that differ, neither of them a key of an entry
        run.entries[0].quantity.path = vec![format!("{}1", words[6]), format!("{}2", words[7])];
        run.entries[0].value = numbers[0];
        run.entries[0].width = Some(Width::Absolute(numbers[1].abs()));
        prop_assert_eq!(Baseline::from_toml(&written.to_toml()).unwrap(), written);
    }
}

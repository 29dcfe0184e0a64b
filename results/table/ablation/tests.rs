//! What counts as an ablation, and what does not.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use crate::fixtures::{backend, other, record};
use crate::table::Format;

/// A run of a plan with this value.
fn with(key: &str, value: Value, seed: u64, top1: u64) -> RunRecord {
    let hash = format!("{key}={value}");
    let mut record = other(record(seed, 0), Some("rq"), &hash, top1);
    record.plan[key] = value;
    record
}

/// The ablations in full.
fn tables_of(records: &[RunRecord], evidence: &Evidence) -> Vec<Table> {
    ablation_tables(records, evidence, Style::Full)
}

#[test]
fn rows_run_over_the_value_that_varies() {
    let rate = "pretrain.encoder.rate";
    let mut records: Vec<RunRecord> = (0..3).map(|seed| with(rate, 0.01.into(), seed, 120 + seed)).collect();
    records.extend((0..3).map(|seed| record(seed, 160 + 2 * seed)));
    records.push(with(rate, 0.002.into(), 0, 170));
    let tables = tables_of(&records, &Evidence::default());
    assert_eq!(tables.len(), 1);
    insta::assert_snapshot!(tables[0].render(Format::Terminal { columns: 250 }));
}

#[test]
fn a_quantizer_varies_with_its_own_values() {
    let mut vq = other(record(0, 0), Some("vq"), "bbbbbbbbbbbb", 140);
    vq.plan["quantizer.levels"] = 1.into();
    let tables = tables_of(&[record(0, 165), vq], &Evidence::default());
    let titles: Vec<&str> = tables.iter().map(|table| table.title.as_str()).collect();
    assert_eq!(titles, ["Ablation: quantizer (esc50, bridle)"]);
    let names: Vec<&Value> = tables[0].rows.iter().map(|row| &row[0].value).collect();
    assert_eq!(names, ["rq", "vq"]);
}

#[test]
fn plans_of_one_quantizer_are_not_averaged_beside_another() {
    let vq = other(record(0, 0), Some("vq"), "bbbbbbbbbbbb", 140);
    let tables = tables_of(
        &[record(0, 165), with("quantizer.levels", 1.into(), 0, 150), vq],
        &Evidence::default(),
    );
    let titles: Vec<&str> = tables.iter().map(|table| table.title.as_str()).collect();
    assert_eq!(
        titles,
        [
            "Ablation: quantizer (esc50, bridle)",
            "Ablation: quantizer.levels (esc50, bridle)"
        ]
    );
    let lead = |row: &Vec<Cell>| format!("{} {}", row[0].text, row[1].text);
    let rows: Vec<String> = tables[0].rows.iter().map(lead).collect();
    assert_eq!(rows, ["rq 1", "rq 2", "vq 2"]);
}

#[test]
fn values_of_a_protocol_are_no_column_beside_runs_without_it() {
    let pair = |protocol: &str| {
        ["rq", "vq"].map(|quantizer| {
            let mut run = other(record(0, 0), Some(quantizer), &format!("{quantizer}-{protocol}"), 150);
            run.plan.insert(format!("{protocol}.epochs"), 10.into());
            run.plan["protocols"] = serde_json::json!([protocol]);
            run.scores.iter_mut().for_each(|score| score.protocol = protocol.into());
            run
        })
    };
    let tables = tables_of(&[pair("finetune"), pair("knn")].concat(), &Evidence::default());
    assert_eq!(tables.len(), 1);
    assert_eq!((&tables[0].header[0].name[..], tables[0].rows.len()), ("quantizer", 4));
}

#[test]
fn a_value_of_the_quantizer_varies_by_itself() {
    let records = [record(0, 165), with("quantizer.levels", 1.into(), 0, 140)];
    let tables = tables_of(&records, &Evidence::default());
    assert_eq!(tables.len(), 1);
    assert_eq!(tables[0].title, "Ablation: quantizer.levels (esc50, bridle)");
    let values: Vec<&Value> = tables[0].rows.iter().map(|row| &row[0].value).collect();
    assert_eq!(values, [1, 2]);
}

#[test]
fn families_of_a_grid_are_told_apart() {
    let mut records = Vec::new();
    for levels in [2, 4] {
        for rate in [0.001, 0.002] {
            let mut record = with("quantizer.levels", levels.into(), 0, 150 + levels);
            record.plan["pretrain.encoder.rate"] = rate.into();
            record.plan_hash = format!("{levels}-{rate}");
            records.push(record);
        }
    }
    let tables = tables_of(&records, &Evidence::default());
    assert_eq!(tables.len(), 3);
    let of_grid = |row: &Vec<Cell>| row[0].text.clone();
    let rows: Vec<String> = tables[0].rows.iter().map(of_grid).collect();
    assert_eq!(
        rows,
        [
            "reference",
            "pretrain.encoder.rate = 0.002",
            "quantizer.levels = 4",
            "all together: pretrain.encoder.rate = 0.002, quantizer.levels = 4"
        ]
    );
    for table in &tables[1..] {
        assert_eq!(table.rows.len(), 4, "{}", table.title);
        let heads: BTreeSet<&str> = table.header[..2].iter().map(|heading| heading.name.as_str()).collect();
        assert_eq!(heads, ["pretrain.encoder.rate", "quantizer.levels"].into());
    }
}

#[test]
fn names_backends_and_methods_are_no_ablation() {
    let mut smoke = other(record(0, 0), Some("rq"), "dddddddddddd", 120);
    smoke.plan["preset"] = "smoke".into();
    let mut tch = record(0, 165);
    tch.backend = backend("tch");
    tch.plan["quantizer.levels"] = 3.into();
    tch.plan_hash = "eeeeeeeeeeee".into();
    let control = other(record(0, 0), None, "cccccccccccc", 110);
    assert_eq!(
        tables_of(&[record(0, 165), smoke, tch, control], &Evidence::default()),
        []
    );
}

#[test]
fn corrections_stand_alone_and_all_together() {
    let corrections = [
        ("augment.roll", "never", "uniform"),
        ("cold_start.position", "in-label", "out"),
        ("quantizer.restart", "first-forward", "by-usage"),
    ];
    let authors = |seed: u64, top1: u64| {
        let mut run = record(seed, top1);
        for (key, authors, _) in corrections {
            run.plan.insert(key.into(), authors.into());
        }
        run
    };
    let mut records = vec![authors(0, 165), authors(1, 160), authors(2, 170)];
    let mut all = authors(0, 180);
    for (key, _, corrected) in corrections {
        let mut one = authors(0, 150 + key.len() as u64);
        one.plan[key] = corrected.into();
        one.plan_hash = format!("{key}-only");
        records.push(one);
        all.plan[key] = corrected.into();
    }
    (all.plan["recipe"], all.plan_hash) = ("corrected".into(), "eeeeeeeeeeee".into());
    records.push(all);
    let tables = tables_of(&records, &Evidence::default());
    let titles: Vec<&str> = tables.iter().map(|table| table.title.as_str()).collect();
    assert_eq!(titles[0], "Ablation: change (esc50, bridle rq)");
    assert_eq!(titles.len(), 1 + corrections.len());
    insta::assert_snapshot!("together", tables[0].render(Format::Terminal { columns: 250 }));
    records.reverse();
    assert_eq!(tables_of(&records, &Evidence::default()), tables);
}

#[test]
fn other_data_presets_and_protocols_have_no_reference_in_common() {
    let far = |key: &str, value: Value| {
        let mut run = with("quantizer.levels", 1.into(), 0, 140);
        run.plan["pretrain.encoder.rate"] = 0.5.into();
        run.plan.insert(key.into(), value);
        run
    };
    let keys = [
        ("preset", "smoke".into()),
        ("protocols", serde_json::json!(["finetune"])),
        ("data.variant", "another".into()),
    ];
    for (key, value) in keys {
        assert_eq!(tables_of(&[record(0, 165), far(key, value)], &Evidence::default()), []);
    }
    let rows = tables_of(
        &[record(0, 165), far("recipe", "corrected".into())],
        &Evidence::default(),
    );
    assert_eq!(rows[0].rows[1][0].text, "recipe = corrected (2 values)");
}

//! Snapshots of the tables made from a handful of synthetic records, and laws of any table.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use crate::fixtures::{backend, other, proportion, record};
use crate::record::{Score, Skipped};
use proptest::prelude::*;

/// Text that is wide enough for any table here.
const WIDE: Format = Format::Terminal { columns: 250 };

/// The table of scores in full.
fn main_table(records: &[RunRecord], evidence: &Evidence) -> Table {
    score_tables(records, evidence, &View::default()).remove(0)
}

fn on(mut record: RunRecord, name: &str) -> RunRecord {
    record.backend = backend(name);
    record
}

/// rq with three seeds, vq and random-init with one.
pub(super) fn comparison() -> Vec<RunRecord> {
    let mut records: Vec<RunRecord> = [(0, 165), (1, 160), (2, 172)]
        .map(|(seed, top1)| record(seed, top1))
        .into();
    records.push(other(record(0, 0), Some("vq"), "bbbbbbbbbbbb", 140));
    records.push(other(record(0, 0), None, "cccccccccccc", 110));
    records
}

#[test]
fn methods_are_compared() {
    let table = main_table(&comparison(), &Evidence::default());
    insta::assert_snapshot!("main_terminal", table.render(WIDE));
    insta::assert_snapshot!("main_markdown", table.render(Format::Markdown));
    insta::assert_snapshot!("main_json", table.render(Format::Json));
    for columns in [30, 40, 60, 80, 100] {
        let text = table.render(Format::Terminal { columns });
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= columns, "{widest} columns of {columns}:\n{text}");
    }
}

#[test]
fn runs_of_other_plans_and_backends_get_rows_of_their_own() {
    let mut records = comparison();
    records.push(other(record(0, 0), Some("rq"), "dddddddddddd", 180));
    records.push(on(record(0, 166), "tch"));
    let mut smoke = other(record(0, 0), Some("rq"), "eeeeeeeeeeee", 90);
    smoke.plan["preset"] = "smoke".into();
    records.push(smoke);
    insta::assert_snapshot!(main_table(&records, &Evidence::default()).render(WIDE));
}

#[test]
fn runs_of_one_pretraining_share_a_row_and_a_seed_counts_once() {
    let both = |seed: u64, top1: u64| {
        let mut run = other(record(seed, 0), Some("rq"), "dddddddddddd", top1);
        run.pretrain_hash = record(seed, 0).pretrain_hash;
        run.plan["protocols"] = serde_json::json!(["linear-probe", "knn"]);
        run.plan.insert("knn.neighbours".into(), 5.into());
        run.finished = run.finished.checked_add(std::time::Duration::from_secs(60)).unwrap();
        let mut knn = proportion("top1", 100);
        knn.protocol = "knn".into();
        run.scores.push(knn);
        run
    };
    let records = [record(0, 165), record(1, 170), both(0, 166), both(2, 171)];
    let table = main_table(&records, &Evidence::default());
    assert_eq!(table.rows.len(), 1, "{:?}", table.rows);
    let value = |column: usize| &table.rows[0][column].value;
    assert_eq!(value(1)["values"], serde_json::json!([0.415, 0.425, 0.4275]));
    assert_eq!(value(3)["runs"], 2);
    // the same protocol by other values is another number
    let mut changed = records.clone();
    changed[0].plan.insert("probe.epochs".into(), 10.into());
    changed[1].plan.insert("probe.epochs".into(), 10.into());
    changed[2].plan.insert("probe.epochs".into(), 20.into());
    changed[3].plan.insert("probe.epochs".into(), 20.into());
    assert_eq!(main_table(&changed, &Evidence::default()).rows.len(), 2);
}

#[test]
fn what_was_made_elsewhere_has_its_own_name_and_a_mark_and_is_never_averaged_with_another() {
    let given = |seed, name: &str, hash: &str, top1| {
        let mut run = other(record(seed, 0), None, hash, top1);
        run.plan["method"] = "embeddings".into();
        run.plan.insert("embeddings.name".into(), name.into());
        run.plan.insert("embeddings.sha256".into(), hash.into());
        run
    };
    let mut encoder = other(record(0, 0), None, "ffffffffffff", 200);
    encoder.plan["method"] = "init".into();
    for (key, value) in [("name", "beats.pt"), ("sha256", "1a"), ("labels", "AudioSet")] {
        encoder.plan.insert(format!("foreign.{key}"), value.into());
    }
    let records = [
        record(0, 165),
        given(0, "theirs", "dddddddddddd", 150),
        given(1, "theirs", "dddddddddddd", 154),
        given(0, "theirs", "eeeeeeeeeeee", 90),
        encoder,
    ];
    assert_eq!((records[1].method(), records[4].method()), ("theirs", "init"));
    let table = main_table(&records, &Evidence::default());
    let row = |row: usize| {
        table.rows[row]
            .iter()
            .map(|cell| cell.text.clone())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let rows: Vec<String> = (0..table.rows.len()).map(row).collect();
    assert_eq!(rows.len(), 4, "{rows:?}");
    let of = |word: &str| rows.iter().filter(|row| row.contains(word)).collect::<Vec<_>>();
    assert_eq!((of("theirs").len(), of("init beats.pt").len()), (2, 1));
    assert!(
        of("theirs").iter().all(|row| row.contains('◊') && !row.contains('‖')),
        "{rows:?}"
    );
    assert!(of("beats.pt")[0].contains("◊‖"), "{rows:?}");
    assert!(!of("bridle")[0].contains('◊'), "{rows:?}");
    let text = table.render(Format::Terminal { columns: 100 });
    assert!(text.contains("◊ an encoder that was trained elsewhere"), "{text}");
}

#[test]
fn plans_that_differ_in_protocols_alone_share_a_row() {
    let mut knn = other(record(0, 0), Some("rq"), "dddddddddddd", 120);
    knn.scores.iter_mut().for_each(|score| score.protocol = "knn".into());
    let table = main_table(&[record(0, 165), knn], &Evidence::default());
    assert_eq!(table.rows.len(), 1);
    assert_eq!(table.header.len(), 5);
    assert!(table.rows[0].iter().all(|cell| !cell.text.is_empty()));
}

#[test]
fn numbers_that_are_not_like_the_others_are_marked() {
    let mut records = comparison();
    records[3].program.dirty = true;
    records[4].data.subset = Some(8);
    records[4].scores[0] = proportion("top1", 399);
    records[1].data.variant = "different".into();
    records[0].data.skipped.push(Skipped {
        id: "1-1-A".into(),
        reason: "truncated".into(),
    });
    records[3].scores[1].value = None;
    records[3].scores[1].reason = Some("fewer than five classes".into());
    records[4].scores[1].interval = None;
    insta::assert_snapshot!(main_table(&records, &Evidence::default()).render(WIDE));
}

#[test]
fn folds_are_told_from_seeds() {
    let folds: Vec<RunRecord> = (1..=5)
        .map(|fold| {
            let mut record = record(0, 160 + u64::from(fold));
            record.fold = Some(fold);
            record
        })
        .collect();
    let table = main_table(&folds, &Evidence::default());
    let cell = &table.rows[0][1];
    assert!(
        cell.text.starts_with("40.8 [") && cell.text.ends_with("] 5 folds, n=2000"),
        "{}",
        cell.text
    );
    assert!(cell.value["sd"].is_number() && cell.value["interval"]["low"].is_number());
}

#[test]
fn all_runs_count_with_folds_as_strata() {
    let run = |seed: u64, fold: u8, top1: u64| RunRecord {
        fold: Some(fold),
        ..record(seed, top1)
    };
    let mut runs = vec![run(0, 1, 100), run(0, 2, 220), run(1, 1, 260), run(1, 2, 140)];
    let cell = main_table(&runs, &Evidence::default()).rows[0][1].clone();
    assert!(
        cell.text.starts_with("45.0 [") && cell.text.ends_with("] 2 seeds x 2 folds, n=800"),
        "{}",
        cell.text
    );
    // the seeds' means over folds, 0.4 and 0.5, hide how far runs of one fold lie apart
    let width = |cell: &Cell| {
        let end = |name: &str| cell.value["interval"][name].as_f64().unwrap();
        end("high") - end("low")
    };
    assert!(width(&cell) > 0.3, "{}", cell.text);
    runs.pop();
    let text = &main_table(&runs, &Evidence::default()).rows[0][1].text;
    assert!(text.contains("] 3 runs, n=800"), "{text}");
}

#[test]
fn each_run_can_be_shown() {
    let records = comparison();
    let table = TableKind::Runs
        .of(&records, &Evidence::default(), &View::default())
        .remove(0);
    let cells = |row: &Vec<Cell>| row.iter().map(|cell| cell.text.clone()).collect::<Vec<_>>();
    let words = [
        "esc50",
        "bridle rq",
        "1",
        "1",
        "linear-probe",
        "top1",
        "40.0 [35.3, 44.9]",
        "400",
    ];
    assert!(table.rows.iter().any(|row| cells(row) == words), "{:?}", table.rows);
    assert_eq!(table.rows.len(), 2 * records.len());
    assert!(TableKind::of_report().all(|kind| kind != TableKind::Runs));
}

#[test]
fn runs_that_did_not_train_are_not_averaged_away() {
    let (mut evidence, mut runs) = (Evidence::default(), Vec::new());
    for (seed, wrong) in [(0u64, 3usize), (1, 4), (2, 10)] {
        let references = vec!["ONE TWO ONE TWO ONE TWO ONE TWO ONE TWO".to_string(); 30];
        let found = vec![["ONE", "TWO"].repeat(5)[wrong..].join(" "); 30];
        let texts = crate::predictions::ProtocolTexts {
            protocol: "finetune".into(),
            hypotheses: found,
        };
        let ids = (0..30).map(|i| format!("utterance {i}")).collect();
        let outputs = crate::predictions::Transcripts::new(ids, references, vec![texts]).unwrap();
        let mut run = record(seed, 0);
        run.fold = None;
        run.scores = vec![Score {
            value: Some(wrong as f64 / 10.0),
            ..Score::proportion("finetune", "wer", 0, 30)
        }];
        evidence.add(&run, &crate::predictions::Outputs::Transcripts(outputs));
        runs.push(run);
    }
    let cell = main_table(&runs, &evidence).rows[0][1].clone();
    assert_eq!(cell.text, "median 40.0 of 30.0 40.0 100.0, 1 of 3 did not train, n=30");
    assert_eq!(
        (&cell.value["mean"], &cell.value["untrained"]),
        (&Value::Null, &1.into())
    );
    let trained = main_table(&runs[..2], &evidence).rows[0][1].clone();
    assert!(trained.text.starts_with("35.0 ["), "{}", trained.text);
}

#[test]
fn a_run_counts_once() {
    let mut newer = record(0, 200);
    newer.finished = newer.finished.checked_add(std::time::Duration::from_secs(60)).unwrap();
    for records in [[record(0, 100), newer.clone()], [newer.clone(), record(0, 100)]] {
        let table = main_table(&records, &Evidence::default());
        assert_eq!(table.rows[0][1].text, "50.0 [45.1, 54.9] n=400");
        assert!(
            table
                .notes
                .contains(&"1 older record of the same run left out".to_string()),
            "{:?}",
            table.notes
        );
    }
}

#[test]
fn the_lowest_error_is_the_best() {
    let mut records = [record(0, 165), other(record(0, 0), Some("vq"), "bbbbbbbbbbbb", 140)];
    records
        .iter_mut()
        .flat_map(|record| &mut record.scores)
        .for_each(|score| score.metric = "wer".into());
    let table = main_table(&records, &Evidence::default());
    assert_eq!(
        table.rows.iter().map(|row| row[1].best).collect::<Vec<_>>(),
        [false, true]
    );
}

#[test]
fn codebooks_are_shown_by_phase_and_level() {
    let one = codebook_table(&[record(0, 165), other(record(0, 0), None, "cccccccccccc", 110)]);
    insta::assert_snapshot!("codebooks_one", one.render(WIDE));
    let averaged = codebook_table(&comparison());
    insta::assert_snapshot!("codebooks_averaged", averaged.render(Format::Markdown));
}

#[test]
fn labels_are_shown_by_phase() {
    let mut records = comparison();
    let labels = &mut records[3].phases[1].labels;
    labels.as_mut().unwrap().change = None;
    records[3].phases[0].labels = None;
    records[1].phases[0].labels.as_mut().unwrap().joint_entropy_bits = 2.75;
    let table = label_table(&records).unwrap();
    insta::assert_snapshot!("labels_averaged", table.render(WIDE));
    let one = label_table(&records[..1]).unwrap();
    insta::assert_snapshot!("labels_markdown", one.render(Format::Markdown));
    insta::assert_snapshot!("labels_json", one.render(Format::Json));
}

#[test]
fn the_sum_over_levels_limits_the_joint_entropy_only_where_a_token_takes_one_code() {
    let limited = |run: &RunRecord| {
        let notes = label_table(std::slice::from_ref(run)).unwrap().notes.join("\n");
        notes.contains("at most the sum over levels")
    };
    let mut run = record(0, 165);
    run.plan.insert("quantizer.soft_codes".into(), 1.into());
    assert!(limited(&run));
    run.plan.insert("pretrain.encoder.soft_codes".into(), 2.into());
    assert!(!limited(&run));
}

#[test]
fn without_label_statistics_there_is_no_table_of_labels() {
    let mut old = record(0, 165);
    old.phases.iter_mut().for_each(|phase| phase.labels = None);
    assert_eq!(
        label_table(&[old, other(record(0, 0), None, "cccccccccccc", 110)]),
        None
    );
}

#[test]
fn every_table_is_titled_by_its_name() {
    let records = comparison();
    for (name, kind) in TableKind::ALL {
        let titles: Vec<String> = kind
            .of(&records, &Evidence::default(), &View::default())
            .iter()
            .map(|table| table.title.to_lowercase())
            .collect();
        assert!(titles.iter().all(|title| title.starts_with(name)), "{name}: {titles:?}");
    }
    assert_eq!(
        TableKind::Codebooks.of(&records[4..], &Evidence::default(), &View::default()),
        Vec::new()
    );
}

#[test]
fn a_shared_pretraining_counts_once_among_codebooks() {
    let mut knn = other(record(0, 0), Some("rq"), "dddddddddddd", 120);
    knn.pretrain_hash = record(0, 165).pretrain_hash;
    assert_eq!(codebook_table(&[record(0, 165), knn]).rows.len(), 4);
}

#[test]
fn backends_are_compared_on_the_same_seeds() {
    assert_eq!(backend_table(&comparison()), None);
    let mut records = comparison();
    records.extend([on(record(0, 167), "tch"), on(record(7, 390), "tch")]);
    insta::assert_snapshot!(backend_table(&records).unwrap().render(WIDE));
}

#[test]
fn markdown_keeps_its_cells_whole() {
    let cell = Cell::word("a|b *c* \nd");
    let table = Table {
        title: "t".into(),
        header: vec![Heading::word("x")],
        rows: vec![vec![cell]],
        notes: Vec::new(),
    };
    assert!(
        table.render(Format::Markdown).contains(r"| a\|b \*c\*  d |"),
        "{}",
        table.render(Format::Markdown)
    );
}

fn any_record() -> impl Strategy<Value = RunRecord> {
    let words = prop::sample::select(vec!["rq", "vq", "none"]);
    let tasks = prop::sample::select(vec!["esc50", "synthetic", "a|b\n"]);
    let metrics = prop::sample::select(vec!["top1", "dprime", "wer", "new"]);
    let hashes = prop::sample::select(vec!["", "aaaaaaaaaaaa", "ümlaut"]);
    (
        words,
        tasks,
        metrics,
        hashes,
        0u64..3,
        prop::option::of(0u8..3),
        prop::option::of(-1e300..1e300f64),
        0u8..16,
    )
        .prop_map(|(quantizer, task, metric, hash, seed, fold, value, bits)| {
            let mut record = other(record(seed, 0), Some(quantizer), hash, 100);
            record.plan["task"] = task.into();
            record.scores[0].metric = metric.into();
            (record.scores[0].value, record.fold) = (value, fold);
            record.program.dirty = bits & 1 > 0;
            if bits & 2 > 0 {
                record.scores.clear();
            }
            if bits & 4 > 0 {
                record.phases.pop();
                record.pretrain_hash = None;
            }
            if bits & 8 > 0 {
                record.backend.name = "tch".into();
            }
            record
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn tables_are_rectangular_in_any_order_of_records(records in prop::collection::vec(any_record(), 0..8)) {
        let mut reversed = records.clone();
        reversed.reverse();
        let tables = |records: &[RunRecord]| {
            let mut tables = vec![main_table(records, &Evidence::default()), codebook_table(records)];
            tables.extend(label_table(records));
            tables.extend(backend_table(records));
            tables
        };
        for table in tables(&records) {
            prop_assert!(table.rows.iter().all(|row| row.len() == table.header.len()));
            for (_, format) in Format::ALL {
                let text = table.render(format);
                prop_assert!(text.ends_with('\n') && !text.contains("NaN"));
            }
        }
        let main = main_table(&records, &Evidence::default());
        let scored: usize = main.rows.iter().flatten().filter(|cell| cell.value.get("marks").is_some()).count();
        // of several records of one run the newest counts
        let (kept, _) = super::runs::distinct(&records);
        prop_assert_eq!(scored > 0, kept.iter().any(|record| !record.scores.is_empty()));
        // no two records of one run, so that none is chosen over another
        let keys: std::collections::HashSet<_> = records.iter().map(|record| crate::store::RunName::of(record).path()).collect();
        if keys.len() == records.len() {
            prop_assert_eq!(tables(&records), tables(&reversed));
        }
    }
}

/// Runs of one plan whose data is none of the known variants: two seeds on two data sets, and one seed
/// on both.
fn on_other_data() -> Vec<RunRecord> {
    let on = |seed, manifest: &str, train: u64, top1| {
        let mut run = record(seed, top1);
        run.data.variant = "different".into();
        run.data.manifest_sha256 = Some(manifest.repeat(64));
        run.data.counts = [("test".to_owned(), 400), ("train".to_owned(), train)].into();
        run
    };
    vec![on(0, "1", 14, 165), on(1, "2", 12, 100), on(0, "2", 12, 120)]
}

#[test]
fn runs_on_different_data_are_never_averaged_nor_left_out() {
    let table = main_table(&on_other_data(), &Evidence::default());
    assert_eq!(table.rows.len(), 2);
    insta::assert_snapshot!(table.render(WIDE));
    assert!(
        table.rows.iter().flatten().all(|cell| !cell.best),
        "nothing is best across data"
    );
    let one_seed = &on_other_data()[..1];
    assert!(
        !main_table(one_seed, &Evidence::default())
            .header
            .iter()
            .any(|heading| heading.name == "data")
    );
    for table in [codebook_table(&on_other_data()), label_table(&on_other_data()).unwrap()] {
        assert!(
            table.header.iter().any(|heading| heading.name == "data"),
            "{}",
            table.title
        );
    }
    let mut on_tch = on_other_data().remove(1);
    (on_tch.backend, on_tch.seed) = (backend("tch"), 0);
    let of_one = [on_other_data().remove(0), on_tch];
    assert_eq!(backend_table(&of_one), None, "backends are compared on the same data");
}

//! Rows and columns by name, and the limits of a paper's table.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use crate::evidence::Evidence;
use crate::record::Score;
use crate::table::score_tables;
use crate::table::tests::comparison;

#[test]
fn rows_and_columns_are_chosen_and_ordered_by_their_words() {
    let records = comparison();
    let view = View {
        rows: vec!["random-init".into(), "rq".into()],
        columns: vec!["linear-probe/top5".into(), "top1".into()],
        ..View::default()
    };
    view.check(&records).unwrap();
    let table = score_tables(&records, &Evidence::default(), &view).remove(0);
    let rows: Vec<&str> = table.rows.iter().map(|row| row[0].text.as_str()).collect();
    let columns: Vec<&str> = table.header[1..].iter().map(|heading| heading.name.as_str()).collect();
    assert_eq!(rows, ["random-init", "bridle rq"]);
    assert_eq!(columns, ["esc50 linear-probe top5", "esc50 linear-probe top1"]);
    let unknown = View {
        baseline: Some("rq/top1".into()),
        ..View::default()
    };
    let error = unknown.check(&records).unwrap_err();
    assert_eq!(error.to_string(), "no row of the scores is called `rq/top1`");
}

#[test]
fn a_paper_table_has_at_most_six_columns_of_scores() {
    let mut records = comparison();
    for record in &mut records {
        let scores = record.scores.clone();
        for protocol in ["finetune", "knn", "attentive-probe"] {
            record.scores.extend(scores.iter().cloned().map(|score| Score {
                protocol: protocol.into(),
                ..score
            }));
        }
    }
    let view = View {
        style: Style::Paper,
        ..View::default()
    };
    let tables = score_tables(&records, &Evidence::default(), &view);
    let scores = |table: &Table| table.header.iter().filter(|heading| heading.is_short_score()).count();
    assert_eq!(tables.iter().map(scores).collect::<Vec<_>>(), [6, 2]);
    assert!(tables[0].title.ends_with("part 1 of 2"), "{}", tables[0].title);
}

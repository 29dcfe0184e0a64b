//! Tables for papers: what all rows share moves into the caption, and what does not fit a page is
//! split.

use super::{Cell, Column, Heading, Table};
use crate::record::plural;
use serde_json::Value;
use std::collections::BTreeSet;

/// Columns of scores that fit the one column of a page.
const SCORES: usize = 6;

/// Lines of a page below the headings: a row takes one, and so do so many letters of a note.
const LINES: usize = 44;
const LETTERS: usize = 100;

/// The fewest rows of a part, however long its notes are.
const ROWS: usize = 8;

/// The sign of a cell of one run.
pub(super) const ONE_RUN: &str = "¹";

/// What is marked in a column of scores.
pub(super) const BOLD: &str = "bold: the best mean of its column, and all that are not shown to differ from it: the 95 % interval \
                               of the difference over the same seeds, folds and test samples (as compare computes it) \
                               holds 0, or nothing can be paired";

/// The table in parts that each fit a page, each with a caption that says what all its rows share.
/// `setting` is what they share beside that.
pub(super) fn fitted(table: Table, setting: &str) -> Vec<Table> {
    numbered(parts(table, setting))
}

/// The same without numbers.
pub(super) fn parts(table: Table, setting: &str) -> Vec<Table> {
    let (table, shared) = without_constants(table);
    let parts = chunks(&table.header)
        .into_iter()
        .map(|columns| with_columns(&table, &columns))
        .filter(|part| !part.rows.is_empty())
        .flat_map(by_rows);
    let caption = |part: Table| {
        let task = only_task(&part).filter(|task| !part.title.contains(task.as_str()));
        let facts = task.into_iter().chain(shared.clone()).chain(counts(&part));
        let setting = Some(setting.to_owned()).filter(|words| !words.is_empty());
        let facts: Vec<String> = facts.chain(setting).collect();
        let title = if facts.is_empty() {
            part.title
        } else {
            format!("{}: {}", part.title, facts.join(", "))
        };
        grouped(Table { title, ..part })
    };
    parts.map(caption).collect()
}

/// Several tables with their number in the caption.
pub(super) fn numbered(mut tables: Vec<Table>) -> Vec<Table> {
    let count = tables.len();
    for (table, number) in tables.iter_mut().zip(1..).filter(|_| count > 1) {
        table.title.push_str(&format!(", part {number} of {count}"));
    }
    tables
}

/// The table without the keys that are the same in all rows, and those in words. The method stays,
/// and so does the last key.
fn without_constants(mut table: Table) -> (Table, Vec<String>) {
    let mut shared = Vec::new();
    let is_constant = |table: &Table, column: usize| {
        let mut texts = table.rows.iter().map(|row| &row[column].text);
        let first = texts.next();
        let heading = &table.header[column];
        let may_go = heading.column == Column::Key && heading.name != "method";
        may_go && first.is_some() && texts.all(|text| Some(text) == first)
    };
    let mut column = 0;
    while column < table.header.len() {
        let keys = table
            .header
            .iter()
            .filter(|heading| heading.column == Column::Key)
            .count();
        if keys < 2 || !is_constant(&table, column) {
            column += 1;
            continue;
        }
        let heading = table.header.remove(column);
        let mut cells: Vec<Cell> = table.rows.iter_mut().map(|row| row.remove(column)).collect();
        let text = cells.swap_remove(0).text;
        if !text.is_empty() {
            shared.push(match heading.name.as_str() {
                "task" => text,
                name => format!("{name} {text}"),
            });
        }
    }
    (table, shared)
}

/// The columns of each part: all without scores, and at most [`SCORES`] with. A task and protocol
/// stays in one part where it can.
pub(super) fn chunks(header: &[Heading]) -> Vec<Vec<usize>> {
    let place = |column: usize| match &header[column].column {
        Column::Score([task, protocol, _]) => Some((task, protocol)),
        _ => None,
    };
    let (scores, others): (Vec<usize>, Vec<usize>) = (0..header.len()).partition(|column| place(*column).is_some());
    let mut parts: Vec<Vec<usize>> = Vec::new();
    for of_protocol in scores.chunk_by(|a, b| place(*a) == place(*b)) {
        for piece in of_protocol.chunks(SCORES) {
            match parts.last_mut().filter(|part| part.len() + piece.len() <= SCORES) {
                Some(part) => part.extend(piece),
                None => parts.push(piece.to_vec()),
            }
        }
    }
    if parts.is_empty() {
        return vec![others];
    }
    let with_others = |scores: Vec<usize>| {
        let mut columns = [&others[..], &scores].concat();
        columns.sort_unstable();
        columns
    };
    parts.into_iter().map(with_others).collect()
}

/// These columns of the table, without the rows that have no score in them.
fn with_columns(table: &Table, columns: &[usize]) -> Table {
    let is_score = |column: usize| matches!(table.header[column].column, Column::Score(_));
    let has_scores = columns.iter().any(|&column| is_score(column));
    let is_shown = |row: &&Vec<Cell>| {
        let scored = |&column: &usize| is_score(column) && !row[column].text.is_empty();
        !has_scores || columns.iter().any(scored)
    };
    let of_row = |row: &Vec<Cell>| columns.iter().map(|&column| row[column].clone()).collect();
    Table {
        title: table.title.clone(),
        header: columns.iter().map(|&column| table.header[column].clone()).collect(),
        rows: table.rows.iter().filter(is_shown).map(of_row).collect(),
        notes: table.notes.clone(),
    }
}

/// The table in parts that fit the height of a page with all notes.
fn by_rows(table: Table) -> Vec<Table> {
    let lines = |note: &String| note.chars().count().div_ceil(LETTERS);
    let notes: usize = table.notes.iter().map(lines).sum();
    let most = LINES.saturating_sub(notes).max(ROWS);
    let parts = table.rows.chunks(most).map(<[Vec<Cell>]>::to_vec);
    let part = |rows| Table { rows, ..table.clone() };
    parts.map(part).collect()
}

/// The same with the task and protocol of scores as headings over their metrics; a single task is in
/// the caption.
fn grouped(mut table: Table) -> Table {
    let several = only_task(&table).is_none();
    for heading in &mut table.header {
        if let Column::Score([task, protocol, _]) = &heading.column {
            heading.groups = several
                .then(|| task.clone())
                .into_iter()
                .chain([protocol.clone()])
                .collect();
            heading.text = heading.text.lines().last().unwrap_or_default().to_owned();
        }
    }
    table
}

/// The only task of the scores. None with several.
fn only_task(table: &Table) -> Option<String> {
    let of_heading = |heading: &Heading| match &heading.column {
        Column::Score([task, ..]) => Some(task.clone()),
        _ => None,
    };
    let tasks: BTreeSet<String> = table.header.iter().filter_map(of_heading).collect();
    (tasks.len() == 1).then_some(tasks)?.pop_first()
}

/// Test samples and runs behind the scores, in words.
fn counts(table: &Table) -> Vec<String> {
    let range = |field: &str| -> Option<(u64, u64)> {
        let cells = table.rows.iter().flatten();
        let found: BTreeSet<u64> = cells.filter_map(|cell| cell.value.get(field)?.as_u64()).collect();
        Some((*found.first()?, *found.last()?))
    };
    let words = |field: &str, noun: &str| {
        Some(match range(field)? {
            (least, most) if least == most => format!("{most} {}", plural(most as usize, noun)),
            (least, most) => format!("{least} to {most} {noun}s"),
        })
    };
    // a difference has no count of its own
    let is_score = |cell: &Cell| matches!(cell.value.get("mean"), Some(Value::Number(_)));
    let has_scores = table.rows.iter().flatten().any(is_score);
    [words("n", "test sample"), words("runs", "run")]
        .into_iter()
        .filter(|_| has_scores)
        .flatten()
        .collect()
}

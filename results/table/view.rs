//! What is shown of the tables of scores: the style, which rows and columns, and against what.

use super::runs::{Group, RowLabels, distinct, groups};
use super::scores::{self, ScoreColumn};
use super::{Table, paper};
use crate::record::RunRecord;

/// How much a table says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Every cell with its interval, its runs and its test samples.
    #[default]
    Full,
    /// For the column of a page: short cells, what they share in the caption, at most six scores
    /// beside each other.
    Paper,
}

impl Style {
    /// The table in this style: for a paper in parts that fit a page.
    pub fn fitted(self, table: Table) -> Vec<Table> {
        match self {
            Self::Full => vec![table],
            Self::Paper => paper::fitted(table, ""),
        }
    }
}

/// What is shown of the tables of scores. Names are words of a row or column, separated by spaces or
/// slashes: `rq` is every row with the word `rq`, `knn/top1` every column with both words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    pub style: Style,
    /// The rows, in this order; all if empty.
    pub rows: Vec<String>,
    /// The columns, in this order; all if empty.
    pub columns: Vec<String>,
    /// The row from which a further table shows the differences.
    pub baseline: Option<String>,
}

/// Why a view shows nothing of some records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    #[error("no row of the scores is called `{name}`")]
    Row { name: String, known: Vec<String> },
    #[error("no column of the scores is called `{name}`")]
    Column { name: String, known: Vec<String> },
}

impl View {
    /// Checks that every name is that of a row or column of these records.
    ///
    /// # Errors
    /// If one is not.
    pub fn check(&self, records: &[RunRecord]) -> Result<(), ViewError> {
        let (runs, _) = distinct(records);
        let groups = groups(&runs, |run| scores::columns(run).collect());
        let labels = RowLabels::of(&groups);
        let rows: Vec<String> = groups.iter().map(|group| words(group, &labels)).collect();
        let columns = runs.iter().flat_map(|run| scores::columns(run));
        let mut columns: Vec<String> = columns.map(|column| words_of_column(&column)).collect();
        columns.sort_unstable();
        columns.dedup();
        let is_unknown = |name: &&String, known: &[String]| !known.iter().any(|words| is_called(words, name));
        let mut names = self.rows.iter().chain(&self.baseline);
        if let Some(name) = names.find(|name| is_unknown(name, &rows)).cloned() {
            return Err(ViewError::Row { name, known: rows });
        }
        match self.columns.iter().find(|name| is_unknown(name, &columns)).cloned() {
            Some(name) => Err(ViewError::Column { name, known: columns }),
            None => Ok(()),
        }
    }

    /// The groups that are called as the baseline.
    pub(super) fn baselines<'a>(&self, groups: &[Group<'a>]) -> Vec<Group<'a>> {
        let labels = RowLabels::of(groups);
        let is_baseline = |group: &&Group| {
            let name = self.baseline.as_ref();
            name.is_some_and(|name| is_called(&words(group, &labels), name))
        };
        groups.iter().filter(is_baseline).cloned().collect()
    }

    /// The groups and columns to show, in the order of their names. Where some are named, groups
    /// without a score in the columns, and columns without one in the groups, are left out.
    pub(super) fn chosen<'a>(
        &self,
        groups: Vec<Group<'a>>,
        columns: Vec<ScoreColumn>,
    ) -> (Vec<Group<'a>>, Vec<ScoreColumn>) {
        if self.rows.is_empty() && self.columns.is_empty() {
            return (groups, columns);
        }
        let labels = RowLabels::of(&groups);
        let mut groups = in_order(&self.rows, groups, |group| words(group, &labels));
        let mut columns = in_order(&self.columns, columns, words_of_column);
        groups.retain(|group| columns.iter().any(|column| group.has(column)));
        columns.retain(|column| groups.iter().any(|group| group.has(column)));
        (groups, columns)
    }
}

/// The items that have a name, in the order of the names; all if there is no name.
fn in_order<T>(names: &[String], items: Vec<T>, words: impl Fn(&T) -> String) -> Vec<T> {
    if names.is_empty() {
        return items;
    }
    let place = |item: &T| names.iter().position(|name| is_called(&words(item), name));
    let mut placed: Vec<(usize, T)> = items
        .into_iter()
        .filter_map(|item| Some((place(&item)?, item)))
        .collect();
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, item)| item).collect()
}

fn words(group: &Group, labels: &RowLabels) -> String {
    let cells = labels.cells(group).into_iter().map(|cell| cell.text);
    cells.collect::<Vec<_>>().join(" ").trim().to_owned()
}

fn words_of_column((task, (_, protocol), (_, metric)): &ScoreColumn) -> String {
    format!("{task} {protocol} {metric}")
}

/// Whether each word of the name is one of these.
fn is_called(words: &str, name: &str) -> bool {
    let mut wanted = name.split([' ', '/']).filter(|word| !word.is_empty()).peekable();
    wanted.peek().is_some() && wanted.all(|wanted| words.split(' ').any(|word| word == wanted))
}

#[cfg(test)]
mod tests;

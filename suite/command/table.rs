//! `table`: comparison tables from records.

use crate::cli::error::{Result, UnknownName};
use crate::cli::terminal;
use crate::cli::{Published, RECORDS, TableArgs, TableFormat};
use bridle_results::evidence::Evidence;
use bridle_results::published::{self, Shown};
use bridle_results::record::RunRecord;
use bridle_results::store::RunName;
use bridle_results::table::{self, Table, TableKind};
use bridle_results::{report, store};
use std::path::{Path, PathBuf};

/// Reads the records and prints their tables.
///
/// # Errors
/// If a table has no such name, a path holds no record, a file is no record, or stdout cannot be
/// written.
pub fn perform(args: &TableArgs) -> Result<()> {
    terminal::print(&text(args)?)
}

/// The tables as text.
///
/// # Errors
/// If a table has no such name, a path holds no record, or a file is no record.
pub fn text(args: &TableArgs) -> Result<String> {
    let kinds = chosen(&args.only)?;
    let default = [PathBuf::from(RECORDS)];
    let paths = if args.paths.is_empty() {
        &default[..]
    } else {
        &args.paths
    };
    let found = store::find(paths)?;
    let is_page = matches!(args.format, TableFormat::Html);
    let evidence = if is_page || kinds.iter().any(|kind| kind.has_scores()) {
        Evidence::read(&found)?
    } else {
        Evidence::default()
    };
    let records: Vec<RunRecord> = found.into_iter().map(|(_, record)| record).collect();
    let mut tables = measured(&records, &evidence, &kinds);
    if kinds.contains(&TableKind::Scores) {
        tables.extend(published::tables(&records, args.published.into()));
    }
    if tables.is_empty() {
        terminal::log("the records hold nothing for these tables");
    }
    Ok(match args.format {
        TableFormat::Html => report::page(&records, &evidence, &tables),
        format => table::render(&tables, format.into()),
    })
}

/// Prints all tables of what these records below `out` measured.
///
/// # Errors
/// As [`of`], and if stdout cannot be written.
pub fn print(records: &[RunRecord], out: &Path, format: TableFormat) -> Result<()> {
    terminal::print(&of(records, out, format)?)
}

/// The tables of these records, which lie below `out`, as text.
///
/// # Errors
/// If the machine fails to read predictions.
pub fn of(records: &[RunRecord], out: &Path, format: TableFormat) -> Result<String> {
    let mut evidence = Evidence::default();
    for record in records {
        evidence.add_file(&out.join(RunName::of(record).path()), record)?;
    }
    let kinds: Vec<TableKind> = TableKind::unasked().collect();
    Ok(table::render(&measured(records, &evidence, &kinds), format.into()))
}

fn measured(records: &[RunRecord], evidence: &Evidence, kinds: &[TableKind]) -> Vec<Table> {
    kinds.iter().flat_map(|kind| kind.of(records, evidence)).collect()
}

impl From<Published> for Shown {
    fn from(published: Published) -> Self {
        match published {
            Published::None => Self::None,
            Published::Protocol => Self::Protocol,
            Published::All => Self::All,
        }
    }
}

/// The tables of these names, each once, in the order of printing; without a name those that need
/// not be asked for.
fn chosen(names: &[String]) -> Result<Vec<TableKind>> {
    let known = TableKind::ALL.map(|(name, _)| name);
    if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(UnknownName::new("table", name, known).into());
    }
    if names.is_empty() {
        return Ok(TableKind::unasked().collect());
    }
    let all = TableKind::ALL.into_iter();
    let chosen = all.filter(|(name, _)| names.iter().any(|chosen| chosen == name));
    Ok(chosen.map(|(_, kind)| kind).collect())
}

impl From<TableFormat> for table::Format {
    fn from(format: TableFormat) -> Self {
        match format {
            TableFormat::Terminal => Self::Terminal,
            TableFormat::Markdown => Self::Markdown,
            TableFormat::Latex => Self::Latex,
            TableFormat::Csv => Self::Csv,
            TableFormat::Html => Self::Html,
            TableFormat::Json => Self::Json,
        }
    }
}

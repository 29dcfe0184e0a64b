//! `table`: comparison tables from records.

use crate::cli::error::{Failure, Result, UnknownName};
use crate::cli::exit::Exit;
use crate::cli::terminal;
use crate::cli::{Format, Published, RECORDS, TableArgs, TableFormat, TableStyle};
use bridle_results::compare;
use bridle_results::evidence::Evidence;
use bridle_results::published::{self, Shown};
use bridle_results::record::RunRecord;
use bridle_results::store::RunName;
use bridle_results::table::{self, Style, Table, TableKind, View, ViewError};
use bridle_results::{report, store};
use std::path::{Path, PathBuf};

/// Reads the records and prints their tables.
///
/// # Errors
/// As [`text`], and if stdout cannot be written.
pub fn perform(args: &TableArgs) -> Result<()> {
    terminal::print(&text(args, terminal::columns())?)
}

/// The tables as text, those for a terminal in so many columns.
///
/// # Errors
/// If a table, row or column has no such name, a path holds no record that passes the filters, or a
/// file is no record.
pub fn text(args: &TableArgs, columns: usize) -> Result<String> {
    let is_page = matches!(args.format, TableFormat::Html);
    let kinds = chosen(&args.only, is_page)?;
    let view = view(args)?;
    let default = [PathBuf::from(RECORDS)];
    let paths = if args.paths.is_empty() {
        &default[..]
    } else {
        &args.paths
    };
    let found = compare::kept(&paths[0], store::find(paths)?, &args.filters)?;
    let evidence = if is_page || kinds.iter().any(|kind| kind.has_scores()) {
        Evidence::read(&found)?
    } else {
        Evidence::default()
    };
    let records: Vec<RunRecord> = found.into_iter().map(|(_, record)| record).collect();
    view.check(&records)?;
    let mut tables = measured(&records, &evidence, &kinds, &view);
    if kinds.contains(&TableKind::Scores) {
        let published = published::tables(&records, args.published.into());
        tables.extend(published.into_iter().flat_map(|table| view.style.fitted(table)));
    }
    if tables.is_empty() {
        terminal::log("the records hold nothing for these tables");
    }
    Ok(match args.format {
        TableFormat::Html => report::page(&records, &evidence, &tables),
        format => table::render(&tables, form(format, columns)),
    })
}

/// Prints the scores that these records below `out` measured, and the ablations if wanted.
///
/// # Errors
/// As [`of`], and if stdout cannot be written.
pub fn print(records: &[RunRecord], out: &Path, format: TableFormat, ablations: bool) -> Result<()> {
    let kinds = [TableKind::Scores, TableKind::Ablation];
    let kinds = if ablations { &kinds[..] } else { &kinds[..1] };
    terminal::print(&of(records, out, format, kinds)?)
}

/// These tables of these records, which lie below `out`, as text.
///
/// # Errors
/// If the machine fails to read predictions.
pub fn of(records: &[RunRecord], out: &Path, format: TableFormat, kinds: &[TableKind]) -> Result<String> {
    let mut evidence = Evidence::default();
    for record in records {
        evidence.add_file(&out.join(RunName::of(record).path()), record)?;
    }
    Ok(table::render(
        &measured(records, &evidence, kinds, &View::default()),
        form(format, terminal::columns()),
    ))
}

fn measured(records: &[RunRecord], evidence: &Evidence, kinds: &[TableKind], view: &View) -> Vec<Table> {
    kinds.iter().flat_map(|kind| kind.of(records, evidence, view)).collect()
}

/// What the options say of rows, columns and style.
fn view(args: &TableArgs) -> Result<View> {
    let for_programs = matches!(args.format, TableFormat::Csv | TableFormat::Json);
    let style = match (args.style, args.format) {
        (Some(_), _) if for_programs => {
            let failure = Failure::wrong_use("--style is for people; csv and json hold the same numbers in any style");
            return Err(failure.with_hint("without --style"));
        }
        (Some(TableStyle::Paper), _) | (None, TableFormat::Latex | TableFormat::Markdown) => Style::Paper,
        _ => Style::Full,
    };
    Ok(View {
        style,
        rows: args.rows.clone(),
        columns: args.columns.clone(),
        baseline: args.baseline.clone(),
    })
}

impl From<ViewError> for Failure {
    fn from(error: ViewError) -> Self {
        let (ViewError::Row { known, .. } | ViewError::Column { known, .. }) = &error;
        let hint = format!("words of one of these, separated by slashes: {}", known.join("; "));
        Self::new(Exit::WrongUse, error).with_hint(&hint)
    }
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

/// The tables of these names, each once, in the order of printing; without a name the scores, and
/// for a page all but single runs.
fn chosen(names: &[String], is_page: bool) -> Result<Vec<TableKind>> {
    let known = TableKind::ALL.map(|(name, _)| name);
    if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(UnknownName::new("table", name, known).into());
    }
    if names.is_empty() {
        return Ok(if is_page {
            TableKind::of_report().collect()
        } else {
            vec![TableKind::Scores]
        });
    }
    let all = TableKind::ALL.into_iter();
    let chosen = all.filter(|(name, _)| names.iter().any(|chosen| chosen == name));
    Ok(chosen.map(|(_, kind)| kind).collect())
}

impl From<Format> for TableFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Terminal => Self::Terminal,
            Format::Json => Self::Json,
        }
    }
}

/// This form of tables, for a terminal in so many columns.
pub fn form(format: TableFormat, columns: usize) -> table::Format {
    match format {
        TableFormat::Terminal => table::Format::Terminal { columns },
        TableFormat::Markdown => table::Format::Markdown,
        TableFormat::Latex => table::Format::Latex,
        TableFormat::Csv => table::Format::Csv,
        TableFormat::Html => table::Format::Html,
        TableFormat::Json => table::Format::Json,
    }
}

//! `table`: comparison tables from records.

use crate::cli::{TableArgs, TableFormat};
use crate::error::{Result, UnknownName};
use crate::request::RECORDS;
use crate::terminal;
use bridle_results::record::RunRecord;
use bridle_results::store;
use bridle_results::table::{self, Kind, Table};
use std::path::PathBuf;

/// Reads the records and prints their tables.
///
/// # Errors
/// If there is no record, a file is none, or a table is unknown.
pub fn perform(args: &TableArgs) -> Result<()> {
    let kinds = chosen(&args.only)?;
    let paths = if args.paths.is_empty() {
        vec![PathBuf::from(RECORDS)]
    } else {
        args.paths.clone()
    };
    let records: Vec<RunRecord> = store::find(&paths)?.into_iter().map(|(_, record)| record).collect();
    show(&records, &kinds, args.format)
}

/// Prints all tables that these records make.
///
/// # Errors
/// If stdout cannot be written.
pub fn print(records: &[RunRecord], format: TableFormat) -> Result<()> {
    show(records, &Kind::ALL.map(|(_, kind)| kind), format)
}

fn show(records: &[RunRecord], kinds: &[Kind], format: TableFormat) -> Result<()> {
    let tables: Vec<Table> = kinds.iter().filter_map(|kind| kind.of(records)).collect();
    if tables.is_empty() {
        terminal::talk("the records hold nothing for these tables");
    }
    terminal::print(&table::render(&tables, format.into()))
}

/// The tables of these names, each once, in the order of printing; all without a name.
fn chosen(names: &[String]) -> Result<Vec<Kind>> {
    let known = Kind::ALL.map(|(name, _)| name);
    if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(UnknownName::new("table", name, known).into());
    }
    let is_chosen = |name: &str| names.is_empty() || names.iter().any(|chosen| chosen == name);
    let all = Kind::ALL.into_iter().filter(|(name, _)| is_chosen(name));
    Ok(all.map(|(_, kind)| kind).collect())
}

impl From<TableFormat> for table::Format {
    fn from(format: TableFormat) -> Self {
        match format {
            TableFormat::Terminal => Self::Terminal,
            TableFormat::Markdown => Self::Markdown,
            TableFormat::Json => Self::Json,
        }
    }
}

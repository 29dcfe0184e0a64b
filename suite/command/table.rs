//! `table`: comparison tables from records.

use crate::cli::{Published, TableArgs, TableFormat};
use crate::error::Result;
use crate::request::RECORDS;
use crate::terminal;
use bridle_results::published::{self, Shown};
use bridle_results::record::RunRecord;
use bridle_results::{report, store, table};
use std::path::PathBuf;

/// Reads the records and prints their tables.
///
/// # Errors
/// If there is no record, or a file is none.
pub fn perform(args: &TableArgs) -> Result<()> {
    let paths = if args.paths.is_empty() {
        vec![PathBuf::from(RECORDS)]
    } else {
        args.paths.clone()
    };
    let records: Vec<RunRecord> = store::find(&paths)?.into_iter().map(|(_, record)| record).collect();
    let mut tables = measured(&records);
    tables.extend(published::tables(&records, args.published.into()));
    match args.format {
        TableFormat::Html => terminal::print(&report::page(&records, &tables)),
        format => terminal::print(&table::render(&tables, format.into())),
    }
}

/// Prints all tables of what these records measured.
///
/// # Errors
/// If stdout cannot be written.
pub fn print(records: &[RunRecord], format: TableFormat) -> Result<()> {
    terminal::print(&table::render(&measured(records), format.into()))
}

/// Scores, codebooks, ablations where plans differ in one value, and backends where one plan ran on several.
fn measured(records: &[RunRecord]) -> Vec<table::Table> {
    let mut tables = vec![table::main_table(records)];
    if records.iter().any(|record| record.quantizer().is_some()) {
        tables.push(table::codebook_table(records));
    }
    tables.extend(table::ablation_tables(records));
    tables.extend(table::backend_table(records));
    tables
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

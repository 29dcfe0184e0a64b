//! `table`: comparison tables from records.

use crate::cli::{TableArgs, TableFormat};
use crate::error::Result;
use crate::request::RECORDS;
use crate::terminal;
use bridle_results::record::RunRecord;
use bridle_results::{store, table};
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
    print(&records, args.format)
}

/// Prints all tables that these records make: scores, codebooks, and backends where one plan ran on several.
///
/// # Errors
/// If stdout cannot be written.
pub fn print(records: &[RunRecord], format: TableFormat) -> Result<()> {
    let mut tables = vec![table::main_table(records)];
    if records.iter().any(|record| record.quantizer().is_some()) {
        tables.push(table::codebook_table(records));
    }
    tables.extend(table::backend_table(records));
    terminal::print(&table::render(&tables, format.into()))
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

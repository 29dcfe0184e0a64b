//! The report.
use crate::table::{Table, html};
/// Tables.
pub fn tables(tables: &[Table]) -> String {
    tables
        .iter()
        .map(|t| t.render(crate::table::Format::Html))
        .collect::<String>()
        + &html::escaped("\n")
}

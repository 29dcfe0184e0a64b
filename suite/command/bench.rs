//! `bench`: throughput of single step kinds, and ratios to an earlier run or to the PyTorch peer.

use crate::bench::{Against, Bench, Setup};
use crate::cli::error::Result;
use crate::cli::progress::TerminalProgress;
use crate::cli::terminal;
use crate::cli::{BenchArgs, Format};
use bridle_results::table;
use serde_json::json;

/// Checks and times the chosen tasks, and prints their times; with `--against` their ratios too.
///
/// # Errors
/// Wrong use; a backend that cannot be opened; a task that does not compute what its plain form
/// computes.
pub fn perform(args: &BenchArgs) -> Result<()> {
    let setup = Setup::new(args)?;
    let against = args.against.as_deref().map(Against::read).transpose()?;
    if let Some(against) = &against {
        against.require_comparable(&setup)?;
    }
    let progress = TerminalProgress::default();
    let bench = Bench {
        setup: &setup,
        progress: &progress,
    };
    let report = bridle_backends::run(&setup.backend, bench)??;
    let ratios = against.map(|against| against.table(&report));
    match args.format {
        Format::Terminal => {
            let tables: Vec<_> = [report.table()].into_iter().chain(ratios).collect();
            let columns = terminal::columns();
            terminal::print(&table::render(&tables, table::Format::Terminal { columns }))
        }
        Format::Json => {
            let mut value = json!(report);
            if let Some(ratios) = ratios {
                value["against"] = ratios.to_json();
            }
            terminal::print_json(&value)
        }
    }
}

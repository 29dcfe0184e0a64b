//! `bench`: throughput of single step kinds, and ratios to an earlier run or to the PyTorch peer.
//! Under a launcher, of the steps that ranks share, and of their sums.

use crate::bench::{Against, Bench, Report, Setup, processor, sums};
use crate::cli::error::{Failure, Result};
use crate::cli::progress::TerminalProgress;
use crate::cli::{BenchArgs, Format};
use crate::cli::{ranks, terminal};
use crate::command::run::share_machine;
use crate::run::machine;
use bridle_results::table;
use serde_json::json;

/// Checks and times the chosen tasks, and prints their times; with `--against` their ratios too.
///
/// # Errors
/// Wrong use; a backend that cannot be opened; a task that does not compute what its plain form
/// computes.
pub fn perform(args: &BenchArgs) -> Result<()> {
    let mut setup = Setup::new(args)?;
    let ranks = ranks::join()?;
    let work = format!("{:?}", setup.model);
    ranks.agree(&[
        ("program", machine::VERSION),
        ("command", "bench"),
        ("work", &work),
        ("backend", &machine::kind_of_backend(&setup.backend)),
    ])?;
    let against = args.against.as_deref().map(Against::read).transpose()?;
    if let Some(against) = &against {
        against.require_comparable(&setup)?;
    }
    let progress = TerminalProgress::default();
    if ranks.size() > 1 {
        share_machine(&mut setup.backend, &ranks, &progress)?;
        setup.share(&ranks)?;
    }
    let measure = |setup: &Setup| -> Result<Report> {
        let bench = Bench {
            setup,
            progress: &progress,
            ranks: &ranks,
        };
        Ok(bridle_backends::run(&setup.backend, bench)??)
    };
    if args.report {
        if ranks.size() > 1 {
            return Err(Failure::wrong_use("--report measures one process, not several ranks"));
        }
        let reports: Vec<Report> = processor::setups(&setup).iter().map(measure).collect::<Result<_>>()?;
        let table = processor::table(&reports, against.as_ref());
        return match args.format {
            Format::Terminal => terminal::print(&table.render(table::Format::Markdown)),
            Format::Json => terminal::print_json(&table.to_json()),
        };
    }
    let mut report = measure(&setup)?;
    report.sums = sums::measure(&ranks, setup.repeats)?;
    if !ranks.leads() {
        return Ok(());
    }
    let ratios = against.map(|against| against.table(&report));
    match args.format {
        Format::Terminal => {
            let own = std::iter::once(report.table()).chain(sums::table(&report));
            let tables: Vec<_> = own.chain(ratios).collect();
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

//! The commands: one file each.

pub mod bench;
pub mod check;
pub mod compare;
pub mod completions;
pub mod explain;
pub mod export;
pub mod features;
pub mod fetch;
pub mod import;
pub mod judge;
pub mod list;
pub mod man;
pub mod regress;
pub mod reproduce;
pub mod run;
pub(crate) mod splice;
pub mod study;
pub mod table;

use crate::cli::error::Result;
use crate::cli::exit::Exit;
use crate::cli::ranks;
use crate::cli::{Cli, Command};

/// Does what the command line asks for.
///
/// # Errors
/// Whatever ends a command early, with its exit code.
pub fn perform(cli: &Cli) -> Result<Exit> {
    match &cli.command {
        Command::Run(args) => {
            ranks::choose(&args.joining);
            run::perform(&args.run)
        }
        Command::List(args) => list::perform(args).map(|()| Exit::Done),
        Command::Check(args) => check::perform(args).map(|()| Exit::Done),
        Command::Reproduce(args) => reproduce::perform(args),
        Command::Explain(args) => explain::perform(args).map(|()| Exit::Done),
        Command::Fetch(args) => fetch::perform(args).map(|()| Exit::Done),
        Command::Table(args) if args.splice.is_empty() => table::perform(args).map(|()| Exit::Done),
        Command::Table(args) => splice::perform(&args.splice, args.check),
        Command::Compare(args) => compare::perform(args).map(|()| Exit::Done),
        Command::Regress(args) => regress::perform(args),
        Command::Judge(args) => judge::perform(args).map(|()| Exit::Done),
        Command::Features(args) => features::perform(args).map(|()| Exit::Done),
        Command::Export(args) => export::perform(args).map(|()| Exit::Done),
        Command::Import(args) => import::perform(args).map(|()| Exit::Done),
        Command::Study(args) => study::perform(args),
        Command::Bench(args) => bench::perform(args).map(|()| Exit::Done),
        Command::Completions(args) => completions::perform(args.shell).map(|()| Exit::Done),
        Command::Man(args) => man::perform(&args.folder).map(|()| Exit::Done),
    }
}

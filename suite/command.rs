//! The commands: one file each.

pub mod bench;
pub mod check;
pub mod compare;
pub mod export;
pub mod features;
pub mod fetch;
pub mod import;
pub mod judge;
pub mod list;
pub mod regress;
pub mod run;
pub(crate) mod splice;
pub mod study;
pub mod table;

use crate::cli::error::Result;
use crate::cli::exit::Exit;
use crate::cli::terminal;
use crate::cli::{Cli, Command};
use clap::CommandFactory;

/// Does what the command line asks for.
///
/// # Errors
/// Whatever ends a command early, with its exit code.
pub fn perform(cli: &Cli) -> Result<Exit> {
    match &cli.command {
        Command::Run(args) => run::perform(args),
        Command::List(args) => list::perform(args).map(|()| Exit::Done),
        Command::Check(args) => check::perform(args).map(|()| Exit::Done),
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
        Command::Completions(args) => {
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut Cli::command(), "bridle-bench", &mut script);
            terminal::print(&String::from_utf8_lossy(&script)).map(|()| Exit::Done)
        }
    }
}

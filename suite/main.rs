//! The program: reads the command line, performs the command, tells what went wrong, and exits with the documented code.

#[cfg(all(feature = "tch", target_os = "linux", target_env = "gnu"))]
mod early;

use bridle_bench::cli::Cli;
use bridle_bench::exit::Exit;
use bridle_bench::{command, terminal};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    answer(&Cli::parse()).into()
}

/// Performs the command; whatever ends it early is told on stderr.
fn answer(cli: &Cli) -> Exit {
    terminal::report_panics();
    command::perform(cli).unwrap_or_else(|failure| failure.report())
}

//! The program: reads the command line, runs the command, reports errors and exits with a
//! documented code.

use bridle_bench::cli::Cli;
use bridle_bench::{command, terminal};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    terminal::report_panics();
    command::perform(&cli).unwrap_or_else(|failure| failure.report()).into()
}

//! The program: reads the command line, performs the command, tells what went wrong, and exits with the documented code.

use bridle_bench::cli::Cli;
use bridle_bench::{command, terminal};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    terminal::report_panics();
    let exit = command::perform(&Cli::parse()).unwrap_or_else(|failure| failure.report());
    exit.into()
}

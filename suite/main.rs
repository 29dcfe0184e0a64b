//! The program: reads the command line, runs the command, reports errors and exits with a
//! documented code.

use bridle_bench::cli::Cli;
use bridle_bench::cli::{interrupt, ranks, terminal};
use bridle_bench::command;
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    if ranks::started().is_some() {
        // SAFETY: no other thread was started yet
        unsafe { bridle_ranks::nccl::keep_order_of_sums() };
    }
    let cli = Cli::parse();
    #[cfg(feature = "tch")]
    if std::env::args_os().any(|argument| argument == "tch" || argument == "--backend=tch") {
        bridle_backends::start_with_short_waits();
    }
    #[cfg(feature = "tch")]
    if matches!(&cli.command, bridle_bench::cli::Command::Bench(args) if args.report) {
        bridle_backends::start_with_short_waits();
    }
    terminal::decide(cli.talk());
    terminal::report_panics();
    interrupt::faults_have_their_exit_code();
    ranks::end(command::perform(&cli)).into()
}

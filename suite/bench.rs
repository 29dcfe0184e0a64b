//! Throughput of single step kinds: the same work, flags and keys as the PyTorch peer, so that both can be run in turn.
//!
//! Every kind is held to its plain form before it is timed: a fast wrong answer is no number.

pub(crate) mod against;
mod check;
pub mod processor;
mod report;
mod setup;
mod steps;
pub mod sums;

pub use against::{Against, AgainstError};
pub use check::{CheckError, check};
pub use report::{Report, Row};
pub use setup::{Input, Kind, Setup, Size};
pub use steps::Workload;

use crate::cli::progress::TerminalProgress;
use crate::run::machine;
use bridle_backends::kernel::with_ranks;
use bridle_backends::{Facts, Job, TrainBackend};
use bridle_ranks::{Patience, Ranks};
use bridle_tasks::Progress;
use std::time::Instant;

/// Checks and times the kinds of a setup on whatever backend is opened for it.
pub struct Bench<'a> {
    /// What is measured.
    pub setup: &'a Setup,
    /// Tells the user.
    pub progress: &'a TerminalProgress,
    /// Who shares the steps.
    pub ranks: &'a Ranks,
}

impl Job for Bench<'_> {
    type Output = Result<Report, CheckError>;

    fn run<B: TrainBackend>(self, device: B::Device, facts: Facts) -> Self::Output {
        let setup = self.setup;
        machine::keep_freed_memory();
        self.ranks
            .required(machine::sum_on_devices(self.ranks, &facts, self.progress));
        let mut report = Report::new(setup, &facts);
        let mut work = Workload::<B>::new(setup, &device);
        report.config.encoder_parameters = work.encoder_parameters();
        report.config.tokenizer_parameters = work.tokenizer_parameters();
        for &kind in &setup.kinds {
            let times = setup.warmup + setup.repeats;
            self.progress.start_at(kind.word(), 0, times as u64 + 1);
            check(&work, kind, facts.tf32)?;
            let found = (0..times).map(|_| {
                self.progress.advance(1);
                // all begin together
                self.ranks.required(self.ranks.barrier(Patience::Usual));
                let before = self.ranks.exchanging();
                let step = || with_ranks(self.ranks, || work.perform(kind));
                let seconds = timed::<B>(&device, step);
                (seconds, (self.ranks.exchanging() - before).as_secs_f64())
            });
            let (seconds, sums): (Vec<f64>, Vec<f64>) = found.skip(setup.warmup).unzip();
            let mut row = Row::new(&seconds, setup.items(kind), kind.unit());
            if self.ranks.size() > 1 {
                row.sums_s = Some(Row::new(&sums, 1, "").median_s);
            }
            report.results.push((kind, row));
            self.progress.finish();
        }
        report.runtime.load_average_after = machine::load_average();
        report.runtime.peak_memory_bytes = machine::peak_memory_bytes();
        Ok(report)
    }
}

/// Seconds of `work`, with everything that the device was asked to do before and in it done.
fn timed<B: TrainBackend>(device: &B::Device, work: impl FnOnce()) -> f64 {
    let sync = || B::sync(device).expect("a device that has computed until now still does");
    sync();
    let begun = Instant::now();
    work();
    sync();
    begun.elapsed().as_secs_f64()
}

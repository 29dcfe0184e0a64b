//! Run records, and what is computed from them: metrics, statistics, comparisons, tables, the gate.
//!
//! ```text
//! codes        use of each codebook; information of labels about class, place and words
//! metric       scores and targets -> top-k, average precision, AUC, d'; transcripts -> WER, CER
//! stats        intervals over runs and test samples, p-values, power; Wilson; tests of two runs
//! evidence     how much each source of test samples moves a score, from predictions
//! record       RunRecord: one run, fold and seed as JSON; a reader for every schema version
//! predictions  scores or transcripts of every test sample, as CSV
//! store        paths of records and predictions, atomic writes, search
//! compare      two sets of records -> differences, intervals, p-values, verdicts
//! regress      records against a file of expected numbers with bands: the gate for CI
//! published    numbers of other methods, shown beside the measured ones
//! reproduction a run beside the same run made again: equal, within rounding, different in what
//! shown        words of records and files without control characters
//! table        tables from records, in six formats
//! report       records and tables as one HTML page with plots
//! ```
//!
//! The folders `records`, `gates`, `small-sets` and `ablations` hold data and no code.

pub mod codes;
pub mod compare;
pub mod evidence;
pub mod metric;
pub mod predictions;
pub mod published;
pub mod record;
pub mod regress;
pub mod report;
pub mod reproduction;
pub mod shown;
pub mod stats;
pub mod store;
pub mod table;

mod finite;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
#[path = "../tests/fuzz/replay.rs"]
mod replay;
#[cfg(any(test, fuzzing))]
pub mod untrusted;

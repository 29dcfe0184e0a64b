//! The gate: compares records with a file of expected numbers, each with a band.
//!
//! On one machine a plan gives the same numbers bit for bit. Other processors and backends round
//! differently, and training amplifies that, so each number may lie within a band whose edges still
//! pass. A score that leaves its band upwards is reported and passes. Use of a codebook is bounded
//! on both sides, because collapse and explosion both matter. A missing number or a null is a
//! regression.

mod baseline;
mod check;
mod envelope;
mod read;
mod report;
mod run;

pub use baseline::{Band, Bands, Baseline, BaselineError, Expected, ExpectedNumber, Width};
pub use check::{Check, Standing, Verdict, check};
pub use envelope::{CurveEnvelope, Departure, EnvelopeError, Envelopes, LeftRun, PlanEnvelope};
pub use run::{GateRun, Quantity, QuantityKind, RunKey};

#[cfg(test)]
mod tests;

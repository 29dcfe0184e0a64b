//! The gate: records against a baseline file of the numbers that they should show, each with a band.
//!
//! On one machine a plan gives the same numbers bit for bit. On another processor or backend they differ by rounding,
//! which training amplifies, so that a number is held to a band about the baseline's, whose edges still pass. A score
//! that leaves its band for the better is told of and is no regression; use of a codebook is held on both sides,
//! because a collapse and an explosion are both news. What is missing, and a number that is null, is a regression.

mod baseline;
mod judge;
mod read;
mod report;
mod run;

pub use baseline::{Band, Bands, Baseline, BaselineError, Entry, Expected, Width};
pub use judge::{Judgement, Outcome, Verdict, judge};
pub use run::{Key, Quantity, Run, Section};

#[cfg(test)]
mod tests;

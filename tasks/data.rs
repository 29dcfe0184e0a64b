//! Data sets: lists of samples, opened data, and what is measured of it.

pub(crate) mod census;
pub(crate) mod dataset;
pub(crate) mod listing;
mod open;
pub(crate) mod prefetch;
pub(crate) mod speech;
mod subset;

// what prefetch takes its threads from
use std as standard;

//! Opened data sets, and the way from a list of files to one.

pub(crate) mod census;
pub(crate) mod dataset;
pub(crate) mod listing;
pub(crate) mod prefetch;
pub(crate) mod speech;
mod subset;

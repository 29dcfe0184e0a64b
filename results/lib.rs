//! Run records and what is made of them: the schema, the files, codebook and interval statistics, and tables.
//!
//! ```text
//! codebook  counts of codes per level -> usage, entropy, perplexity, dead codes
//! metric    scores and targets -> top-k, average precision, AUC, d'
//! stats     intervals that name their method: Wilson, t over seeds, stratified bootstrap; tests of a difference
//! record    RunRecord: one run, fold and seed, as JSON; reader for every schema version
//! store     where records and predictions lie; atomic replacement; search
//! compare   two sets of records with their predictions -> differences, intervals, p-values, verdicts
//! table     records -> main, codebook and backend tables -> terminal, Markdown, JSON
//! ```

pub mod codebook;
pub mod compare;
pub mod metric;
pub mod predictions;
pub mod record;
pub mod stats;
pub mod store;
pub mod table;

mod finite;

#[cfg(test)]
mod sample;

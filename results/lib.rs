//! Run records and what is made of them: the schema, the files, codebook and interval statistics, and tables.
//!
//! ```text
//! codebook  counts of codes per level -> usage, entropy, perplexity, dead codes
//! stats     intervals that name their method: Wilson, t over seeds, stratified bootstrap
//! record    RunRecord: one run, fold and seed, as JSON; reader for every schema version
//! store     where records and predictions lie; atomic replacement; search
//! published numbers of other methods, for a block beside the measured ones
//! table     records -> main, codebook, ablation and backend tables -> terminal, Markdown, LaTeX, CSV, HTML, JSON
//! report    records and tables -> one page with plots
//! ```

pub mod codebook;
pub mod predictions;
pub mod published;
pub mod record;
pub mod report;
pub mod stats;
pub mod store;
pub mod table;

mod finite;

#[cfg(test)]
mod sample;

//! Run records and what is made of them: the schema, the files, codebook and interval statistics, and tables.
//!
//! ```text
//! codebook  counts of codes per level -> usage, entropy, perplexity, dead codes
//! labels    codes of tokens -> joint entropy, information with class and place, change
//! metric    scores and targets -> top-k, average precision, AUC, d'; transcripts -> word and character error rate
//! stats     intervals that name their method: Wilson, t over seeds, stratified bootstrap; tests of a difference
//! record    RunRecord: one run, fold and seed, as JSON; reader for every schema version
//! store     where records and predictions lie; atomic replacement; search
//! compare   two sets of records with their predictions -> differences, intervals, p-values, verdicts
//! regress   records against a baseline file with bands -> what moved, what is missing
//! published numbers of other methods, for a block beside the measured ones
//! table     records -> main, codebook, label, ablation and backend tables -> terminal, Markdown, LaTeX, CSV, HTML, JSON
//! report    records and tables -> one page with plots
//! ```

pub mod codes;
pub mod compare;
pub mod metric;
pub mod predictions;
pub mod published;
pub mod record;
pub mod regress;
pub mod report;
pub mod stats;
pub mod store;
pub mod table;

mod finite;

#[cfg(test)]
mod fixtures;

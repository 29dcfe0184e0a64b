//! Run records and what is made of them: the schema, the files, codebook and interval statistics, and tables.
//!
//! ```text
//! codebook  counts of codes per level -> usage, entropy, perplexity, dead codes
//! labels    codes of tokens -> joint entropy, information with class and place, change
//! stats     intervals that name their method: Wilson, t over seeds, stratified bootstrap
//! record    RunRecord: one run, fold and seed, as JSON; reader for every schema version
//! store     where records and predictions lie; atomic replacement; search
//! regress   records against a baseline file with bands -> what moved, what is missing
//! table     records -> main, codebook and backend tables -> terminal, Markdown, JSON
//! ```

pub mod codebook;
pub mod labels;
pub mod predictions;
pub mod record;
pub mod regress;
pub mod stats;
pub mod store;
pub mod table;

mod finite;

#[cfg(test)]
mod sample;

//! Decoding of connectionist temporal classification (CTC, Graves et al. 2006): from
//! log-probabilities of symbols in each frame to the symbols that were said.
//!
//! ```text
//! frames  log-probabilities [T, C], checked
//! greedy  the likeliest symbol of each frame, repeats and blanks taken out
//! beam    the likeliest symbols over all alignments, by prefix beam search, with a language model
//! arpa    n-gram models from ARPA files, with back-off
//! model   what a language model says of symbols: nothing, symbol by symbol, or word by word
//! ```
//!
//! All probabilities are natural logarithms, but in ARPA files, which have those to the base 10.

mod arpa;
mod beam;
mod frames;
mod greedy;
mod model;

pub use arpa::{ArpaError, Ngrams};
pub use beam::{Hypothesis, Search, Weights};
pub use frames::{Frames, FramesError};
pub use greedy::{collapse, greedy};
pub use model::{LanguageModel, NoModel, SymbolModel, WordModel, WordState};

#[cfg(test)]
#[path = "../../tests/fuzz/replay.rs"]
mod replay;
#[cfg(test)]
mod tests;
#[cfg(any(test, fuzzing))]
pub mod untrusted;

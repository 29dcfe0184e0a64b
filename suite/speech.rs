//! Speech: sequences of any length with transcripts, in place of inputs of one shape with classes.
//!
//! ```text
//! request -> resolve -> plan   what was asked for, with every value resolved; validate: what values can be
//! batches, labels              utterances to padded batches, and the codes of all their frames
//! model, pretrain, refine      the phases of pretraining, and labels that are better than random
//! augment                      what differs between two looks at an utterance in training with transcripts
//! symbols, recognise, decode   transcripts learnt by connectionist temporal classification, and recognised
//! run, check                   the commands
//! ```

pub mod augment;
pub mod check;
pub mod decode;
pub mod model;
pub mod plan;
pub mod recognise;
pub mod request;
pub mod resolve;
pub mod run;
pub mod symbols;
mod validate;

//! Speech: sequences of any length with transcripts, in place of inputs of one shape with classes.
//!
//! ```text
//! batches, labels              utterances to padded batches, and the codes of all their frames
//! model, pretrain, refine      the phases of pretraining, and labels that are better than random
//! augment                      what differs between two looks at an utterance in training with transcripts
//! run, check                   the commands
//! ```

pub mod augment;
pub mod batches;
pub mod check;
pub mod labels;
pub mod model;
pub mod pretrain;
pub mod refine;
pub mod run;

//! Speech: sequences of any length with transcripts, in place of inputs of one shape with classes.
//!
//! ```text
//! model                        from the plan's values to the encoder's sizes
//! augment                      what differs between two looks at an utterance in training with transcripts
//! run, check                   the commands
//! ```

pub mod augment;
pub mod check;
pub mod model;
pub mod run;

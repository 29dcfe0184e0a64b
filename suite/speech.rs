//! Speech: sequences of any length with transcripts, in place of inputs of one shape with classes.
//!
//! ```text
//! model                        from the plan's values to the encoder's sizes
//! augment                      what differs between two looks at an utterance in training with transcripts
//! symbols, recognise, decode   transcripts learnt by connectionist temporal classification, and recognised
//! run, check                   the commands
//! ```

pub mod augment;
pub mod check;
pub mod decode;
pub mod model;
pub mod recognise;
pub mod run;
pub mod symbols;

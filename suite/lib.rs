//! The suite: plans a run, trains, judges, and writes down everything that went in and came out.
//!
//! ```text
//! cli -> request -> plan     what was asked for, with every value resolved
//! command                    one file for each command
//! model, data                from the plan to sizes, from samples to batches
//! model_file                 weights of an encoder with what they are, for exchange
//! train                      the one loop over optimizer steps, rates, and the phases of pretraining
//! speech                     the same for sequences of any length, and their transcripts
//! protocol                   how a frozen encoder is judged
//! identity, checkpoint       a run's name, place and record; what it needs to go on
//! bench                      the throughput of single step kinds
//! estimate, machine          what a plan costs, and what there is
//! quantizers                 the registry of quantizers
//! progress, metrics_log      what the user sees of training, and what stays of it
//! interrupt, error, exit     how a run ends
//! ```

pub mod bench;
pub mod checkpoint;
pub mod cli;
pub mod command;
pub mod data;
pub mod estimate;
pub mod identity;
pub mod machine;
pub mod metrics_log;
pub mod model;
pub mod model_file;
pub mod plan;
pub mod protocol;
pub mod quantizers;
pub mod request;
pub mod speech;
pub mod train;

pub use cli::{error, exit, interrupt, progress, terminal};

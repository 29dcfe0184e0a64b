//! The suite: plans a run, trains, evaluates, and records all that went in and came out.
//!
//! ```text
//! cli                        command line, terminal, progress, errors, exit codes, signals
//! request, compute -> plan   the options, checked and resolved to every value
//! command                    one file for each command
//! sizes, data                from the plan to the model's sizes, from samples to batches
//! train                      optimizer steps, rates, phases, methods
//! protocol                   how an encoder is evaluated
//! run, checkpoint            a run's name, folder and record; what it needs to resume
//! model_file                 encoders with their sizes and origin, for exchange
//! quantizers                 the registry of quantizers
//! metrics_log                what stays of training
//! bench                      the throughput of single steps
//! estimate, machine          what a plan costs, and what the machine has
//! ```

pub mod bench;
pub mod checkpoint;
pub mod cli;
pub mod command;
pub mod compute;
pub mod data;
pub mod estimate;
pub mod machine;
pub mod metrics_log;
pub mod model_file;
pub mod plan;
pub mod protocol;
pub mod quantizers;
pub mod request;
pub mod run;
pub mod sizes;
pub mod train;

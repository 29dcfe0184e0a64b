//! The suite: plans a run, trains, evaluates, and records all that went in and came out.
//!
//! ```text
//! cli                        command line, terminal, progress, errors, exit codes, signals
//! compute, plan              options of the backend; every value of a run, resolved
//! command                    one file for each command
//! embeddings                 vectors and labels of samples that were made elsewhere
//! sizes, data                from the plan to the model's sizes, from samples to batches
//! card                       an encoder as a folder that other programs load
//! foreign                    encoders of other people's making, judged and trained
//! train                      optimizer steps, rates, phases, methods
//! protocol                   how an encoder is evaluated
//! run                        request, name, folder, record, checkpoints and log; encoders in files
//! quantizers                 the registry of quantizers
//! study                      a question, its arms, and their runs
//! bench                      the throughput of single steps
//! estimate                   what a plan costs
//! ```

pub mod bench;
pub mod card;
pub mod cli;
pub mod command;
pub mod compute;
pub mod data;
pub mod embeddings;
pub mod estimate;
pub mod foreign;
pub mod plan;
pub mod protocol;
pub mod quantizers;
pub mod run;
pub mod sizes;
pub mod study;
pub mod train;

#[cfg(test)]
#[path = "../tests/fuzz/replay.rs"]
mod replay;
#[cfg(test)]
mod untrusted;

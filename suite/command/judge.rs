//! `judge`: scores vectors of anyone's making by the protocols that need no more, and records them
//! as `run` does.

use super::run::{self, Session};
use super::table;
use crate::cli::JudgeArgs;
use crate::cli::error::Result;
use crate::cli::terminal;
use crate::embeddings::Embeddings;
use crate::run::request::RunRequest;

/// Judges every fold and seed that was asked for, then prints the tables of their records.
///
/// # Errors
/// If the file does not have one vector of finite numbers for each sample; as `run`.
pub fn perform(args: &JudgeArgs) -> Result<()> {
    let embeddings = Embeddings::read(&args.embeddings)?;
    let run = args.run();
    let request = RunRequest::judging(&run, embeddings, &args.name)?;
    let session = Session::telling("judge", "the same command again")?;
    let plan = &request.plan;
    terminal::log(&format!("{}: vectors of {} numbers", args.name, plan.model.dim()));
    let made = run::records(request, &session)?;
    table::print(&made.records, &run.out, args.format.into(), false)
}

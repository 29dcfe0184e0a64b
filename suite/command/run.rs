//! `run`: pretrain, evaluate, write records, print the table.
use crate::{cli::RunArgs, error::Result, exit::Exit, request::RunRequest};
/// Runs what was asked for.
pub fn perform(args: &RunArgs) -> Result<Exit> { let r = RunRequest::new(args)?; bridle_results::store::writable(&r.out)?; crate::plan::resolve::find_task(&r.plan.task)?.open(&r.open_request(), &())?; Ok(Exit::Done) }

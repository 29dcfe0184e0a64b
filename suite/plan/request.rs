//! What a plan is made from: names and options as the user typed them.

use super::facts::{EmbeddingsRequest, ForeignRequest, InitRequest, LabelsRequest, LmRequest};
use super::preset::Preset;
use super::set::list_items;
use super::{AnyTask, PlanError, Written};

/// What the user asked for, as words. Empty and absent mean the defaults.
#[derive(Clone, Debug, Default)]
pub struct PlanRequest {
    /// Name of a task, or a task file; empty for that of the plan that was written.
    pub task: String,
    /// Name of a method; default `bridle`.
    pub method: Option<String>,
    /// Name of a quantizer; default `rq`. A method that makes no labels records none.
    pub quantizer: Option<String>,
    /// Name of a preset, or the file of one; default [`super::preset::DEFAULT`].
    pub preset: Option<String>,
    /// Name of a recipe; default `authors`. Speech has none.
    pub recipe: Option<String>,
    /// Names of protocols; default `linear-probe`, on speech `finetune`.
    pub protocols: Vec<String>,
    /// Only the first samples of each class, this many.
    pub subset: Option<usize>,
    /// Weights to start from in place of pretraining.
    pub init: Option<InitRequest>,
    /// An encoder of others to judge.
    pub foreign: Option<ForeignRequest>,
    /// Vectors to judge in place of an encoder's.
    pub embeddings: Option<EmbeddingsRequest>,
    /// Labels to train on in place of a tokenizer's.
    pub labels: Option<LabelsRequest>,
    /// A language model for the decoding of speech.
    pub lm: Option<LmRequest>,
    /// A whole plan that was written earlier, in place of the preset's values. Names that are given
    /// here come first.
    pub written: Option<Written>,
    /// `key=value` for any value of the plan, applied in order.
    pub set: Vec<String>,
}

impl PlanRequest {
    /// Where the values come from, for messages.
    pub(super) fn place(&self, preset: &Preset) -> String {
        match &self.written {
            Some(written) => written.place().to_owned(),
            None => format!("preset {}", preset.name),
        }
    }

    /// Finds the task, or reads the task file.
    ///
    /// # Errors
    /// If there is none of that name, or the file is no task file.
    pub fn task(&self) -> Result<AnyTask, PlanError> {
        AnyTask::find(&split_names(self)?.0.task)
    }
}

/// Moves the six names out of `--set` into their own options, and completes them from a plan that was
/// written earlier.
pub(super) fn split_names(request: &PlanRequest) -> Result<(PlanRequest, Vec<(String, String)>), PlanError> {
    let (mut request, mut values) = (request.clone(), Vec::new());
    for assignment in std::mem::take(&mut request.set) {
        let Some((key, text)) = assignment.split_once('=') else {
            return Err(PlanError::NotAssignment(assignment));
        };
        let (key, text) = (key.trim().to_owned(), text.trim().to_owned());
        match key.as_str() {
            "task" => request.task = text,
            "method" => request.method = Some(text),
            "quantizer" => request.quantizer = Some(text),
            "preset" => request.preset = Some(text),
            "recipe" => request.recipe = Some(text),
            "protocols" => request.protocols = list_items(&text).map(str::to_owned).collect(),
            _ => values.push((key, text)),
        }
    }
    if let Some(written) = request.written.clone() {
        request = written.names(request);
    }
    Ok((request, values))
}

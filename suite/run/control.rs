//! The control of a run: the random encoder, frozen, under the same protocols. A pretraining that
//! teaches nothing looks well by itself.

use crate::plan::{
    Encoder, Method, Plan, PlanError, PlanRequest, Protocol, TaskFacts, display_value, preset, value_of,
};
use std::collections::BTreeSet;

/// The plan's preset by its name; None if a file is all that has that name.
fn known_preset(plan: &Plan) -> Option<String> {
    preset::is_known(&plan.preset).then(|| plan.preset.clone())
}

/// The control of `plan`, which was made from `wanted`: the same data, encoder and protocols. None
/// if the plan is a control itself or has no encoder of this program, or none of its protocols freezes the encoder.
///
/// # Errors
/// As [`Plan::resolve_for`].
pub fn of(facts: &TaskFacts, wanted: &PlanRequest, plan: &Plan) -> Result<Option<Plan>, PlanError> {
    let frozen = plan
        .protocols
        .iter()
        .filter(|protocol| protocol.fits(Method::RandomInit));
    let protocols: Vec<String> = frozen.map(|protocol| Protocol::word(*protocol).to_owned()).collect();
    let has_none =
        matches!(plan.method, Method::RandomInit | Method::Scratch) || matches!(plan.model, Encoder::Given(_));
    if has_none || protocols.is_empty() {
        return Ok(None);
    }
    let mut control = PlanRequest {
        task: plan.task.clone(),
        method: Some(Method::RandomInit.word().to_owned()),
        quantizer: None,
        preset: wanted.preset.clone().or_else(|| known_preset(plan)),
        recipe: plan.recipe.map(|recipe| recipe.to_string()),
        init: None,
        labels: None,
        written: None,
        set: Vec::new(),
        protocols,
        ..wanted.clone()
    };
    let (plan, bare) = (plan.to_flat(), Plan::resolve_for(facts, &control)?.to_flat());
    // also what only one of them writes
    let keys: BTreeSet<&String> = bare.keys().chain(plan.keys()).collect();
    let shared = keys
        .into_iter()
        .filter(|key| !matches!(key.as_str(), "method" | "protocols"));
    let differs = shared.filter_map(|key| {
        let (wanted, value) = (value_of(&plan, key)?, value_of(&bare, key)?);
        (wanted != value).then(|| format!("{key}={}", display_value(&wanted)))
    });
    control.set = differs.collect();
    Plan::resolve_for(facts, &control).map(Some)
}

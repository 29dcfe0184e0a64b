//! The plans of all presets, tasks, methods and quantizers: which values there are, and their defaults.

use super::flat::{Flat, value_of};
use super::{AnyTask, Method, Plan, PlanRequest, Protocol, QuantizerKind, Takes, preset};
use serde_json::Value;

/// A plan, and what it was made from.
struct Surveyed {
    preset: &'static str,
    task: &'static str,
    method: Method,
    quantizer: &'static str,
    flat: Flat,
}

/// All of them.
pub struct Survey(Vec<Surveyed>);

/// A default: the value, and where it holds; empty for everywhere else.
#[derive(Clone, Debug, PartialEq)]
pub struct PresetDefault {
    pub value: Value,
    /// `on <task>` or `with <method or quantizer>`.
    pub only: Vec<String>,
}

impl Survey {
    /// Resolves every plan, with every protocol that fits it.
    pub fn of_all() -> Self {
        let mut all = Vec::new();
        for preset in preset::PRESETS {
            for task in AnyTask::all() {
                for (method, quantizer) in methods_and_quantizers() {
                    let flat = resolve(preset.name, &task, method, quantizer);
                    all.extend(flat.map(|flat| Surveyed {
                        preset: preset.name,
                        task: task.name(),
                        method,
                        quantizer,
                        flat,
                    }));
                }
            }
        }
        Self(all)
    }

    /// Every name that one of the plans writes, and every one that it has without writing it.
    #[cfg(test)]
    pub fn keys(&self) -> std::collections::BTreeSet<String> {
        let written = self.0.iter().flat_map(|plan| plan.flat.keys().cloned());
        let silent = super::sections().flat_map(|section| {
            let names = section.unwritten.iter();
            names.map(move |(name, _)| format!("{}.{name}", section.name))
        });
        let of_kinds = super::QuantizerKind::all().flat_map(super::QuantizerKind::unwritten);
        let of_kinds = of_kinds.map(|(name, _)| format!("quantizer.{name}"));
        written.chain(silent).chain(of_kinds).collect()
    }

    /// The defaults of a value under each preset that has it, the commonest first.
    pub fn defaults(&self, key: &str) -> Vec<(&'static str, Vec<PresetDefault>)> {
        let presets = preset::PRESETS.iter().map(|preset| preset.name);
        let with = presets.map(|preset| (preset, self.of_preset(preset, key)));
        with.filter(|(_, defaults)| !defaults.is_empty()).collect()
    }

    fn of_preset(&self, preset: &str, key: &str) -> Vec<PresetDefault> {
        let of_preset = self.0.iter().filter(|plan| plan.preset == preset);
        let having: Vec<(&Surveyed, Value)> = of_preset
            .filter_map(|plan| Some((plan, value_of(&plan.flat, key)?)))
            .collect();
        let usual = methods_and_quantizers().find(|usual| having.iter().any(|(plan, _)| plan.is_of(*usual)));
        let Some(usual) = usual else {
            return Vec::new();
        };
        let of_usual = || having.iter().filter(|(plan, _)| plan.is_of(usual));
        let mut defaults: Vec<PresetDefault> = Vec::new();
        for (plan, value) in of_usual() {
            note(&mut defaults, value, format!("on {}", plan.task));
        }
        // the commonest value holds wherever nothing else is said
        let most = defaults
            .iter()
            .enumerate()
            .max_by_key(|(place, default)| (default.only.len(), usize::MAX - place));
        let most = most.map_or(0, |(place, _)| place);
        defaults.swap(0, most);
        defaults[0].only.clear();
        for other in methods_and_quantizers().filter(|other| *other != usual) {
            let beside = |plan: &Surveyed| {
                of_usual()
                    .find(|(usual, _)| usual.task == plan.task)
                    .map(|(_, value)| value)
            };
            let of_other = having.iter().filter(|(plan, _)| plan.is_of(other));
            let mut differing = of_other.filter(|(plan, value)| beside(plan).is_none_or(|usual| usual != value));
            let differing = differing.find(|(_, value)| *value != defaults[0].value);
            if let Some((_, value)) = differing {
                let name = if other.0 == usual.0 { other.1 } else { other.0.word() };
                note(&mut defaults, value, format!("with {name}"));
            }
        }
        defaults
    }
}

impl Surveyed {
    fn is_of(&self, (method, quantizer): (Method, &str)) -> bool {
        (self.method, self.quantizer) == (method, quantizer)
    }
}

/// Notes where a value holds. The first default holds everywhere else, and says nothing of it.
fn note(defaults: &mut Vec<PresetDefault>, value: &Value, only: String) {
    match defaults.iter_mut().find(|default| default.value == *value) {
        Some(default) if default.only.contains(&only) => {}
        Some(default) => default.only.push(only),
        None => defaults.push(PresetDefault {
            value: value.clone(),
            only: vec![only],
        }),
    }
}

/// Every method that needs no weights, with every quantizer that fits it; those that make no labels
/// once.
fn methods_and_quantizers() -> impl Iterator<Item = (Method, &'static str)> {
    let methods = Method::ALL.iter().copied().filter(|method| *method != Method::Init);
    methods.flat_map(|method| {
        let usual = method.usual_quantizer();
        let kinds = QuantizerKind::all().filter(move |kind| kind.word() != usual && method.fits(*kind));
        let others = kinds.map(QuantizerKind::word).filter(move |_| method.pretrains());
        std::iter::once(usual)
            .chain(others)
            .map(move |quantizer| (method, quantizer))
    })
}

fn resolve(preset: &str, task: &AnyTask, method: Method, quantizer: &str) -> Option<Flat> {
    let facts = task.facts();
    let speech = facts.input.is_speech();
    let protocols = Protocol::fitting(method).filter(|protocol| !(speech && protocol.takes() == Takes::Fixed));
    let request = PlanRequest {
        task: facts.name.to_owned(),
        method: Some(method.word().to_owned()),
        quantizer: Some(quantizer.to_owned()),
        preset: Some(preset.to_owned()),
        protocols: protocols.map(|protocol| protocol.word().to_owned()).collect(),
        ..PlanRequest::default()
    };
    // what does not go together has no plan
    let plan = Plan::resolve_for(&facts, &request).ok()?;
    Some(plan.to_flat())
}

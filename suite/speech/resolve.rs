//! From names, a preset and `--set` to every value of a run on speech.

use super::plan::SpeechPlan;
use crate::plan::flat::{self, flatten, insert, merge, remove};
use crate::plan::resolve::{FACTS, PlanError, PlanRequest, Pruned, assign, split_names};
use crate::plan::{Method, Protocol, QuantizerKind, preset};
use crate::quantizers::QuantizerConfig;
use bridle_tasks::SpeechSpec;
use serde_json::{Value, json};

/// Values that a language model's file decides.
const FACTS_OF_LM: [&str; 2] = ["decoding.lm", "decoding.lm_sha256"];

/// A language model's file: its name without its folder, and its SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LmRequest {
    /// The file's name.
    pub name: String,
    /// SHA-256 of the file.
    pub sha256: String,
}

impl SpeechPlan {
    /// Resolves every value: preset, the task's facts, then `--subset` and `--set`; then checks all of them.
    ///
    /// # Errors
    /// If a name is unknown or a value is impossible.
    pub fn resolve(spec: &SpeechSpec, request: &PlanRequest, lm: Option<&LmRequest>) -> Result<Self, PlanError> {
        let (request, values) = split_names(request)?;
        let names = Names::parse(&request)?;
        let (tree, pruned) = names.tree(spec, request.subset, lm);
        let plan: Self = flat::read(&flatten(&tree)).expect("every preset is resolved by a test");
        let plan = assign(plan, &values, &pruned, |key| {
            match FACTS.contains(&key) || FACTS_OF_LM.contains(&key) {
                true => Err(PlanError::Fact(key.to_owned())),
                false => Ok(()),
            }
        })?;
        plan.validate()?;
        Ok(plan)
    }
}

/// The parsed names of a request.
struct Names {
    method: Method,
    quantizer: QuantizerKind,
    preset: &'static preset::Preset,
    protocols: Vec<Protocol>,
}

impl Names {
    fn parse(request: &PlanRequest) -> Result<Self, PlanError> {
        let or = |word: &Option<String>, default: &str| word.clone().unwrap_or_else(|| default.to_owned());
        let method: Method = or(&request.method, Method::Bridle.word()).parse()?;
        if matches!(method, Method::BridleJoint | Method::Init) || request.init.is_some() {
            return Err(PlanError::NotForSpeech(method));
        }
        let mut protocols: Vec<Protocol> = Vec::new();
        for word in &request.protocols {
            let protocol = word.parse()?;
            if !protocols.contains(&protocol) {
                protocols.push(protocol);
            }
        }
        if protocols.is_empty() {
            let usual = [Protocol::Finetune, Protocol::LinearProbe];
            protocols.extend(usual.into_iter().find(|usual| method.protocols().contains(usual)));
        }
        for &protocol in &protocols {
            if protocol == Protocol::Knn {
                return Err(PlanError::ClassesAlone(protocol));
            }
            if !method.protocols().contains(&protocol) {
                return Err(PlanError::Protocol { method, protocol });
            }
        }
        let quantizer: QuantizerKind = or(&request.quantizer, method.usual_quantizer()).parse()?;
        if method.masks_frames() && quantizer.word() != method.usual_quantizer() {
            return Err(PlanError::LearningLabels { method, quantizer });
        }
        Ok(Self {
            method,
            quantizer,
            preset: preset::find_speech(&or(&request.preset, preset::DEFAULT))?,
            protocols,
        })
    }

    /// All sections of the plan, and what was left out of it.
    fn tree(&self, spec: &SpeechSpec, subset: Option<usize>, lm: Option<&LmRequest>) -> (Value, Pruned) {
        let mut tree = json!({
            "task": spec.name, "method": self.method, "quantizer": null, "preset": self.preset.name,
            "protocols": self.protocols, "data": spec.input,
        });
        let own = json!({"kind": "speech", "version": spec.version, "subset": subset, "variant": null});
        merge(&mut tree["data"], own);
        let mut values = self.preset.values("speech", spec.name, self.method.word());
        values["quantizer"] = QuantizerConfig::section(self.quantizer, values["quantizer"].take());
        merge(&mut tree, values);
        if let Some(lm) = lm {
            insert(&mut tree, FACTS_OF_LM[0], json!(lm.name));
            insert(&mut tree, FACTS_OF_LM[1], json!(lm.sha256));
        }
        let pruned = self.prune(&mut tree);
        (tree, pruned)
    }

    /// Leaves out what the method, the quantizer and the protocols do not use.
    fn prune(&self, tree: &mut Value) -> Pruned {
        let mut pruned = Pruned::new();
        let mut leave_out = |why: &str, paths: &[&str]| {
            for &path in paths {
                pruned.extend(remove(tree, path).map(|removed| (path.to_owned(), why.to_owned(), removed)));
            }
        };
        let method = format!("method `{}`", self.method);
        if !self.method.pretrains() {
            let why = format!("{method} has no pretraining");
            leave_out(&why, &["mask", "pretrain", "birq", "refine", "relabel", "quantizer"]);
            leave_out(&why, &["model.estimator_depth"]);
        }
        if self.method != Method::Bridle {
            let why = format!("{method} trains no tokenizer");
            leave_out(&why, &["pretrain.tokenizer", "model.estimator_depth"]);
        }
        if !matches!(self.method, Method::Bridle | Method::Relabel) {
            leave_out(&format!("{method} has a single phase"), &["pretrain.rounds"]);
        }
        if self.method != Method::Birq {
            leave_out(&format!("{method} makes no labels by its layers"), &["birq"]);
        }
        if self.method != Method::Relabel {
            leave_out(&format!("{method} keeps its labels"), &["relabel"]);
        }
        if !matches!(self.method, Method::BestRq | Method::Relabel) {
            leave_out(&format!("{method} has labels of its own"), &["refine"]);
        }
        for (value, why) in QuantizerConfig::left_out(self.quantizer) {
            leave_out(&why, &[&format!("quantizer.{value}")]);
        }
        for (protocol, section) in [(Protocol::LinearProbe, "probe"), (Protocol::Finetune, "finetune")] {
            if !self.protocols.contains(&protocol) {
                leave_out(&format!("protocol `{protocol}` was not asked for"), &[section]);
            }
        }
        if !self.method.pretrains() {
            tree["quantizer"] = Value::Null;
        }
        pruned
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test
    use super::*;
    use bridle_tasks::speech_tasks;

    #[test]
    fn every_preset_resolves_for_every_task_and_method() {
        for task in speech_tasks() {
            for preset in preset::SPEECH_PRESETS {
                for &method in Method::ALL {
                    let request = PlanRequest {
                        task: task.spec().name.to_owned(),
                        method: Some(method.to_string()),
                        preset: Some(preset.name.to_owned()),
                        ..PlanRequest::default()
                    };
                    let plan = SpeechPlan::resolve(&task.spec(), &request, None);
                    if matches!(method, Method::BridleJoint | Method::Init) {
                        assert!(matches!(plan, Err(PlanError::NotForSpeech(_))));
                        continue;
                    }
                    let plan = plan.unwrap();
                    assert_eq!(SpeechPlan::from_flat(&plan.to_flat()).unwrap(), plan);
                    assert_eq!(plan.pretrain.is_some(), method.pretrains());
                    let phases = match method {
                        Method::Bridle => 3,
                        Method::Relabel => 2,
                        method => usize::from(method.pretrains()),
                    };
                    assert_eq!(plan.phases().len(), phases, "{method}");
                }
            }
        }
    }
}

//! From names and options to a plan with every value resolved.

use super::flat::{flatten, insert, override_with, remove};
use super::request::split_names;
use super::sections::{Choices, Input};
use super::set::LeftOut;
use super::{Method, Plan, PlanError, PlanRequest, Protocol, QuantizerKind, Recipe, Takes, TaskFacts};
use super::{method, preset, preset_file, recipe, sections};
use crate::protocol::{FinetuneLoss, Taught};
use crate::quantizers::QuantizerConfig;
use bridle_tasks::{InputSpec, Modality};
use bridle_values::check::require;
use serde_json::{Value, json};

/// The share that masking hides, of which recipe `corrected` leaves enough tokens.
const MASK_RATIO: &str = "mask.ratio";

impl Plan {
    /// Resolves every value: preset, recipe, the task's facts, then `--subset` and `--set`; then
    /// checks all of them. Recipe `corrected` hides less where its preset would hide almost all of a short input.
    ///
    /// # Errors
    /// If a name is unknown or a value is impossible.
    pub fn resolve(request: &PlanRequest) -> Result<Self, PlanError> {
        Self::resolve_for(&request.task()?.facts(), request)
    }

    /// The same for a task that was found already.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub fn resolve_for(task: &TaskFacts, request: &PlanRequest) -> Result<Self, PlanError> {
        let (request, values) = split_names(request)?;
        let written = request.written.as_ref().filter(|_| request.labels.is_none());
        if let Some(written) = written.filter(|written| written.word("labels.sha256").is_some()) {
            return Err(PlanError::NoLabels(written.place().to_owned()));
        }
        let names = Names::parse(task, &request)?;
        let choices = Choices {
            method: names.method,
            quantizer: names.quantizer,
            judging_trains: names.protocols.iter().any(|protocol| protocol.trains_encoder()),
            task,
            init: request.init.as_ref(),
            embeddings: request.embeddings.as_ref(),
            foreign: request.foreign.as_ref(),
            labels: request.labels.as_ref(),
            lm: request.lm.as_ref(),
        };
        let mut tree = names.tree(&choices, request.subset)?;
        let left_out = prune(&mut tree, &choices, &names.protocols);
        let flat = flatten(&tree);
        let flat = match &request.written {
            Some(written) => written.over(flat, &choices, request.subset, &left_out)?,
            None => flat,
        };
        let plan = Self::from_flat(&flat).map_err(|source| PlanError::Values {
            place: request.place(names.preset),
            source,
        })?;
        let mut plan = plan.assign(&values, &left_out, &choices)?;
        let given = request.written.is_some() || values.iter().any(|(key, _)| key == MASK_RATIO);
        if names.recipe == Some(Recipe::Corrected)
            && !given
            && let (Some(ratio), Some(mask)) = (plan.enough_visible(), &mut plan.core.mask)
        {
            mask.ratio = Some(ratio);
        }
        plan.validate()?;
        if let Some(init) = &request.init {
            plan.check_weights(init)?;
        }
        if let Some(labels) = &request.labels {
            plan.check_labels(labels)?;
        }
        let (here, there) = (task.input.modality(), plan.data.input.modality());
        require(here == there, "data.kind", || {
            format!("{here}, but the encoder given with --init takes {there}")
        })?;
        let finetune = plan.evaluation.finetune.as_ref().and_then(Taught::classes);
        let loss = finetune.map(|finetune| finetune.loss);
        let fits = !task.several_classes || loss != Some(FinetuneLoss::CrossEntropy);
        require(fits, "finetune.loss", || {
            format!("samples of {} have several classes, which need `binary`", plan.task)
        })?;
        Ok(plan)
    }
}

/// The parsed names of a request.
struct Names {
    method: Method,
    quantizer: QuantizerKind,
    preset: &'static preset::Preset,
    recipe: Option<Recipe>,
    protocols: Vec<Protocol>,
}

impl Names {
    fn parse(task: &TaskFacts, request: &PlanRequest) -> Result<Self, PlanError> {
        let speech = task.input.is_speech();
        let or = |word: &Option<String>, default: &str| word.clone().unwrap_or_else(|| default.to_owned());
        let has_weights = request.init.is_some() || request.foreign.is_some();
        let usual = match (has_weights, &request.embeddings) {
            (true, _) => Method::Init,
            (false, Some(_)) => Method::Embeddings,
            (false, None) => Method::Bridle,
        };
        let method: Method = or(&request.method, usual.word()).parse()?;
        if !(method.takes(speech) || speech && request.foreign.is_some()) {
            return Err(if speech {
                PlanError::NotForSpeech(method)
            } else {
                PlanError::OnlyForSpeech { method }
            });
        }
        if (method == Method::Init) != has_weights {
            return Err(PlanError::InitMethod);
        }
        if (method == Method::Embeddings) != request.embeddings.is_some() {
            return Err(PlanError::EmbeddingsMethod);
        }
        let quantizer: QuantizerKind = or(&request.quantizer, method.usual_quantizer()).parse()?;
        if !method.fits(quantizer) {
            return Err(PlanError::Quantizer { method, quantizer });
        }
        let protocols = protocols(method, speech, &request.protocols)?;
        if let (true, Some(foreign)) = (speech, &request.foreign) {
            let makes_patches = !foreign.body.has_frames();
            if makes_patches && foreign.input.pipeline().modality() == Modality::Audio {
                return Err(PlanError::NoFrames);
            }
        }
        Ok(Self {
            method,
            quantizer,
            protocols,
            preset: match or(&request.preset, preset::DEFAULT) {
                path if preset_file::is_path(&path) => preset_file::open(&path, speech)?,
                name => preset::find(&name, speech)?,
            },
            // without an encoder of its own, nothing is computed that the authors' code has
            recipe: if speech || request.embeddings.is_some() || request.foreign.is_some() {
                None
            } else {
                Some(or(&request.recipe, "authors").parse()?)
            },
        })
    }

    /// All sections of the plan, whether it uses them or not.
    fn tree(&self, choices: &Choices<'_>, subset: Option<usize>) -> Result<Value, PlanError> {
        let task = choices.task;
        let theirs = choices.foreign.map(|foreign| match task.input.is_speech() {
            true => Input::Heard(foreign.input.pipeline().clone()),
            false => Input::Fixed(InputSpec::Pipeline(foreign.input.clone())),
        });
        let mut tree = json!({
            "task": task.name, "method": self.method, "quantizer": null, "preset": self.preset.name,
            "protocols": self.protocols, "data": theirs.as_ref().unwrap_or(&task.input),
        });
        if let Some(recipe) = self.recipe {
            tree["recipe"] = json!(recipe);
        }
        override_with(
            &mut tree["data"],
            json!({"version": task.version, "subset": null, "variant": null}),
        );
        let defaults = sections().map(|section| section.defaults);
        let (modality, method) = (task.input.modality(), self.method.word());
        let recipe = self.recipe.map_or("", Recipe::word);
        let mut values = self.preset.values(modality, recipe, task.name, method, defaults);
        if let Some(on) = preset::pretrained_on(&mut values)
            && self.method.pretrains()
        {
            let (preset, task) = (self.preset.name, task.name);
            return Err(PlanError::PretrainedElsewhere { preset, task, on });
        }
        if theirs.is_some() {
            // of inputs that an encoder of ours would have
            remove(&mut values, "data");
        }
        values["quantizer"] = QuantizerConfig::section(self.quantizer, values["quantizer"].take());
        override_with(&mut tree, values);
        for oddity in recipe::ODDITIES {
            // fine-tuning of an encoder of others mixes as the authors meant to
            let is_theirs = choices.foreign.is_some() && !task.input.is_speech() && oddity.key.starts_with("finetune.");
            let recipe = self.recipe.or(is_theirs.then_some(Recipe::Corrected));
            let value = recipe.map(|recipe| oddity.value(recipe));
            value.into_iter().for_each(|value| insert(&mut tree, oddity.key, value));
        }
        for section in sections() {
            let decided = (section.decided)(choices);
            if decided.is_object() {
                override_with(&mut tree, json!({section.name: decided}));
            }
        }
        if let Some(subset) = subset {
            tree["data"]["subset"] = subset.into();
        }
        Ok(tree)
    }
}

/// The protocols of these names, or the usual one; all of them must say something of the method's
/// encoder.
fn protocols(method: Method, speech: bool, words: &[String]) -> Result<Vec<Protocol>, PlanError> {
    let mut protocols: Vec<Protocol> = Vec::new();
    for word in words {
        let protocol = word.parse()?;
        if !protocols.contains(&protocol) {
            protocols.push(protocol);
        }
    }
    let fits = |protocol: &Protocol| protocol.fits(method);
    if protocols.is_empty() {
        let usual = if speech {
            [Protocol::Finetune, Protocol::LinearProbe]
        } else {
            [Protocol::LinearProbe, Protocol::Finetune]
        };
        protocols.extend(usual.into_iter().find(fits));
    }
    for &protocol in &protocols {
        if speech && protocol.takes() == Takes::Fixed {
            return Err(PlanError::OnlyForClasses(protocol));
        }
        if !fits(&protocol) {
            return Err(PlanError::Protocol { method, protocol });
        }
    }
    Ok(protocols)
}

/// Leaves out what the method, the quantizer, the task and the protocols do not use.
fn prune(tree: &mut Value, choices: &Choices<'_>, protocols: &[Protocol]) -> Vec<LeftOut> {
    let mut left_out = Vec::new();
    let mut leave_out = |path: &str, why: &str| {
        left_out.extend(remove(tree, path).map(|removed| (path.to_owned(), why.to_owned(), removed)));
    };
    let method = choices.method;
    for key in method::used_by_some().filter(|key| !method.info().uses.contains(key)) {
        let users = method::users(key).join(", ");
        leave_out(key, &format!("method `{method}` does not use it; {users} would"));
    }
    for protocol in Protocol::ALL.iter().filter(|protocol| !protocols.contains(protocol)) {
        leave_out(protocol.section(), &format!("protocol `{protocol}` was not asked for"));
    }
    for section in sections() {
        if let Some(why) = (section.absent)(choices) {
            leave_out(section.name, &why);
        }
        for (value, why) in (section.left_out)(choices) {
            leave_out(&format!("{}.{value}", section.name), &why);
        }
    }
    if !method.pretrains() {
        tree["quantizer"] = Value::Null;
    }
    left_out
}

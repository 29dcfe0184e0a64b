//! From names and options to a plan with every value resolved.

use super::choice::ChoiceError;
use super::flat::{self, Difference, Flat, difference, flatten, insert, merge, remove};
use super::{FinetuneLoss, Method, Plan, Protocol, QuantizerKind, Recipe, preset, recipe};
use crate::error::{Failure, UnknownName};
use crate::exit::Exit;
use crate::model_file::ModelCard;
use crate::quantizers::QuantizerConfig;
use bridle_tasks::{DataError, InputSpec, MainMetric, Task, TaskSpec, speech_tasks};
use bridle_values::check::Impossible;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What the user asked for, as words. Empty and absent mean the defaults.
#[derive(Clone, Debug, Default)]
pub struct PlanRequest {
    /// Name of a task, or a task file.
    pub task: String,
    /// Name of a method; default `bridle`.
    pub method: Option<String>,
    /// Name of a quantizer; default `rq`. A method that makes no labels records none.
    pub quantizer: Option<String>,
    /// Name of a preset; default [`preset::DEFAULT`].
    pub preset: Option<String>,
    /// Name of a recipe; default `authors`.
    pub recipe: Option<String>,
    /// Names of protocols; default `linear-probe`.
    pub protocols: Vec<String>,
    /// The first so many samples per class.
    pub subset: Option<usize>,
    /// Weights to start from in place of pretraining.
    pub init: Option<InitRequest>,
    /// `key=value` for any value of the plan, applied in order.
    pub set: Vec<String>,
}

/// Weights that were given, and what their file says of them.
#[derive(Clone, Debug)]
pub struct InitRequest {
    /// The file's name, without its folder.
    pub name: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// What the weights are.
    pub card: ModelCard,
}

impl PlanRequest {
    /// The task that is asked for; a task file is read.
    ///
    /// # Errors
    /// If there is none of that name, or the file is no task file.
    pub fn task(&self) -> Result<&'static dyn Task, PlanError> {
        find_task(&split_names(self)?.0.task)
    }
}

/// Why there is no plan. All but faults of a task file are wrong use.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A name of no task, preset or plan value.
    #[error(transparent)]
    Unknown(#[from] UnknownName),
    /// A task file or its lists.
    #[error(transparent)]
    TaskFile(#[from] DataError),
    /// A word that no list has, or that has nothing behind it yet.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// `--set` without an equals sign.
    #[error("`--set {0}` is not of the form key=value")]
    NotAssignment(String),
    /// A plan value that this plan does not have.
    #[error("`{key}` means nothing here: {why}")]
    Unused {
        /// Dotted name.
        key: String,
        /// Which choice left it out.
        why: String,
    },
    /// A protocol that says nothing of a method's encoder.
    #[error(
        "protocol `{protocol}` does not fit method `{method}`, which is judged by {}",
        .method.protocols().iter().map(|fitting| fitting.word()).collect::<Vec<_>>().join(" or ")
    )]
    Protocol {
        /// The method.
        method: Method,
        /// The protocol.
        protocol: Protocol,
    },
    /// Labels that learn, for a method whose labels do not.
    #[error("method `{method}` needs labels that never learn, `--quantizer random`, not `{quantizer}`")]
    LearningLabels {
        /// The method.
        method: Method,
        /// The quantizer.
        quantizer: QuantizerKind,
    },
    /// A method that only tasks of speech have.
    #[error("method `{method}` is for tasks of speech: {}", speech_names())]
    SpeechAlone {
        /// The method.
        method: Method,
    },
    /// A protocol that judges classes, for a task of transcripts.
    #[error("protocol `{0}` judges classes; transcripts are judged by finetune or linear-probe")]
    ClassesAlone(Protocol),
    /// A method or weights that tasks of speech do not have.
    #[error("tasks of speech have no method `{0}`")]
    NotForSpeech(Method),
    /// A plan value that cannot be set.
    #[error("`{0}` is a fact of the data and cannot be set")]
    Fact(String),
    /// A plan value that given weights decide.
    #[error("`{0}` is a fact of the weights given with --init and cannot be set")]
    FactOfWeights(String),
    /// Weights and another method, or the method without weights.
    #[error("method `init` is that of weights given with --init, and --init has no other method")]
    InitMethod,
    /// A plan value out of its range.
    #[error(transparent)]
    Impossible(#[from] Impossible),
    /// A plan value of the wrong kind.
    #[error("`{key}`: {why}")]
    Value {
        /// Dotted name.
        key: String,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// An earlier run that was to be gone on with has another plan.
    #[error("the run in {} has another plan (its value against the one asked for): {}", folder.display(), list(differences))]
    Changed {
        /// The earlier run.
        folder: PathBuf,
        /// The values in which the plans differ.
        differences: Vec<Difference>,
    },
}

fn list(differences: &[Difference]) -> String {
    differences
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

fn speech_names() -> String {
    let names = speech_tasks().iter().map(|task| task.spec().name);
    names.collect::<Vec<_>>().join(", ")
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        let error = match error {
            PlanError::TaskFile(error) => return error.into(),
            error => error,
        };
        let way_out = match &error {
            PlanError::Unknown(unknown) if unknown.kind == PLAN_VALUE => {
                Some("`bridle-bench check --task <TASK>` prints every value of the plan by its name")
            }
            PlanError::NotAssignment(_) => Some("--set pretrain.batch=32"),
            PlanError::InitMethod => Some("--init FILE without --method; `bridle-bench export` makes such files"),
            PlanError::Changed { .. } => Some("the options of that run, or no --resume, which starts another one"),
            _ => None,
        };
        let failure = Failure::new(Exit::WrongUse, error);
        way_out.into_iter().fold(failure, Failure::with_way_out)
    }
}

const PLAN_VALUE: &str = "plan value";
/// Samples of several classes: each class is a question of its own.
const BINARY: (&str, &str) = ("finetune.loss", "binary");
/// Values that the data decides.
pub(crate) const FACTS: [&str; 3] = ["data.kind", "data.version", "data.variant"];
/// Values that given weights decide.
const FACTS_OF_WEIGHTS: [&str; 10] = [
    "init.name",
    "init.sha256",
    "init.frames",
    "model.patch",
    "model.tubelet",
    "model.dim",
    "model.depth",
    "model.heads",
    "model.mlp_ratio",
    "position.audio_rows",
];

impl Plan {
    /// Resolves every value: preset, recipe, the task's facts, then `--subset` and `--set`; then checks all of them.
    ///
    /// # Errors
    /// If a name is unknown or a value is impossible.
    pub fn resolve(request: &PlanRequest) -> Result<Self, PlanError> {
        Self::resolve_for(&request.task()?.spec(), request)
    }

    /// The same for a task that was found already.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub fn resolve_for(task: &TaskSpec, request: &PlanRequest) -> Result<Self, PlanError> {
        let (request, values) = split_names(request)?;
        let names = Names::parse(&request)?;
        let (tree, pruned) = names.tree(task, request.subset, request.init.as_ref());
        let plan: Self = flat::read(&flatten(&tree)).expect("every preset is resolved by a test");
        let given = plan.init.is_some();
        let plan = assign(plan, &values, &pruned, |key| match key {
            key if FACTS.contains(&key) => Err(PlanError::Fact(key.to_owned())),
            key if given && FACTS_OF_WEIGHTS.contains(&key) => Err(PlanError::FactOfWeights(key.to_owned())),
            _ => Ok(()),
        })?;
        plan.validate()?;
        request
            .init
            .as_ref()
            .map_or(Ok(()), |init| plan.validate_init(&init.card))?;
        let loss = plan.finetune.as_ref().map(|finetune| finetune.loss);
        match (task.metric, loss) {
            (MainMetric::Map, Some(FinetuneLoss::CrossEntropy)) => Err(PlanError::Value {
                key: BINARY.0.to_owned(),
                why: format!(
                    "samples of {} have several classes, which need `{}`",
                    plan.task, BINARY.1
                ),
            }),
            _ => Ok(plan),
        }
    }

    /// The same plan on the variant of the data that was found.
    pub fn with_variant(mut self, variant: &str) -> Self {
        self.data.variant = Some(variant.to_owned());
        self
    }
}

/// Checks that an earlier run, stored in `folder` with the flat map of its plan, had the same values as this plan.
///
/// # Errors
/// Lists the values that differ. Names decide nothing and may differ.
pub(crate) fn require_same(plan: &Flat, stored: &Flat, folder: &Path) -> Result<(), PlanError> {
    let mut differences = difference(stored, plan);
    differences.retain(|difference| !super::hash::NAMES.contains(&difference.key.as_str()));
    match differences.is_empty() {
        true => Ok(()),
        false => Err(PlanError::Changed {
            folder: folder.to_owned(),
            differences,
        }),
    }
}

/// The plan with these values, each read as one of the kind that it replaces; `settable` refuses facts.
pub(crate) fn assign<P: Serialize + DeserializeOwned>(
    mut plan: P,
    values: &[(String, String)],
    pruned: &Pruned,
    settable: impl Fn(&str) -> Result<(), PlanError>,
) -> Result<P, PlanError> {
    let mut flat = flat::of(&plan);
    for (key, text) in values {
        let current = flat.get(key).cloned().or_else(|| flat::unwritten(&flat, key));
        let current = current.ok_or_else(|| no_such_value(key, &flat, pruned))?;
        settable(key)?;
        let wrong = |why: String| PlanError::Value { key: key.clone(), why };
        let value = parse_like(&current, text).map_err(wrong)?;
        flat.insert(key.clone(), value);
        plan = flat::read(&flat).map_err(|error| wrong(tell(error)))?;
        // written back, so that numbers have the plan's form: 1 becomes 1.0 where a fraction is possible
        flat = flat::of(&plan);
    }
    Ok(plan)
}

/// Takes the assignments of the six names out of `--set`: they stand for their own options.
pub(crate) fn split_names(request: &PlanRequest) -> Result<(PlanRequest, Vec<(String, String)>), PlanError> {
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
    Ok((request, values))
}

impl InitRequest {
    /// Puts into the plan what the weights decide.
    fn lay_over(&self, tree: &mut Value) {
        let ModelCard { model, audio_rows, .. } = &self.card;
        merge(&mut tree["model"], json!(model));
        if let Some(rows) = audio_rows {
            insert(tree, "position.audio_rows", json!(rows));
        }
        let mut init = json!({"name": self.name, "sha256": self.sha256, "transductive": false});
        if let InputSpec::Audio { frames, .. } = self.card.input {
            init["frames"] = frames.into();
        }
        tree["init"] = init;
    }
}

/// The parsed names of a request.
struct Names {
    method: Method,
    quantizer: QuantizerKind,
    preset: &'static preset::Preset,
    recipe: Recipe,
    protocols: Vec<Protocol>,
}

/// Sections left out of a plan, and the choice that left them out.
pub(crate) type Pruned = Vec<(String, String, Value)>;

impl Names {
    fn parse(request: &PlanRequest) -> Result<Self, PlanError> {
        let or = |word: &Option<String>, default: &str| word.clone().unwrap_or_else(|| default.to_owned());
        let mut protocols = Vec::new();
        for word in &request.protocols {
            let protocol = word.parse()?;
            if !protocols.contains(&protocol) {
                protocols.push(protocol);
            }
        }
        let default = if request.init.is_some() {
            Method::Init
        } else {
            Method::Bridle
        };
        let method: Method = or(&request.method, default.word()).parse()?;
        if (method == Method::Init) != request.init.is_some() {
            return Err(PlanError::InitMethod);
        }
        if method == Method::Relabel {
            return Err(PlanError::SpeechAlone { method });
        }
        let fitting = method.protocols();
        if protocols.is_empty() {
            protocols.extend(fitting.first());
        }
        if let Some(&protocol) = protocols.iter().find(|protocol| !fitting.contains(protocol)) {
            return Err(PlanError::Protocol { method, protocol });
        }
        Ok(Self {
            method,
            quantizer: {
                let quantizer: QuantizerKind = or(&request.quantizer, method.usual_quantizer()).parse()?;
                if method.masks_frames() && quantizer.word() != method.usual_quantizer() {
                    return Err(PlanError::LearningLabels { method, quantizer });
                }
                quantizer
            },
            preset: preset::find(&or(&request.preset, preset::DEFAULT))?,
            recipe: or(&request.recipe, "authors").parse()?,
            protocols,
        })
    }

    /// All sections of the plan, and what was left out of it.
    fn tree(&self, task: &TaskSpec, subset: Option<usize>, init: Option<&InitRequest>) -> (Value, Pruned) {
        let mut tree = json!({
            "task": task.name, "method": self.method, "quantizer": null, "preset": self.preset.name,
            "recipe": self.recipe, "protocols": self.protocols, "data": task.input,
        });
        merge(
            &mut tree["data"],
            json!({"version": task.version, "subset": null, "variant": null}),
        );
        let mut values = self.preset.values(modality(&task.input), task.name, self.method.word());
        values["quantizer"] = QuantizerConfig::section(self.quantizer, values["quantizer"].take());
        merge(&mut tree, values);
        recipe::ODDITIES
            .iter()
            .for_each(|oddity| insert(&mut tree, oddity.key, oddity.value(self.recipe)));
        if let Some(init) = init {
            init.lay_over(&mut tree);
        }
        if task.metric == MainMetric::Map {
            insert(&mut tree, BINARY.0, BINARY.1.into());
        }
        if let Some(subset) = subset {
            tree["data"]["subset"] = subset.into();
        }
        let pruned = self.prune(&mut tree, task);
        (tree, pruned)
    }

    /// Leaves out what the method, the quantizer, the modality, the task and the protocols do not use.
    fn prune(&self, tree: &mut Value, task: &TaskSpec) -> Pruned {
        let mut pruned = Pruned::new();
        let mut leave_out = |why: String, paths: &[&str]| {
            for &path in paths {
                pruned.extend(remove(tree, path).map(|removed| (path.to_owned(), why.clone(), removed)));
            }
        };
        let method = format!("method `{}`", self.method);
        match self.method {
            Method::Bridle => leave_out(format!("{method} takes turns by phases"), &["joint"]),
            Method::BridleJoint => {
                leave_out(
                    format!("{method} has a single phase"),
                    &["pretrain.rounds", "pretrain.tokenizer"],
                );
            }
            Method::BestRq | Method::Birq | Method::Relabel => {
                let parts = ["model.decoder", "model.estimator", "cold_start", "joint", "mask.ratio"];
                leave_out(format!("{method} has an encoder and a head alone"), &parts);
                leave_out(
                    format!("{method} has a single phase"),
                    &["pretrain.rounds", "pretrain.tokenizer"],
                );
            }
            Method::RandomInit | Method::Scratch | Method::Init => {
                let pretraining = [
                    "model.decoder",
                    "model.estimator",
                    "mask",
                    "pretrain",
                    "joint",
                    "cold_start",
                ];
                leave_out(format!("{method} has no pretraining"), &pretraining);
                leave_out(format!("{method} makes no labels"), &["quantizer"]);
                if !self.protocols.contains(&Protocol::Finetune) {
                    leave_out(format!("{method} trains nothing"), &["augment"]);
                }
            }
        }
        for (value, why) in QuantizerConfig::left_out(self.quantizer) {
            leave_out(why, &[&format!("quantizer.{value}")]);
        }
        if self.method != Method::Birq {
            leave_out(format!("{method} makes no labels by its layers"), &["birq"]);
        }
        let modality = modality(&task.input);
        if modality == "audio" {
            leave_out(
                format!("task `{}` is audio, mixed by itself", task.name),
                &["finetune.batch_mixup"],
            );
        } else {
            let of_sound = [
                "position",
                "augment",
                "finetune.mel_mask",
                "finetune.frame_mask",
                "finetune.magnitude",
                "finetune.token_mask",
            ];
            leave_out(format!("task `{}` is {modality}, not audio", task.name), &of_sound);
        }
        if modality != "video" || task.name == "synthetic-video" {
            leave_out(
                format!("the samples of task `{}` have one view each", task.name),
                &["test"],
            );
        }
        if task.name != "esc50" {
            leave_out(format!("the task is `{}`", task.name), &["esc50"]);
        }
        for (protocol, section) in [
            (Protocol::LinearProbe, "probe"),
            (Protocol::Knn, "knn"),
            (Protocol::Finetune, "finetune"),
        ] {
            if !self.protocols.contains(&protocol) {
                leave_out(format!("protocol `{protocol}` was not asked for"), &[section]);
            }
        }
        if !self.method.pretrains() {
            tree["quantizer"] = Value::Null;
        }
        pruned
    }
}

/// `audio`, `image` or `video`.
fn modality(input: &InputSpec) -> &'static str {
    match input {
        InputSpec::Audio { .. } => "audio",
        InputSpec::Image { .. } => "image",
        InputSpec::Video { .. } => "video",
    }
}

/// The task called `name`.
///
/// # Errors
/// If there is none, with the names of all, or the file is no task file.
fn find_task(word: &str) -> Result<&'static dyn Task, PlanError> {
    let file = Path::new(word);
    if file.extension().is_some_and(|extension| extension == "toml") {
        // like the built-in ones, it lives as long as the program
        return Ok(Box::leak(bridle_tasks::open_task_file(file)?));
    }
    bridle_tasks::find(word).map_err(|unknown| {
        let speech = speech_tasks().iter().map(|task| task.spec().name);
        UnknownName::new("task", word, unknown.known.into_iter().chain(speech)).into()
    })
}

/// A value that this plan left out, or a name that no plan has.
fn no_such_value(key: &str, flat: &Flat, pruned: &Pruned) -> PlanError {
    let left_out = |(path, _, removed): &&(String, String, Value)| {
        let mut section = json!({});
        insert(&mut section, path, removed.clone());
        flatten(&section).contains_key(key)
    };
    match pruned.iter().find(left_out) {
        Some((_, why, _)) => PlanError::Unused {
            key: key.to_owned(),
            why: why.clone(),
        },
        None => UnknownName::new(PLAN_VALUE, key, flat.keys().cloned()).into(),
    }
}

/// Reads a word as a value of the same kind as the current one.
fn parse_like(current: &Value, text: &str) -> Result<Value, String> {
    let whole = || {
        text.parse::<u64>()
            .map(Value::from)
            .map_err(|_| format!("expected a whole number, not `{text}`"))
    };
    match current {
        Value::Null if text == "none" => Ok(Value::Null),
        Value::Number(number) if number.is_f64() => match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Value::from(value)),
            _ => Err(format!("expected a number, not `{text}`")),
        },
        // the plan's values that may be none are counts
        Value::Null => whole(),
        Value::Number(_) if text == "none" => Ok(Value::Null),
        Value::Number(_) => whole(),
        Value::Bool(_) => text
            .parse()
            .map(Value::Bool)
            .map_err(|_| format!("expected true or false, not `{text}`")),
        Value::Array(items) => {
            let kind = items.first().ok_or_else(|| "an empty list".to_owned())?;
            list_items(text).map(|item| parse_like(kind, item)).collect()
        }
        Value::String(_) | Value::Object(_) => Ok(Value::String(text.to_owned())),
    }
}

/// The items of `[a, b]` or `a,b`.
fn list_items(text: &str) -> impl Iterator<Item = &str> {
    let inside = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    inside.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// The bare message of a value that would not fit.
fn tell(error: super::PlanReadError) -> String {
    match error {
        super::PlanReadError::Malformed(error) => error.to_string(),
        other => other.to_string(),
    }
}

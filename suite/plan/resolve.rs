//! From names and options to a plan with every value resolved.

use super::choice::ChoiceError;
use super::flat::{self, Difference, Flat, difference, flatten, insert, override_with, remove};
use super::registry::SECTIONS;
use super::sections::{Choices, FactOf, FinetuneLoss, Sizes, Taught, section_of};
use super::{AnyTask, AudioRows, Method, Plan, Protocol, QuantizerKind, Recipe, Takes, TaskFacts};
use super::{hash, method, preset, recipe};
use crate::error::{Failure, UnknownName};
use crate::exit::Exit;
use crate::quantizers::QuantizerConfig;
use bridle_tasks::{DataError, InputSpec, speech_tasks};
use bridle_values::check::Impossible;
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
    /// Name of a recipe; default `authors`. Speech has none.
    pub recipe: Option<String>,
    /// Names of protocols; default `linear-probe`, on speech `finetune`.
    pub protocols: Vec<String>,
    /// The first so many samples per class.
    pub subset: Option<usize>,
    /// Weights to start from in place of pretraining.
    pub init: Option<InitRequest>,
    /// A language model for the decoding of speech.
    pub lm: Option<LmRequest>,
    /// `key=value` for any value of the plan, applied in order.
    pub set: Vec<String>,
}

/// Weights that were given, and what their file says of them.
#[derive(Clone, Debug)]
pub struct InitRequest {
    pub name: String,
    pub sha256: String,
    /// The inputs that the weights were trained on.
    pub input: InputSpec,
    /// Sizes of the encoder.
    pub sizes: Sizes,
    /// Order of the position table's rows (audio).
    pub audio_rows: Option<AudioRows>,
}

/// A language model's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LmRequest {
    pub name: String,
    pub sha256: String,
}

impl PlanRequest {
    /// The task that is asked for; a task file is read.
    ///
    /// # Errors
    /// If there is none of that name, or the file is no task file.
    pub fn task(&self) -> Result<AnyTask, PlanError> {
        AnyTask::find(&split_names(self)?.0.task)
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
        key: String,
        /// Which choice left it out.
        why: String,
    },
    /// A protocol that says nothing of a method's encoder.
    #[error(
        "protocol `{protocol}` does not fit method `{method}`, which is judged by {}",
        .method.protocols().map(Protocol::word).collect::<Vec<_>>().join(" or ")
    )]
    Protocol { method: Method, protocol: Protocol },
    /// A quantizer that cannot make a method's labels.
    #[error("method `{method}` makes its labels with `--quantizer {}`, not `{quantizer}`", .method.usual_quantizer())]
    Quantizer { method: Method, quantizer: QuantizerKind },
    /// A method that only tasks of speech have.
    #[error("method `{method}` is for tasks of speech: {}", speech_names())]
    OnlyForSpeech { method: Method },
    /// A protocol that judges classes, for a task of transcripts.
    #[error("protocol `{0}` judges classes; transcripts are judged by finetune or linear-probe")]
    OnlyForClasses(Protocol),
    /// A method or weights that tasks of speech do not have.
    #[error("tasks of speech have no method `{0}`")]
    NotForSpeech(Method),
    /// A plan value that cannot be set.
    #[error("`{key}` is a fact of {of} and cannot be set")]
    Fact {
        key: String,
        /// What fixes it.
        of: FactOf,
    },
    /// Weights and another method, or the method without weights.
    #[error("method `init` is that of weights given with --init, and --init has no other method")]
    InitMethod,
    /// A plan value out of its range.
    #[error(transparent)]
    Impossible(#[from] Impossible),
    /// A plan value of the wrong kind.
    #[error("`{key}`: {why}")]
    Value {
        key: String,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// The run to resume has another plan.
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
        let hint = match &error {
            PlanError::Unknown(unknown) if unknown.kind == PLAN_VALUE => {
                Some("`bridle-bench check --task <TASK>` prints every value of the plan by its name")
            }
            PlanError::NotAssignment(_) => Some("--set pretrain.batch=32"),
            PlanError::InitMethod => Some("--init FILE without --method; `bridle-bench export` makes such files"),
            PlanError::Changed { .. } => Some("the options of that run, or no --resume, which starts another one"),
            _ => None,
        };
        let failure = Failure::new(Exit::WrongUse, error);
        hint.into_iter().fold(failure, Failure::with_way_out)
    }
}

const PLAN_VALUE: &str = "plan value";

impl Plan {
    /// Resolves every value: preset, recipe, the task's facts, then `--subset` and `--set`; then checks all of them.
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
        let names = Names::parse(task, &request)?;
        let choices = Choices {
            method: names.method,
            quantizer: names.quantizer,
            protocols: &names.protocols,
            task,
            init: request.init.as_ref(),
            lm: request.lm.as_ref(),
        };
        let mut tree = names.tree(&choices, request.subset);
        let left_out = prune(&mut tree, &choices);
        let plan = Self::from_flat(&flatten(&tree)).expect("every preset is resolved by a test");
        let plan = plan.assign(&values, &left_out, &choices)?;
        plan.validate()?;
        if let Some(init) = &request.init {
            plan.check_weights(init)?;
        }
        let finetune = plan.finetune.as_ref().and_then(Taught::classes);
        match finetune.map(|finetune| finetune.loss) {
            Some(FinetuneLoss::CrossEntropy) if task.several_classes => Err(PlanError::Value {
                key: "finetune.loss".to_owned(),
                why: format!("samples of {} have several classes, which need `binary`", plan.task),
            }),
            _ => Ok(plan),
        }
    }

    /// The plan with these values, each read as one of the kind that it replaces.
    fn assign(
        self,
        values: &[(String, String)],
        left_out: &[LeftOut],
        choices: &Choices<'_>,
    ) -> Result<Self, PlanError> {
        let (mut plan, mut flat) = (self.clone(), self.to_flat());
        for (key, text) in values {
            let current = flat.get(key).cloned().or_else(|| flat::unwritten(&flat, key));
            let current = current.ok_or_else(|| no_such_value(key, &flat, left_out))?;
            let fact = section_of(key).and_then(|(section, value)| (section.fact)(value, choices));
            if let Some(of) = fact {
                return Err(PlanError::Fact { key: key.clone(), of });
            }
            let wrong = |why: String| PlanError::Value { key: key.clone(), why };
            let value = parse_like(&current, text).map_err(wrong)?;
            flat.insert(key.clone(), value);
            plan = Self::from_flat(&flat).map_err(|error| wrong(bare_message(error)))?;
            // written back, so that numbers have the plan's form: 1 becomes 1.0 where a fraction is possible
            flat = plan.to_flat();
        }
        Ok(plan)
    }
}

/// Checks that an earlier run, stored in `folder` with the flat map of its plan, had the same values as this plan.
///
/// # Errors
/// Lists the values that differ. Names decide nothing and may differ.
pub(crate) fn require_same(plan: &Flat, stored: &Flat, folder: &Path) -> Result<(), PlanError> {
    let mut differences = difference(stored, plan);
    differences.retain(|difference| hash::stage(&difference.key).is_some());
    if differences.is_empty() {
        return Ok(());
    }
    Err(PlanError::Changed {
        folder: folder.to_owned(),
        differences,
    })
}

/// Takes the assignments of the six names out of `--set`: they stand for their own options.
fn split_names(request: &PlanRequest) -> Result<(PlanRequest, Vec<(String, String)>), PlanError> {
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
        let usual = if request.init.is_some() {
            Method::Init
        } else {
            Method::Bridle
        };
        let method: Method = or(&request.method, usual.word()).parse()?;
        match method.takes(speech) {
            false if speech => return Err(PlanError::NotForSpeech(method)),
            false => return Err(PlanError::OnlyForSpeech { method }),
            true if (method == Method::Init) != request.init.is_some() => return Err(PlanError::InitMethod),
            true => {}
        }
        let quantizer: QuantizerKind = or(&request.quantizer, method.usual_quantizer()).parse()?;
        if !method.fits(quantizer) {
            return Err(PlanError::Quantizer { method, quantizer });
        }
        Ok(Self {
            method,
            quantizer,
            protocols: protocols(method, speech, &request.protocols)?,
            preset: preset::find(&or(&request.preset, preset::DEFAULT), speech)?,
            recipe: if speech {
                None
            } else {
                Some(or(&request.recipe, "authors").parse()?)
            },
        })
    }

    /// All sections of the plan, whether it uses them or not.
    fn tree(&self, choices: &Choices<'_>, subset: Option<usize>) -> Value {
        let task = choices.task;
        let mut tree = json!({
            "task": task.name, "method": self.method, "quantizer": null, "preset": self.preset.name,
            "protocols": self.protocols, "data": task.input,
        });
        if let Some(recipe) = self.recipe {
            tree["recipe"] = json!(recipe);
        }
        override_with(
            &mut tree["data"],
            json!({"version": task.version, "subset": null, "variant": null}),
        );
        let defaults = SECTIONS.iter().map(|section| section.defaults);
        let (modality, method) = (task.input.modality(), self.method.word());
        let mut values = self.preset.values(modality, task.name, method, defaults);
        values["quantizer"] = QuantizerConfig::section(self.quantizer, values["quantizer"].take());
        override_with(&mut tree, values);
        for oddity in recipe::ODDITIES {
            let value = self.recipe.map(|recipe| oddity.value(recipe));
            value.into_iter().for_each(|value| insert(&mut tree, oddity.key, value));
        }
        for section in SECTIONS {
            let decided = (section.decided)(choices);
            if decided.is_object() {
                override_with(&mut tree, json!({section.name: decided}));
            }
        }
        if let Some(subset) = subset {
            tree["data"]["subset"] = subset.into();
        }
        tree
    }
}

/// The protocols of these names, or the usual one; all of them must say something of the method's encoder.
fn protocols(method: Method, speech: bool, words: &[String]) -> Result<Vec<Protocol>, PlanError> {
    let mut protocols: Vec<Protocol> = Vec::new();
    for word in words {
        let protocol = word.parse()?;
        if !protocols.contains(&protocol) {
            protocols.push(protocol);
        }
    }
    let fits = |protocol: &Protocol| method.protocols().any(|fitting| fitting == *protocol);
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

/// Values left out of a plan: their dotted name, the reason, and what they were.
type LeftOut = (String, String, Value);

/// Leaves out what the method, the quantizer, the task and the protocols do not use.
fn prune(tree: &mut Value, choices: &Choices<'_>) -> Vec<LeftOut> {
    let mut left_out = Vec::new();
    let mut leave_out = |path: &str, why: &str| {
        left_out.extend(remove(tree, path).map(|removed| (path.to_owned(), why.to_owned(), removed)));
    };
    let method = choices.method;
    for key in method::used_by_some().filter(|key| !method.info().uses.contains(key)) {
        let users = method::users(key).join(", ");
        leave_out(key, &format!("method `{method}` does not use it; {users} would"));
    }
    for protocol in Protocol::ALL
        .iter()
        .filter(|protocol| !choices.protocols.contains(protocol))
    {
        leave_out(protocol.section(), &format!("protocol `{protocol}` was not asked for"));
    }
    for section in SECTIONS {
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

/// A value that this plan left out, or a name that no plan has.
fn no_such_value(key: &str, flat: &Flat, left_out: &[LeftOut]) -> PlanError {
    let holds = |(path, _, removed): &&LeftOut| {
        let mut section = json!({});
        insert(&mut section, path, removed.clone());
        flatten(&section).contains_key(key)
    };
    match left_out.iter().find(holds) {
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
fn bare_message(error: super::PlanReadError) -> String {
    match error {
        super::PlanReadError::Malformed(error) => error.to_string(),
        other => other.to_string(),
    }
}

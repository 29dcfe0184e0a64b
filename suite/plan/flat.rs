//! The plan as a flat map of dotted names, as printed, set, hashed, recorded and compared.

use super::recipe::{ODDITIES, Recipe};
use super::{Encoder, Input, Plan, section_of};
use crate::quantizers::QuantizerKind;
use serde_json::{Map, Value};

/// Dotted name to value, in the order of the plan's sections.
pub type Flat = Map<String, Value>;

/// The one name that is both a value and a section: `quantizer` is the kind, `quantizer.levels` a
/// value of it.
const QUANTIZER: &str = "quantizer";
const QUANTIZER_KIND: &str = "quantizer.kind";
/// No name has more dots.
const DEEPEST: usize = 8;

/// A value of this plan, written or not.
pub fn value_of(flat: &Flat, key: &str) -> Option<Value> {
    flat.get(key).cloned().or_else(|| unwritten(flat, key))
}

/// A value that this plan has but does not write, since it is as it always was, or as another one.
pub(super) fn unwritten(flat: &Flat, key: &str) -> Option<Value> {
    let (section, name) = section_of(key)?;
    let kind = || -> Option<QuantizerKind> { flat.get(QUANTIZER)?.as_str()?.parse().ok() };
    let of_kind = kind()
        .filter(|_| section.name == QUANTIZER)
        .map(QuantizerKind::unwritten);
    let mut values = section.unwritten.iter().chain(of_kind.unwrap_or_default());
    let (_, value) = values.find(|(unwritten, _)| *unwritten == name)?;
    let (place, _) = key.rsplit_once('.')?;
    let beside = |other: &String| other.rsplit_once('.').is_some_and(|(other, _)| other == place);
    let has = section.may_be_unwritten || flat.keys().any(beside);
    let constant = || serde_json::from_str(value).ok();
    has.then(|| constant().or_else(|| flat.get(*value).cloned())).flatten()
}

/// A map that is no plan of this version.
#[derive(Debug, thiserror::Error)]
pub enum PlanReadError {
    /// A value is missing or of the wrong kind.
    #[error("not a plan of this version: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A name that this version does not know.
    #[error("not a plan of this version: unknown value `{0}`")]
    UnknownKey(String),
    /// An encoder that does not take the data.
    #[error("not a plan of this version: its encoder does not take its data")]
    WrongEncoder,
}

/// A value in which two plans differ; `None` where a plan does not have it.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    pub key: String,
    /// The first plan's value.
    pub first: Option<Value>,
    /// The second plan's value.
    pub second: Option<Value>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let show = |value: &Option<Value>| value.as_ref().map_or_else(|| "absent".to_owned(), display_value);
        write!(f, "{}: {} against {}", self.key, show(&self.first), show(&self.second))
    }
}

impl Plan {
    /// The plan as a flat map. Panics if it has a number that is not finite.
    pub fn to_flat(&self) -> Flat {
        let tree = serde_json::to_value(self).expect("a plan has only string keys and finite numbers");
        flatten(&tree)
    }

    /// Reads a plan back from its flat map.
    ///
    /// # Errors
    /// If a value is missing, unknown or of the wrong kind.
    pub fn from_flat(flat: &Flat) -> Result<Self, PlanReadError> {
        // a name of thousands of parts would be read by as many calls within each other
        if let Some(deep) = flat.keys().find(|key| key.matches('.').count() > DEEPEST) {
            return Err(PlanReadError::UnknownKey(deep.clone()));
        }
        let plan: Self = serde_json::from_value(unflatten(flat))?;
        let known = plan.to_flat();
        let unknown = |key: &&String| !known.contains_key(*key) && unwritten(&known, key).is_none();
        match flat.keys().find(unknown) {
            Some(key) => Err(PlanReadError::UnknownKey(key.clone())),
            None => {
                let fits = match plan.model {
                    Encoder::Vit(_) => !plan.is_speech(),
                    Encoder::Conformer(_) => matches!(plan.data.input, Input::Speech(_)),
                    Encoder::Given(_) => !matches!(plan.data.input, Input::Speech(_)),
                };
                if fits {
                    Ok(plan)
                } else {
                    Err(PlanReadError::WrongEncoder)
                }
            }
        }
    }
}

/// The values in which two plans differ, by name.
pub fn difference(first: &Flat, second: &Flat) -> Vec<Difference> {
    let only_second = second.keys().filter(|key| !first.contains_key(*key));
    let differs = |key: &&String| first.get(*key) != second.get(*key);
    let entry = |key: &String| Difference {
        key: key.clone(),
        first: first.get(key).cloned(),
        second: second.get(key).cloned(),
    };
    first.keys().chain(only_second).filter(differs).map(entry).collect()
}

/// The changes of the corrected recipe that would change this plan's numbers, as assignments of
/// `--set`. Left out are values that the plan holds already, has no section for, or has no use for.
pub fn corrected_changes(plan: &Plan) -> impl Iterator<Item = String> {
    let flat = plan.to_flat();
    let soft_codes =
        ["quantizer", "pretrain.encoder", "pretrain.tokenizer"].map(|of| flat.get(&format!("{of}.soft_codes")));
    let single = soft_codes.into_iter().flatten().all(|count| *count == 1);
    let whole = plan.position_crop().is_none();
    let idle = move |key: &str| match key {
        "quantizer.soft_pick" => single,
        "esc50.position_crop" => whole,
        _ => false,
    };
    ODDITIES.iter().filter_map(move |oddity| {
        let (now, corrected) = (flat.get(oddity.key)?, oddity.value(Recipe::Corrected));
        (*now != corrected && !idle(oddity.key)).then(|| format!("{}={}", oddity.key, display_value(&corrected)))
    })
}

/// A value as a person would type it: strings bare, lists in brackets, nothing as `none`.
pub fn display_value(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        Value::Array(items) => format!("[{}]", items.iter().map(display_value).collect::<Vec<_>>().join(", ")),
        Value::Number(number) => display_number(number),
        other => other.to_string(),
    }
}

/// Small numbers in powers of ten (`5e-4`), everything else as it is.
fn display_number(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(value) if number.is_f64() && value != 0.0 && value.abs() < 0.1 => format!("{value:e}"),
        Some(value) if number.is_f64() => value.to_string(),
        _ => number.to_string(),
    }
}

/// Leaves of a tree of maps by dotted path. Lists are leaves.
pub(crate) fn flatten(tree: &Value) -> Flat {
    fn walk(path: &str, value: &Value, flat: &mut Flat) {
        let Value::Object(members) = value else {
            let name = if path == QUANTIZER_KIND { QUANTIZER } else { path };
            flat.insert(name.to_owned(), value.clone());
            return;
        };
        for (name, member) in members {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            walk(&path, member, flat);
        }
    }
    let mut flat = Flat::new();
    walk("", tree, &mut flat);
    flat
}

/// The tree of maps whose leaves are `flat`.
fn unflatten(flat: &Flat) -> Value {
    let mut tree = Value::Object(Map::new());
    let has_quantizer = flat.keys().any(|key| key.starts_with("quantizer."));
    for (name, value) in flat {
        let path = if name == QUANTIZER && has_quantizer {
            QUANTIZER_KIND
        } else {
            name
        };
        insert(&mut tree, path, value.clone());
    }
    tree
}

/// Puts a value at a dotted path, making the maps on the way.
pub(crate) fn insert(tree: &mut Value, path: &str, value: Value) {
    let mut place = tree;
    for part in path.split('.') {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        place = &mut place[part];
    }
    *place = value;
}

/// Takes what lies at a dotted path out of the tree.
pub(crate) fn remove(tree: &mut Value, path: &str) -> Option<Value> {
    let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
    let holder = section
        .split('.')
        .filter(|part| !part.is_empty())
        .try_fold(tree, |tree, part| tree.get_mut(part))?;
    holder.as_object_mut()?.shift_remove(name)
}

/// Overrides `tree` with `over`: maps are merged, everything else is replaced.
pub(crate) fn override_with(tree: &mut Value, over: Value) {
    match (tree, over) {
        (Value::Object(tree), Value::Object(over)) => {
            over.into_iter()
                .for_each(|(name, value)| override_with(tree.entry(name).or_insert(Value::Null), value));
        }
        (tree, over) => *tree = over,
    }
}

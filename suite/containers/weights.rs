//! Which dictionary of a pickle holds the weights, and the tensors in it by name.

use crate::Entry;
use crate::budget::{Budget, Spent};
use crate::options;
use crate::pickle::{Id, Pickle, Value};
use crate::storage::{self, Storages};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// What the dictionary of weights is called in files that hold more than it, the likeliest first.
const ENTRIES: [&str; 5] = ["model", "state_dict", "module", "teacher", "model_state"];

/// A copy of the weights that a training averages: never the ones to take.
const AVERAGED: &str = "_ema";

/// Dictionaries within one another that hold weights.
const DEPTH: usize = 32;

/// The weights of a pickle, and what else it says.
pub(crate) struct Weights {
    /// Where they lie; empty at the top.
    pub entry: String,
    pub tensors: BTreeMap<String, Entry>,
    pub options: Json,
}

/// Finds the weights of a pickle. `source` is the number of its file.
///
/// # Errors
/// If it holds none, or a tensor that reaches beyond its storage.
pub(crate) fn find(pickle: &Pickle, storages: &Storages, source: usize) -> Result<Weights, String> {
    let Some(top) = pickle.dict(pickle.root) else {
        let found = match pickle.value(pickle.root) {
            Value::Object(object) => format!("an object of {}", options::class(pickle, object.class)),
            other => other.what().to_owned(),
        };
        return Err(format!("it is {found}, not a dictionary of tensors"));
    };
    let entry = entry(pickle, top)?;
    let pairs = match entry {
        "" => top,
        _ => pickle
            .get(top, entry)
            .and_then(|id| pickle.dict(id))
            .unwrap_or_default(),
    };
    Ok(Weights {
        entry: entry.to_owned(),
        tensors: tensors(pickle, pairs, storages, source)?,
        options: options::without(pickle, top, entry),
    })
}

/// The name of the entry that holds the weights; empty for the whole dictionary.
fn entry<'a>(pickle: &Pickle<'a>, top: &[(Id, Id)]) -> Result<&'a str, String> {
    let mut budget = Budget::new();
    let mut looked = |id: Id, depth: usize| holds(pickle, id, depth, &mut budget);
    let mut holding = |key: &'static str| -> Result<Option<&'static str>, Spent> {
        let value = pickle.get(top, key);
        let holds = value.map_or(Ok(false), |value| looked(value, 2))?;
        Ok(holds.then_some(key))
    };
    let mut known = || -> Result<Option<&'static str>, Spent> {
        if let (Some(_), Some(teacher)) = (holding("student")?, holding("teacher")?) {
            return Ok(Some(teacher));
        }
        ENTRIES.into_iter().find_map(|key| holding(key).transpose()).transpose()
    };
    let many = |Spent| "it has too many dictionaries to find the weights in".to_owned();
    if let Some(name) = known().map_err(many)? {
        return Ok(name);
    }
    if top.iter().any(|&(_, value)| is_tensor(pickle, value)) {
        return Ok("");
    }
    let mut others = Vec::new();
    for &(key, value) in top {
        if looked(value, 1).map_err(many)?
            && let Some(name) = pickle.text(key).filter(|name| *name != AVERAGED)
        {
            others.push(name);
        }
    }
    match others[..] {
        [one] => Ok(one),
        [] => Err("it is a dictionary without tensors".to_owned()),
        _ => Err(format!(
            "which of its dictionaries are the weights? {}",
            others.join(", ")
        )),
    }
}

fn is_tensor(pickle: &Pickle, id: Id) -> bool {
    matches!(pickle.value(id), Value::Tensor(_))
}

/// Whether a value is a dictionary with tensors in it, or in dictionaries in it, `depth` deep.
fn holds(pickle: &Pickle, id: Id, depth: usize, budget: &mut Budget) -> Result<bool, Spent> {
    let pairs = pickle.dict(id).unwrap_or_default();
    budget.bytes(1 + pairs.len())?;
    if pairs.iter().any(|&(_, value)| is_tensor(pickle, value)) {
        return Ok(true);
    }
    for &(_, value) in pairs {
        if depth > 1 && holds(pickle, value, depth - 1, budget)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The tensors of a dictionary, and of dictionaries within it, by name.
fn tensors(
    pickle: &Pickle,
    pairs: &[(Id, Id)],
    storages: &Storages,
    source: usize,
) -> Result<BTreeMap<String, Entry>, String> {
    let mut budget = Budget::new();
    let mut found = BTreeMap::new();
    // dictionaries that are being read, each with what names in it begin with
    let mut open = vec![(String::new(), pairs.iter())];
    while let Some((prefix, pairs)) = open.last_mut() {
        let Some(&(key, value)) = pairs.next() else {
            open.pop();
            continue;
        };
        let mut key_within = || {
            budget.item()?;
            budget.bytes(prefix.len())?;
            options::key(pickle, key, &mut budget)
        };
        let key = key_within().map_err(|Spent| "its tensors have too many names, or too long ones")?;
        let Some(key) = key else {
            continue;
        };
        let name = format!("{prefix}{key}");
        match pickle.value(value) {
            Value::Tensor(arguments) => {
                let entry = storage::entry(pickle, *arguments, storages, source);
                let entry = entry.map_err(|reason| format!("tensor `{name}`: {reason}"))?;
                if found.insert(name.clone(), entry).is_some() {
                    return Err(format!("it has two tensors `{name}`"));
                }
            }
            Value::Dict(_) if open.len() == DEPTH => {
                return Err(format!("dictionaries lie within one another too deeply at `{name}`"));
            }
            Value::Dict(pairs) => open.push((format!("{name}."), pairs.iter())),
            _ => {}
        }
    }
    Ok(found)
}

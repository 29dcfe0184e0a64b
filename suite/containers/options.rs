//! What else a pickle says in plain values, as JSON.

use crate::budget::Budget;
use crate::pickle::{Id, Object, Pickle, Value};
use serde_json::{Map, Number, Value as Json};
use std::borrow::Cow;

/// Values within one another. What lies deeper, such as what holds itself, is left out.
const DEPTH: usize = 64;

/// The key that tells an object's class, and those of what no dictionary of its state says.
const CLASS: &str = "__class__";
const ARGUMENTS: &str = "__arguments__";
const STATE: &str = "__state__";
const ITEMS: &str = "__items__";

/// The plain values of a dictionary but for its entry `weights`. An entry that is too large or too
/// deep is left out as a whole; null if there is none.
pub(crate) fn without(pickle: &Pickle, top: &[(Id, Id)], weights: &str) -> Json {
    let mut plain = Plain {
        pickle,
        budget: Budget::new(),
    };
    let mut options = Map::new();
    for &(key, value) in top {
        let Some(key) = key_within(pickle, key, &mut plain.budget).filter(|key| key != weights) else {
            continue;
        };
        let before = plain.budget;
        match plain.value(value, DEPTH) {
            Ok(Some(value)) => drop(options.insert(key, value)),
            Ok(None) => {}
            Err(TooMuch) => plain.budget = before,
        }
    }
    match options.is_empty() {
        true => Json::Null,
        false => Json::Object(options),
    }
}

fn key_within(pickle: &Pickle, key: Id, budget: &mut Budget) -> Option<String> {
    let key = self::key(pickle, key)?;
    budget.take(key.len())?;
    Some(key.into_owned())
}

/// A key of a dictionary as text, if it is text or a number.
pub(crate) fn key<'a>(pickle: &Pickle<'a>, id: Id) -> Option<Cow<'a, str>> {
    Some(match *pickle.value(id) {
        Value::Text(text) => String::from_utf8_lossy(text),
        Value::Int(number) => number.to_string().into(),
        Value::Bool(value) => value.to_string().into(),
        _ => return None,
    })
}

/// The full name of a class or function.
pub(crate) fn class(pickle: &Pickle, id: Id) -> String {
    match pickle.global(id) {
        Some((module, name)) => format!("{module}.{name}"),
        None => "a class without a name".to_owned(),
    }
}

/// A value is too large or too deep.
struct TooMuch;

struct Plain<'a, 'b> {
    pickle: &'b Pickle<'a>,
    budget: Budget,
}

impl Plain<'_, '_> {
    fn take(&mut self, length: usize) -> Result<(), TooMuch> {
        self.budget.take(length).ok_or(TooMuch)
    }

    /// A value; None for tensors and bytes, which have no plain one.
    fn value(&mut self, id: Id, depth: usize) -> Result<Option<Json>, TooMuch> {
        let depth = depth.checked_sub(1).ok_or(TooMuch)?;
        self.take(0)?;
        Ok(Some(match self.pickle.value(id) {
            Value::None => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Int(number) => (*number).into(),
            Value::Float(number) => Number::from_f64(*number).map_or_else(|| number.to_string().into(), Json::Number),
            Value::Text(text) => {
                self.take(text.len())?;
                String::from_utf8_lossy(text).into()
            }
            Value::Tuple(items) => self.list(items, depth)?,
            Value::List(items) | Value::Set(items) => self.list(items, depth)?,
            Value::Dict(pairs) => self.dict(pairs, depth)?.into(),
            Value::Global(module, name) => {
                let text = |id| self.pickle.text(id).unwrap_or_default();
                let (module, name) = (text(*module), text(*name));
                self.take(module.len() + name.len())?;
                format!("{module}.{name}").into()
            }
            Value::Object(object) => return self.object(object, depth),
            Value::Long(_) | Value::Bytes | Value::Persistent(_) | Value::Tensor(_) => return Ok(None),
        }))
    }

    /// A list keeps its length: null stands for what is left out.
    fn list(&mut self, items: &[Id], depth: usize) -> Result<Json, TooMuch> {
        let plain = |&item: &Id| Ok(self.value(item, depth)?.unwrap_or_default());
        items.iter().map(plain).collect::<Result<Vec<_>, _>>().map(Json::Array)
    }

    fn dict(&mut self, pairs: &[(Id, Id)], depth: usize) -> Result<Map<String, Json>, TooMuch> {
        let mut map = Map::new();
        for &(key, value) in pairs {
            let Some(key) = self::key(self.pickle, key) else {
                continue;
            };
            self.take(key.len())?;
            if let Some(value) = self.value(value, depth)? {
                map.insert(key.into_owned(), value);
            }
        }
        Ok(map)
    }

    /// An object: its state, with its class, its arguments and its items beside it. Namespaces and
    /// omegaconf's containers are what they hold.
    fn object(&mut self, object: &Object, depth: usize) -> Result<Option<Json>, TooMuch> {
        let (module, name) = self.pickle.global(object.class).unwrap_or_default();
        let state = object.state.and_then(|state| self.pickle.dict(state));
        if module.split('.').next() == Some("omegaconf")
            && let Some(state) = state
            && let Some(content) = ["_content", "_val"]
                .into_iter()
                .find_map(|key| self.pickle.get(state, key))
        {
            return self.value(content, depth);
        }
        let mut map = Map::new();
        if (module, name) != ("argparse", "Namespace") {
            self.take(module.len() + name.len())?;
            map.insert(CLASS.to_owned(), class(self.pickle, object.class).into());
            if self
                .pickle
                .tuple(object.arguments)
                .is_some_and(|arguments| !arguments.is_empty())
                && let Some(arguments) = self.value(object.arguments, depth)?
            {
                map.insert(ARGUMENTS.to_owned(), arguments);
            }
        }
        match (state, object.state) {
            (Some(state), _) => map.extend(self.dict(state, depth)?),
            (None, Some(state)) => map.extend(self.value(state, depth)?.map(|state| (STATE.to_owned(), state))),
            (None, None) => {}
        }
        if !object.pairs.is_empty() {
            map.insert(ITEMS.to_owned(), self.dict(&object.pairs, depth)?.into());
        } else if !object.items.is_empty() {
            map.insert(ITEMS.to_owned(), self.list(&object.items, depth)?);
        }
        Ok(Some(map.into()))
    }
}

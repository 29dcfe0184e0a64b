//! What else a pickle says in plain values, as JSON.

use crate::budget::{Budget, Spent};
use crate::pickle::{Id, Object, Pickle, Value};
use serde_json::{Map, Number, Value as Json};

/// Values within one another. What lies deeper, such as what holds itself, is left out.
const DEPTH: usize = 64;

/// Entries that may be too large or too deep; after so many, no further ones are tried.
const LEFT_OUT: usize = 8;

/// The key that tells an object's class, and those of what no dictionary of its state says.
const CLASS: &str = "__class__";
const ARGUMENTS: &str = "__arguments__";
const STATE: &str = "__state__";
const ITEMS: &str = "__items__";

/// The plain values of a dictionary but for its entry `weights`; null if there is none. An entry that
/// is too large or too deep is left out as a whole.
pub(crate) fn without(pickle: &Pickle, top: &[(Id, Id)], weights: &str) -> Json {
    let mut plain = Plain {
        pickle,
        budget: Budget::new(),
    };
    let mut options = Map::new();
    let mut left_out = 0;
    for &(key, value) in top {
        if left_out == LEFT_OUT || plain.budget.item().is_err() {
            break;
        }
        let before = plain.budget;
        match plain.pair(key, value, weights) {
            Ok(Some((key, value))) => drop(options.insert(key, value)),
            Ok(None) => {}
            Err(Spent) => {
                plain.budget = before;
                left_out += 1;
            }
        }
    }
    match options.is_empty() {
        true => Json::Null,
        false => Json::Object(options),
    }
}

/// A key of a dictionary as text, if it is text or a number.
pub(crate) fn key(pickle: &Pickle, id: Id, budget: &mut Budget) -> Result<Option<String>, Spent> {
    Ok(Some(match *pickle.value(id) {
        Value::Text(text) => {
            budget.bytes(text.len())?;
            String::from_utf8_lossy(text).into_owned()
        }
        Value::Int(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        _ => return Ok(None),
    }))
}

/// The full name of a class or function.
pub(crate) fn class(pickle: &Pickle, id: Id) -> String {
    match pickle.global(id) {
        Some((module, name)) => format!("{module}.{name}"),
        None => "a class without a name".to_owned(),
    }
}

struct Plain<'a, 'b> {
    pickle: &'b Pickle<'a>,
    budget: Budget,
}

impl Plain<'_, '_> {
    /// An entry of the dictionary at the top, unless it is `weights`.
    fn pair(&mut self, key: Id, value: Id, weights: &str) -> Result<Option<(String, Json)>, Spent> {
        let key = self::key(self.pickle, key, &mut self.budget)?.filter(|key| key != weights);
        let Some(key) = key else {
            return Ok(None);
        };
        Ok(self.value(value, DEPTH)?.map(|value| (key, value)))
    }

    /// A value; None for tensors and bytes, which have no plain one.
    fn value(&mut self, id: Id, depth: usize) -> Result<Option<Json>, Spent> {
        let depth = depth.checked_sub(1).ok_or(Spent)?;
        self.budget.item()?;
        Ok(Some(match self.pickle.value(id) {
            Value::None => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Int(number) => (*number).into(),
            Value::Float(number) => Number::from_f64(*number).map_or_else(|| number.to_string().into(), Json::Number),
            Value::Text(text) => {
                self.budget.bytes(text.len())?;
                String::from_utf8_lossy(text).into()
            }
            Value::Tuple(items) => self.list(items, depth)?,
            Value::List(items) | Value::Set(items) => self.list(items, depth)?,
            Value::Dict(pairs) => self.dict(pairs, depth)?.into(),
            Value::Global(..) => self.class(id)?,
            Value::Object(object) => return self.object(object, depth),
            Value::Long(_) | Value::Bytes | Value::Persistent(_) | Value::Tensor(_) => return Ok(None),
        }))
    }

    /// The full name of a class or function.
    fn class(&mut self, id: Id) -> Result<Json, Spent> {
        let name = class(self.pickle, id);
        self.budget.bytes(name.len())?;
        Ok(name.into())
    }

    /// A list keeps its length: null stands for what is left out.
    fn list(&mut self, items: &[Id], depth: usize) -> Result<Json, Spent> {
        let plain = |&item: &Id| Ok(self.value(item, depth)?.unwrap_or_default());
        items.iter().map(plain).collect::<Result<Vec<_>, _>>().map(Json::Array)
    }

    fn dict(&mut self, pairs: &[(Id, Id)], depth: usize) -> Result<Map<String, Json>, Spent> {
        let mut map = Map::new();
        for &(key, value) in pairs {
            self.budget.item()?;
            let Some(key) = self::key(self.pickle, key, &mut self.budget)? else {
                continue;
            };
            if let Some(value) = self.value(value, depth)? {
                map.insert(key, value);
            }
        }
        Ok(map)
    }

    /// An object: its state, with its class, its arguments and its items beside it. Namespaces and
    /// omegaconf's containers are what they hold.
    fn object(&mut self, object: &Object, depth: usize) -> Result<Option<Json>, Spent> {
        let (module, name) = self.pickle.global(object.class).unwrap_or_default();
        let state = object.state.and_then(|state| self.pickle.dict(state));
        // two keys of it are looked for
        self.budget.bytes(state.map_or(0, <[_]>::len))?;
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
            map.insert(CLASS.to_owned(), self.class(object.class)?);
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

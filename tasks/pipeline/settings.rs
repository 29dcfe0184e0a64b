//! Settings of a JSON object by key; each error names the key and its value.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::Value;

use super::PipelineError;

/// An object's settings. A key that is null counts as not given.
pub(super) struct Settings<'a> {
    object: &'a serde_json::Map<String, Value>,
    read: RefCell<BTreeSet<String>>,
}

impl<'a> Settings<'a> {
    pub fn new(config: &'a Value) -> Result<Self, PipelineError> {
        let Value::Object(object) = config else {
            return Err(refused("the configuration", config, "it is no object of settings"));
        };
        let read = RefCell::default();
        Ok(Self { object, read })
    }

    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.read.borrow_mut().insert(key.to_owned());
        self.object.get(key).filter(|value| !value.is_null())
    }

    /// The setting as `kind` reads it.
    fn read_as<T>(
        &self,
        key: &str,
        kind: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, PipelineError> {
        let read = |value| read(value).ok_or_else(|| refused(key, value, &format!("it is no {kind}")));
        self.get(key).map(read).transpose()
    }

    pub fn flag(&self, key: &str) -> Result<Option<bool>, PipelineError> {
        self.read_as(key, "true or false", Value::as_bool)
    }

    pub fn text(&self, key: &str) -> Result<Option<&'a str>, PipelineError> {
        self.read_as(key, "text", Value::as_str)
    }

    pub fn number(&self, key: &str) -> Result<Option<f64>, PipelineError> {
        self.read_as(key, "number", Value::as_f64)
    }

    pub fn count(&self, key: &str) -> Result<Option<usize>, PipelineError> {
        self.read_as(key, "whole number from 0", count)
    }

    /// One number for each of three channels.
    pub fn channels(&self, key: &str) -> Result<Option<[f64; 3]>, PipelineError> {
        self.read_as(key, "list of three numbers", |value| {
            let numbers: Option<Vec<f64>> = value.as_array()?.iter().map(Value::as_f64).collect();
            numbers?.try_into().ok()
        })
    }

    /// Refuses every value but one, which is what this program does anyway.
    pub fn only(&self, key: &str, value: &Value, reason: &str) -> Result<(), PipelineError> {
        let same =
            |found: &Value| found == value || found.as_f64().is_some_and(|number| Some(number) == value.as_f64());
        match self.get(key) {
            Some(found) if !same(found) => Err(refused(key, found, reason)),
            _ => Ok(()),
        }
    }

    /// Refuses what is left: settings that were not read and that switch something on, except for
    /// `meaningless` ones, which change no number.
    pub fn end(self, meaningless: &[&str]) -> Result<(), PipelineError> {
        let read = self.read.into_inner();
        let is_left = |(key, value): &(&String, &Value)| {
            !read.contains(*key)
                && !meaningless.contains(&key.as_str())
                && !matches!(value, Value::Null | Value::Bool(false))
        };
        match self.object.iter().find(is_left) {
            Some((key, value)) => Err(refused(key, value, "this setting is not known")),
            None => Ok(()),
        }
    }
}

pub(super) fn count(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok()
}

pub(super) fn refused(key: &str, value: &Value, reason: &str) -> PipelineError {
    PipelineError::setting(key, value, reason)
}

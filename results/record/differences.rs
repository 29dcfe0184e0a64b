//! Differences between two runs of one plan, apart from what may vary: times, memory, ids.

use super::{RecordError, RunRecord};
use serde_json::Value;

/// Fields that may differ between two runs of one plan on one machine.
const VARYING: [&str; 8] = [
    "id",
    "machine",
    "seconds",
    "peak_memory_bytes",
    "started",
    "finished",
    "samples_per_second",
    // says nothing that the others do not say
    "content_sha256",
];

/// Times and speeds below the top level.
const TIMES: [&str; 3] = ["seconds", "input_wait_seconds", "samples_per_second"];

/// How the program was called: with `--resume`, for example, or in other words for the same plan.
const COMMAND: &str = "command";

/// The field of a phase that reuses the weights of another run.
const CACHE_HIT: &str = "reused_from";

impl RunRecord {
    /// The record without the fields that may differ between two runs of one plan: times, speeds,
    /// memory, id, machine, command, cache hits. Fails as [`RunRecord::to_json`] does.
    pub fn comparable(&self) -> Result<Value, RecordError> {
        let mut value = serde_json::to_value(self).map_err(RecordError::Unwritable)?;
        if let Some(fields) = value.as_object_mut() {
            // all of the plan is compared, whatever its values are called
            for (_, field) in fields.iter_mut().filter(|(name, _)| *name != "plan") {
                strip(field);
            }
            fields.retain(|name, _| !varies(name));
            let program = fields.get_mut("program").and_then(Value::as_object_mut);
            program.into_iter().for_each(|program| drop(program.remove(COMMAND)));
        }
        Ok(value)
    }

    /// The differences between two runs of one plan as JSON pointers with both values, in order.
    /// Empty where the runs agree.
    pub fn differences(&self, other: &Self) -> Result<Vec<String>, RecordError> {
        let mut found = Vec::new();
        differ(&self.comparable()?, &other.comparable()?, "", &mut found);
        Ok(found)
    }
}

fn varies(name: &str) -> bool {
    VARYING.contains(&name) || name == CACHE_HIT
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !TIMES.contains(&name.as_str()) && name != CACHE_HIT);
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

fn differ(a: &Value, b: &Value, pointer: &str, found: &mut Vec<String>) {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            for (name, value) in a {
                match b.get(name) {
                    Some(other) => differ(value, other, &format!("{pointer}/{name}"), found),
                    None => found.push(format!("{pointer}/{name}: only in the first")),
                }
            }
            let added = b.keys().filter(|name| !a.contains_key(*name));
            found.extend(added.map(|name| format!("{pointer}/{name}: only in the second")));
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter()
                .zip(b)
                .enumerate()
                .for_each(|(i, (a, b))| differ(a, b, &format!("{pointer}/{i}"), found));
        }
        (Value::Array(a), Value::Array(b)) => found.push(format!("{pointer}: {} and {} entries", a.len(), b.len())),
        (a, b) if a != b => found.push(format!("{pointer}: {a} and {b}")),
        _ => {}
    }
}

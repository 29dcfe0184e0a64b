//! Writes a record as JSON that diffs well: one field per line, lists of plain values on one line.

use super::{RecordError, RunRecord};
use serde_json::Value;

impl RunRecord {
    /// The record as JSON text with a line end. Fails on a number that JSON cannot represent, and
    /// on a score with neither a value nor a reason.
    pub fn to_json(&self) -> Result<String, RecordError> {
        if let Some(score) = self
            .scores
            .iter()
            .find(|score| score.value.is_none() && score.reason.is_none())
        {
            let (protocol, metric) = (score.protocol.clone(), score.metric.clone());
            return Err(RecordError::NoReason { protocol, metric });
        }
        let mut text = String::new();
        layout(
            &serde_json::to_value(self).map_err(RecordError::Unwritable)?,
            0,
            &mut text,
        );
        text.push('\n');
        Ok(text)
    }
}

fn layout(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let items = fields.iter().map(|(name, value)| (Some(name.as_str()), value));
            block(['{', '}'], items, depth, text);
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            block(['[', ']'], items.iter().map(|value| (None, value)), depth, text);
        }
        plain => text.push_str(&plain.to_string()),
    }
}

fn block<'a>(
    [open, close]: [char; 2],
    items: impl Iterator<Item = (Option<&'a str>, &'a Value)>,
    depth: usize,
    text: &mut String,
) {
    text.push(open);
    for (i, (name, value)) in items.enumerate() {
        text.push_str(if i == 0 { "\n" } else { ",\n" });
        text.push_str(&"  ".repeat(depth + 1));
        if let Some(name) = name {
            text.push_str(&format!("{}: ", Value::from(name)));
        }
        layout(value, depth + 1, text);
    }
    text.push('\n');
    text.push_str(&"  ".repeat(depth));
    text.push(close);
}

//! `--set`: each word is read as a value of the kind that it replaces.

use super::error::PLAN_VALUE;
use super::flat::{self, Flat, flatten, insert};
use super::sections::Choices;
use super::{Plan, PlanError, PlanReadError, section_of};
use bridle_values::UnknownName;
use bridle_values::check::Impossible;
use serde_json::{Value, json};

/// A value or section that a plan left out: its dotted name, the reason, and what it was.
pub(super) type LeftOut = (String, String, Value);

impl Plan {
    /// The plan with these values, each read as one of the kind that it replaces.
    pub(super) fn assign(
        self,
        values: &[(String, String)],
        left_out: &[LeftOut],
        choices: &Choices<'_>,
    ) -> Result<Self, PlanError> {
        let (mut plan, mut flat) = (self.clone(), self.to_flat());
        for (key, text) in values {
            let current = flat::value_of(&flat, key).ok_or_else(|| no_such_value(key, &flat, left_out))?;
            let fact = section_of(key).and_then(|(section, value)| (section.fact)(value, choices));
            if let Some(of) = fact {
                return Err(PlanError::Fact { key: key.clone(), of });
            }
            let wrong = |why: String| Impossible { key: key.clone(), why };
            let value = parse_like(&current, text).map_err(wrong)?;
            flat.insert(key.clone(), value.clone());
            plan = Self::from_flat(&flat).map_err(|error| wrong(bare_message(error)))?;
            // written back, so that numbers have the plan's form: 1 becomes 1.0 where a fraction is
            // possible
            flat = plan.to_flat();
            // a section may have other values on this kind of data
            if !flat.contains_key(key) && flat::unwritten(&flat, key) != Some(value) {
                return Err(no_such_value(key, &flat, left_out));
            }
        }
        Ok(plan)
    }
}

/// A value that this plan left out, or a name that no plan has.
pub(super) fn no_such_value(key: &str, flat: &Flat, left_out: &[LeftOut]) -> PlanError {
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
            // lists that may be empty are of fractions
            let fraction = json!(0.0);
            let kind = items.first().unwrap_or(&fraction);
            list_items(text).map(|item| parse_like(kind, item)).collect()
        }
        Value::String(_) | Value::Object(_) => Ok(Value::String(text.to_owned())),
    }
}

/// The items of `[a, b]` or `a,b`.
pub(super) fn list_items(text: &str) -> impl Iterator<Item = &str> {
    let inside = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    inside.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// The bare message of a value that would not fit.
fn bare_message(error: PlanReadError) -> String {
    match error {
        PlanReadError::Malformed(error) => error.to_string(),
        other => other.to_string(),
    }
}

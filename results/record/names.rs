//! Names of runs, plan values and counts in tables, comparisons and the report.

use super::RunRecord;
use serde_json::Value;

impl RunRecord {
    /// The backend with its dtype, and its device unless that is the processor.
    pub(crate) fn backend_name(&self) -> String {
        let backend = &self.backend;
        match &backend.device[..] {
            "cpu" => format!("{} {}", backend.name, backend.dtype),
            device => format!("{} {device} {}", backend.name, backend.dtype),
        }
    }

    /// The method with its quantizer, or with the encoder of others that was given.
    pub(crate) fn method_name(&self) -> String {
        match self.quantizer().or_else(|| self.plan_word("foreign.name")) {
            Some(name) => format!("{} {name}", self.method()),
            None => self.method().to_string(),
        }
    }

    /// What runs have in common that may be averaged, beside their plan: backend with dtype and device, and
    /// the data.
    pub fn setting(&self) -> String {
        format!("{}, data {}", self.backend_name(), self.data.words())
    }

    /// Seed and fold in words.
    pub(crate) fn seed_and_fold(&self) -> String {
        let fold = self.fold.map(|fold| format!(", fold {fold}")).unwrap_or_default();
        format!("seed {}{fold}", self.seed)
    }

    /// The start of the plan's hash.
    pub fn short_plan(&self) -> String {
        self.plan_hash.chars().take(6).collect()
    }

    /// Method, backend and plan in a line.
    pub(crate) fn title(&self) -> String {
        let (method, backend, plan) = (self.method_name(), self.backend_name(), self.short_plan());
        format!("{method}, {backend}, plan {plan}")
    }
}

/// A value of the plan as people write it.
pub(crate) fn display_value(value: &Value) -> String {
    match value {
        Value::Null => "none".to_string(),
        Value::String(word) => word.clone(),
        other => other.to_string(),
    }
}

/// A noun in the plural for any count but 1.
pub(crate) fn plural(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{noun}{ending}")
}

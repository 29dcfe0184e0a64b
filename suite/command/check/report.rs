//! What `check` prints: the same facts for people and for programs.

use super::data::DataReport;
use super::{Needs, copy};
use crate::error::{Failure, Result};
use crate::estimate::PhaseCost;
use crate::machine;
use crate::plan::{Flat, PhasePlan, Plan, Taught, display_value};
use crate::progress::display_duration;
use crate::request::RunRequest;
use bridle_backends::BackendState;
use serde_json::{Value, json};

/// Everything that was found.
pub(super) struct Report<'a> {
    request: &'a RunRequest,
    data: &'a Result<DataReport>,
    /// Whether the data is what is known of it.
    copy: &'a Result<()>,
    backend: &'a Result<BackendState>,
    out: &'a Result<()>,
    /// None as long as the data was not found: then nobody knows how many samples there are.
    needs: Option<Needs>,
}

impl<'a> Report<'a> {
    pub fn new(
        request: &'a RunRequest,
        data: &'a Result<DataReport>,
        copy: &'a Result<()>,
        backend: &'a Result<BackendState>,
        out: &'a Result<()>,
    ) -> Self {
        let needs = data
            .as_ref()
            .ok()
            .map(|found| Needs::new(request, (found.all, found.training)));
        Self {
            request,
            data,
            copy,
            backend,
            out,
            needs,
        }
    }

    /// Lines of `topic  facts`, then the plan.
    pub fn text(&self) -> String {
        let mut lines = vec![("data", self.data.as_ref().map_or_else(stopper, data_line))];
        if let Ok(found) = self.data {
            lines.extend(copy::lines(found));
        }
        lines.extend([
            (
                "backend",
                self.backend
                    .as_ref()
                    .map_or_else(stopper, |backend| self.backend_line(backend)),
            ),
            (
                "records",
                self.out.as_ref().map_or_else(stopper, |()| self.records_line()),
            ),
        ]);
        if let Some(needs) = &self.needs {
            lines.extend(needs.lines(&self.request.plan));
        }
        lines.push(("plan", self.request.plan.plan_hash()));
        let lines = lines
            .iter()
            .map(|(topic, facts)| format!("{topic:<9} {facts}\n"))
            .collect::<String>();
        lines + &plan_lines(&self.request.plan.to_flat())
    }

    /// The same as one JSON object; what would stop the run is under `problems`.
    pub fn json(&self) -> Value {
        let problems = [
            self.out.as_ref().err(),
            self.data.as_ref().err(),
            self.copy.as_ref().err(),
            self.backend.as_ref().err(),
        ];
        let problem = |failure: &Failure| json!({"exit_code": failure.exit().code(), "message": failure.message()});
        json!({
            "plan": self.request.plan.to_flat(),
            "plan_hash": self.request.plan.plan_hash(),
            "seeds": self.request.seeds,
            "folds": self.request.folds,
            "data": self.data.as_ref().ok().map(|found| &found.facts),
            "copy": self.data.as_ref().ok().map(|found| &found.copy),
            "differences": self.data.as_ref().ok().map(|found| &found.differences),
            "backend": {
                "name": self.request.backend.name.as_str(), "dtype": self.request.dtype.word(),
                "device": self.request.backend.device, "threads": self.threads(),
            },
            "machine": machine::machine(None),
            "needs": self.needs.as_ref().map(Needs::json),
            "problems": problems.into_iter().flatten().map(problem).collect::<Vec<_>>(),
        })
    }

    fn threads(&self) -> usize {
        self.request.backend.threads.unwrap_or_else(machine::cores)
    }

    fn backend_line(&self, backend: &BackendState) -> String {
        format!(
            "{}, ready, {}, {} threads; {}",
            backend.name,
            self.request.dtype,
            self.threads(),
            backend.summary
        )
    }

    fn records_line(&self) -> String {
        let count = self.request.folds.len() * self.request.seeds.len();
        let folder = self
            .request
            .out
            .join(&self.request.plan.task)
            .join(self.request.plan.label());
        format!("{count} in {}", folder.display())
    }
}

/// What stands where a fact would stand, if the run would stop there.
pub(crate) fn stopper(failure: &Failure) -> String {
    format!("not ready: {}", failure.message())
}

fn data_line(found: &DataReport) -> String {
    let facts = &found.facts;
    let counts = facts
        .counts
        .iter()
        .map(|(split, count)| format!("{split} {count}"))
        .collect::<Vec<_>>()
        .join(", ");
    let skipped = match facts.skipped.len() {
        0 => String::new(),
        skipped => format!(", {skipped} skipped"),
    };
    format!(
        "{}, variant {}: {} samples ({counts}){skipped}",
        facts.task, facts.variant, found.all
    )
}

/// The values of the plan, one a line, names and values in columns.
pub(crate) fn plan_lines(flat: &Flat) -> String {
    let width = flat.keys().map(String::len).max().unwrap_or(0);
    flat.iter()
        .map(|(name, value)| format!("  {name:width$} = {}\n", display_value(value)))
        .collect()
}

impl Needs {
    fn lines(&self, plan: &Plan) -> Vec<(&'static str, String)> {
        let of = |bytes: Option<u64>, what| {
            bytes.map_or_else(String::new, |bytes| format!(", {} {what}", size(bytes as f64)))
        };
        let phases = plan.phases();
        let phase = |(phase, cost): (&PhasePlan, &PhaseCost)| {
            format!("{}: {} epochs, {} steps", phase.name, phase.length.epochs, cost.steps)
        };
        let mut training: Vec<String> = phases.iter().zip(&self.phases).map(phase).collect();
        training.extend(
            plan.finetune
                .as_ref()
                .and_then(Taught::classes)
                .zip(self.finetune)
                .map(|(values, cost)| format!("finetune: {} epochs, {} steps", values.epochs, cost.steps)),
        );
        let (features, checkpoint) = (size(self.features_bytes as f64), size(self.checkpoint_bytes as f64));
        let free = of(self.disk_free, "free");
        vec![
            (
                "memory",
                format!(
                    "about {}{}",
                    size(self.memory_bytes),
                    of(self.memory_available, "available")
                ),
            ),
            (
                "disk",
                format!("about {features} of features and {checkpoint} for each checkpoint{free}"),
            ),
            (
                "training",
                if training.is_empty() {
                    "none".to_owned()
                } else {
                    training.join("; ")
                },
            ),
            ("time", self.time_line()),
        ]
    }

    fn time_line(&self) -> String {
        match self.time.map(display_duration) {
            Some(time) => format!("about {time} of computing, at the speed of this backend's newest record in --out"),
            None => format!(
                "unknown: no record in --out tells this backend's speed ({:.1e} operations)",
                self.operations
            ),
        }
    }

    fn json(&self) -> Value {
        json!({
            "memory_bytes": self.memory_bytes as u64, "memory_available_bytes": self.memory_available,
            "features_bytes": self.features_bytes, "checkpoint_bytes": self.checkpoint_bytes,
            "disk_free_bytes": self.disk_free, "operations": self.operations,
            "seconds": self.time.map(|time| time.as_secs_f64()),
            "finetune_steps": self.finetune.map(|cost| cost.steps),
            "steps": self.phases.iter().map(|phase| phase.steps).collect::<Vec<_>>(),
        })
    }
}

/// Bytes in the unit that keeps two or three digits.
fn size(bytes: f64) -> String {
    match bytes {
        bytes if bytes < 1e6 => format!("{:.0} kB", bytes / 1e3),
        bytes if bytes < 1e9 => format!("{:.0} MB", bytes / 1e6),
        bytes => format!("{:.1} GB", bytes / 1e9),
    }
}

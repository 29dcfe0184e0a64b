//! What `check` prints: the same facts for people and for programs.

use super::needs::Needs;
use super::ranks::RankNeeds;
use super::verdict::{Ruling, Verdict};
use super::{Found, Line};
use crate::cli::error::{Failure, Result};
use crate::cli::exit::Exit;
use crate::estimate;
use crate::plan::display_value;
use crate::run::machine;
use crate::run::request::RunRequest;
use bridle_backends::{BackendState, Name};
use serde_json::{Value, json};

/// Everything that was found.
pub(super) struct Report<'a> {
    request: &'a RunRequest,
    data: &'a Result<Found>,
    backend: &'a Result<BackendState>,
    out: &'a Result<()>,
    /// None where they cannot be estimated: without data, and of an encoder of others.
    needs: Option<Needs>,
    /// None where nobody asked.
    ranks: Option<&'a RankNeeds>,
}

impl<'a> Report<'a> {
    pub fn new(
        request: &'a RunRequest,
        data: &'a Result<Found>,
        backend: &'a Result<BackendState>,
        out: &'a Result<()>,
        ranks: Option<&'a RankNeeds>,
    ) -> Self {
        let amount = data.as_ref().ok().map(|found| &found.amount);
        let amount = amount.filter(|_| estimate::is_known(&request.plan));
        Self {
            request,
            data,
            backend,
            out,
            needs: amount.map(|amount| Needs::new(request, amount, ranks.map_or(1, RankNeeds::count))),
            ranks,
        }
    }

    /// Lines of `topic  facts`, then the plan.
    pub fn text(&self) -> String {
        let plan = &self.request.plan;
        let mut lines = match self.data {
            Ok(found) => found.lines.clone(),
            Err(failure) => vec![("data", stopper(failure))],
        };
        let backend = self.backend.as_ref();
        let records = self.out.as_ref();
        lines.extend([
            (
                "backend",
                backend.map_or_else(stopper, |backend| self.backend_line(backend)),
            ),
            ("records", records.map_or_else(stopper, |()| self.records_line())),
        ]);
        match &self.needs {
            Some(needs) => lines.extend(needs.lines(plan)),
            None if plan.is_speech() => lines.extend(self.phase_lines()),
            None => {}
        }
        lines.extend(self.ranks.map(RankNeeds::line));
        lines.extend(self.verdicts().iter().map(|verdict| ("verdict", verdict.text())));
        lines.push(("plan", plan.plan_hash()));
        let lines = lines.iter().map(|(topic, facts)| format!("{topic:<9} {facts}\n"));
        lines.collect::<String>() + &self.plan_lines()
    }

    /// The same as one JSON object; what would stop the run is under `problems`.
    pub fn json(&self) -> Value {
        let RunRequest { plan, backend, .. } = self.request;
        let found = self.data.as_ref();
        let problems = [
            self.out.as_ref().err(),
            found.err(),
            found.ok().and_then(|found| found.verified.as_ref().err()),
            self.backend.as_ref().err(),
        ];
        let problem = |failure: &Failure| json!({"exit_code": failure.exit().code(), "message": failure.message()});
        let mut report = json!({
            "plan": plan.to_flat(),
            "plan_hash": plan.plan_hash(),
            "seeds": self.request.seeds,
            "folds": self.request.folds,
            "data": found.ok().map(|found| &found.facts),
            "backend": {
                "name": backend.name.as_str(), "dtype": self.request.dtype.word(), "device": backend.device,
                "threads": self.threads(),
            },
            "machine": machine::machine(None),
            "few_steps": self.few_steps(),
            "verdicts": self.verdicts().iter().map(Verdict::json).collect::<Vec<_>>(),
            "needs": self.needs.as_ref().map(Needs::json),
            "problems": problems.into_iter().flatten().map(problem).collect::<Vec<_>>(),
        });
        if let (Ok(found), Value::Object(report)) = (self.data, &mut report) {
            report.extend(found.json.clone());
        }
        if let Some(ranks) = self.ranks {
            report["ranks"] = ranks.json();
        }
        report
    }

    /// On everything that is known: memory, disk, steps and mask only with data that can be estimated.
    fn verdicts(&self) -> Vec<Verdict> {
        let found = self.data.as_ref();
        let data = found.err().or_else(|| found.ok()?.verified.as_ref().err());
        let mut verdicts = vec![
            Verdict::of_failure("data", data),
            Verdict::of_failure("device", self.backend.as_ref().err()),
            Verdict::of_failure("records", self.out.as_ref().err()),
        ];
        if let (Some(needs), Ok(found)) = (&self.needs, found) {
            let training = &found.amount.training;
            // a GPU has memory of its own, of which nothing is known here
            if self.request.backend.name != Name::Cuda {
                verdicts.push(Verdict::of_memory(needs, &self.request.plan, training));
            }
            verdicts.push(Verdict::of_disk(needs));
            verdicts.push(Verdict::of_plan("steps", self.few_steps()));
            if self.request.plan.mask.as_ref().is_some_and(|mask| mask.ratio.is_some()) {
                verdicts.push(Verdict::of_plan("mask", self.request.plan.few_visible()));
            }
        }
        verdicts.extend(self.ranks.map(RankNeeds::verdict));
        verdicts
    }

    /// Why the run would fail for want of memory or room, if it would.
    pub fn wanting(&self) -> Option<Failure> {
        let needs = ["memory", "disk"];
        let all = self.verdicts().into_iter();
        let mut wanting = all.filter(|verdict| verdict.ruling == Ruling::Cannot && needs.contains(&verdict.topic));
        let verdict = wanting.next()?;
        Some(Failure::new(
            Exit::Device,
            anyhow::anyhow!("this machine cannot run the plan: {}", verdict.text()),
        ))
    }

    fn few_steps(&self) -> Option<String> {
        let training = &self.data.as_ref().ok()?.amount.training;
        self.request.plan.few_steps(training.count())
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
            .args
            .out
            .join(&self.request.plan.task)
            .join(self.request.plan.label());
        format!("{count} in {}", folder.display())
    }

    /// A line for each phase of training.
    fn phase_lines(&self) -> impl Iterator<Item = Line> {
        let phases = self.request.plan.phases().into_iter();
        phases.map(|phase| ("training", format!("{}: {} epochs", phase.name, phase.length.epochs)))
    }

    /// The values of the plan, one a line, names and values in columns.
    fn plan_lines(&self) -> String {
        let flat = self.request.plan.to_flat();
        let width = flat.keys().map(String::len).max().unwrap_or(0);
        flat.iter()
            .map(|(name, value)| format!("  {name:width$} = {}\n", display_value(value)))
            .collect()
    }
}

/// What stands in place of a fact, if the run would stop there.
fn stopper(failure: &Failure) -> String {
    format!("not ready: {}", failure.message())
}

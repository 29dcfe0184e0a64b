//! Studies: a question, named arms that differ in values of the plan, and the runs that answer it.
//!
//! A study is a TOML file. Its runs are those of `run`, with the same records; what is recorded
//! already is never run again, so a study may go on over many sittings, and in several processes.

use crate::cli::error::{Failure, Result};
use crate::cli::exit::Exit;
use crate::cli::{RunArgs, StudyArgs};
use crate::plan::{AnyTask, Plan, decides, difference};
use crate::run::request::{Budget, Order, RunRequest};
use bridle_results::record::RunRecord;
use bridle_results::shown::is_control;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A study file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Study {
    /// What it asks, in a sentence.
    pub question: String,
    /// Names of tasks, or task files.
    pub tasks: Vec<String>,
    #[serde(default)]
    pub protocols: Vec<String>,
    #[serde(default)]
    pub preset: Option<String>,
    /// `key=value` for values of the plan that all arms share.
    #[serde(default)]
    pub set: Vec<String>,
    /// As `--folds`.
    #[serde(default = "first_fold")]
    pub folds: String,
    /// Number of seeds.
    pub seeds: u32,
    #[serde(default)]
    pub first_seed: u64,
    /// No run begins once the recorded runs of all tasks took so many hours of computing.
    pub hours: f64,
    /// When to stop before all runs are made, for readers; written before the first run.
    #[serde(default)]
    pub stop: Option<String>,
    /// The arm that all others are compared with.
    pub reference: String,
    #[serde(rename = "arm")]
    pub arms: Vec<Arm>,
}

/// One arm: what it changes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    pub name: String,
    #[serde(default)]
    pub method: Option<String>,
    #[serde(default)]
    pub quantizer: Option<String>,
    #[serde(default)]
    pub recipe: Option<String>,
    /// As `--init`; a path from the study file's folder.
    #[serde(default)]
    pub init: Option<PathBuf>,
    /// As `--labels`; a path from the study file's folder.
    #[serde(default)]
    pub labels: Option<PathBuf>,
    /// SHA-256 of that file, once it was made. Others are refused, and the arm's runs are known without it.
    #[serde(default)]
    pub labels_sha256: Option<String>,
    /// `key=value` for values of the plan, after those that all arms share.
    #[serde(default)]
    pub set: Vec<String>,
}

fn first_fold() -> String {
    "1".to_owned()
}

/// The runs that a study asks for on a task.
#[derive(Debug)]
pub struct Asked {
    /// The plan of each arm. None where its file of labels is neither here nor known.
    pub plans: Vec<Option<Plan>>,
    seeds: Vec<u64>,
    folds: Vec<Option<u8>>,
}

impl Asked {
    /// How many runs each arm is to have.
    pub fn runs(&self) -> usize {
        self.seeds.len() * self.folds.len()
    }

    /// Whether a record is of one of the runs of the arm in this place, on whatever data and backend.
    pub fn has(&self, arm: usize, record: &RunRecord) -> bool {
        let asked = self.seeds.contains(&record.seed) && self.folds.contains(&record.fold);
        asked && self.plans[arm].as_ref().is_some_and(|plan| plan.is_of(record))
    }
}

impl Study {
    /// Reads a study file.
    ///
    /// # Errors
    /// If it cannot be read, has unknown keys, lacks one, or has a value that says nothing: a name that is
    /// empty or there twice, no task, no time.
    pub fn read(path: &Path) -> Result<Self> {
        let place = path.display();
        let text = bridle_files::text(path, bridle_files::SETTINGS).map_err(|error| {
            let error = anyhow::Error::new(error).context(format!("cannot read the study `{place}`"));
            Failure::new(Exit::Data, error)
        })?;
        let wrong = |why: String| Failure::wrong_use(format!("`{place}` is no study: {why}"));
        let study: Self = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        study.check().map_err(wrong)?;
        let names: Result<Vec<&str>> = study.tasks.iter().map(|task| Ok(AnyTask::find(task)?.name())).collect();
        if let Some(twice) = twice(names?) {
            return Err(wrong(format!("two tasks are called `{twice}`")));
        }
        Ok(study)
    }

    /// Says what is wrong, if anything is.
    fn check(&self) -> std::result::Result<(), String> {
        let names: Vec<&str> = self.arms.iter().map(|arm| arm.name.as_str()).collect();
        let question = ("its question", &self.question[..]);
        let stop = self.stop.as_deref().map(|stop| ("its rule for stopping", stop));
        let lines = [question]
            .into_iter()
            .chain(stop)
            .chain(names.iter().map(|name| ("an arm's name", *name)));
        for (what, line) in lines {
            if line.trim().is_empty() || line.contains(is_control) {
                return Err(format!("{what} is a line of text, not \"{}\"", line.escape_debug()));
            }
        }
        if !names.contains(&self.reference.as_str()) {
            let known = names.join(", ");
            return Err(format!("no arm is named `{}` (arms: {known})", self.reference));
        }
        if let Some(twice) = twice(names) {
            return Err(format!("two arms are named `{twice}`"));
        }
        for arm in self.arms.iter().filter(|arm| arm.labels_sha256.is_some()) {
            let (name, sha256) = (&arm.name, arm.labels_sha256.as_deref().unwrap_or_default());
            if arm.labels.is_none() {
                return Err(format!("arm `{name}` has `labels_sha256` without `labels`"));
            }
            if sha256.len() != 64 || !sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
                return Err(format!(
                    "`labels_sha256` of arm `{name}` is 64 hexadecimal digits in lower case, as `sha256sum` prints them"
                ));
            }
        }
        if self.tasks.is_empty() || self.seeds == 0 {
            return Err("it needs a task and a seed".to_owned());
        }
        for assignment in self.arms.iter().flat_map(|arm| &arm.set).chain(&self.set) {
            if let name @ ("task" | "protocols") = key(assignment) {
                return Err(format!(
                    "`set` changes `{name}`, which is that of the whole study: `tasks`, `protocols`"
                ));
            }
        }
        for (what, words) in [("task", &self.tasks), ("protocol", &self.protocols)] {
            if let Some(twice) = twice(words.iter().map(String::as_str).collect()) {
                return Err(format!("{what} `{twice}` is there twice"));
            }
        }
        if !(self.hours > 0.0 && self.hours.is_finite()) {
            return Err(format!("`hours` must be positive, not {}", self.hours));
        }
        Ok(())
    }

    /// What each task is asked to run: all arms, seed by seed.
    ///
    /// # Errors
    /// Wrong use, with the name of the arm; two arms with the same plan; an arm on other data.
    pub fn requests(&self, args: &StudyArgs) -> Result<Vec<RunRequest>> {
        self.tasks.iter().map(|task| self.request(task, args)).collect()
    }

    /// What each task is asked for, also where files of labels are not here.
    ///
    /// # Errors
    /// As [`Self::requests`].
    pub fn asked(&self, task: &str, args: &StudyArgs) -> Result<Asked> {
        let (mut plans, mut seeds, mut folds) = (Vec::new(), Vec::new(), Vec::new());
        for arm in &self.arms {
            let (request, gone) = self.of_arm(task, arm, args)?;
            (seeds, folds) = (request.seeds, request.folds);
            plans.push(match (&arm.labels, &arm.labels_sha256) {
                (Some(path), Some(sha256)) => Some(request.plan.with_labels(path, sha256, self.transductive(arm))),
                _ if gone.is_some() => None,
                _ => Some(request.plan),
            });
        }
        self.require_comparable(task, plans.iter().map(Option::as_ref))?;
        Ok(Asked { plans, seeds, folds })
    }

    /// Refuses arms with the same plan, and an arm on other data. `plans` are those of the arms.
    fn require_comparable<'a>(&self, task: &str, plans: impl Iterator<Item = Option<&'a Plan>>) -> Result<()> {
        let known = self.arms.iter().zip(plans);
        let known: Vec<(&Arm, &Plan)> = known.filter_map(|(arm, plan)| Some((arm, plan?))).collect();
        let mut seen: HashMap<String, (&str, &Plan)> = HashMap::new();
        for (arm, plan) in &known {
            if let Some((other, of_other)) = seen.insert(plan.effect_hash(), (&arm.name, plan)) {
                let message = format!("arms `{other}` and `{}` are the same plan on `{task}`", arm.name);
                let unread = difference(&of_other.to_flat(), &plan.to_flat()).into_iter();
                let mut unread: Vec<String> = unread
                    .map(|value| value.key)
                    .filter(|key| decides(key).is_some())
                    .collect();
                unread.sort_unstable();
                let message = match unread.join(", ") {
                    unread if unread.is_empty() => message,
                    unread => format!("{message} in effect: no phase of them reads {unread}"),
                };
                return Err(Failure::wrong_use(message).with_hint("change a value of one of them, or remove it"));
            }
            let (first, of_first) = known[0];
            if plan.data != of_first.data {
                let message = format!("arm `{}` sees other data than arm `{}`", arm.name, first.name);
                return Err(Failure::wrong_use(message).with_hint("values of `data` belong to the study's own `set`"));
            }
        }
        Ok(())
    }

    /// Whether an arm's labels may have seen test samples.
    fn transductive(&self, arm: &Arm) -> bool {
        let mut given = arm.set.iter().rev().chain(self.set.iter().rev());
        let last = given.find(|assignment| key(assignment) == TRANSDUCTIVE);
        last.and_then(|assignment| assignment.split_once('='))
            .is_some_and(|(_, value)| value.trim() == "true")
    }

    /// What `run` would be asked for by an arm, and its file of labels if that is not there.
    fn of_arm(&self, task: &str, arm: &Arm, args: &StudyArgs) -> Result<(RunRequest, Option<PathBuf>)> {
        let of_arm = |failure: Failure| failure.in_context(format!("arm `{}`", arm.name));
        let mut wanted = self.run_args(task, arm, args);
        let gone = wanted.labels.take_if(|labels| !labels.exists());
        if gone.is_some() {
            wanted.set.retain(|assignment| key(assignment) != TRANSDUCTIVE);
        }
        let request = RunRequest::new(&wanted).map_err(of_arm)?;
        if request.foreign.is_some() {
            let message = "an encoder of another program is judged by `run`, not in a study";
            return Err(of_arm(Failure::wrong_use(message)));
        }
        Ok((request, gone))
    }

    fn request(&self, task: &str, args: &StudyArgs) -> Result<RunRequest> {
        let mut requests: Vec<RunRequest> = Vec::new();
        for arm in &self.arms {
            let of_arm = |failure: Failure| failure.in_context(format!("arm `{}`", arm.name));
            let (request, gone) = self.of_arm(task, arm, args)?;
            if let Some(gone) = gone {
                let message = format!("there is no file of labels `{}`", gone.display());
                let hint = "make that file first, as the study file may say; its path is from the study file's folder";
                return Err(of_arm(
                    Failure::new(Exit::Data, anyhow::Error::msg(message)).with_hint(hint),
                ));
            }
            let labels = request.plan.labels.as_ref();
            if let Some((known, found)) = arm
                .labels_sha256
                .as_ref()
                .zip(labels)
                .filter(|(known, found)| **known != found.sha256)
            {
                let message = format!(
                    "`{}` has the SHA-256 {}, and the study knows {known}",
                    found.name, found.sha256
                );
                let hint = "make the labels as the study says, or remove `labels_sha256` and begin the arm anew";
                return Err(of_arm(Failure::wrong_use(message).with_hint(hint)));
            }
            requests.push(request);
        }
        self.require_comparable(task, requests.iter().map(|request| Some(&request.plan)))?;
        let mut requests = requests.into_iter();
        let mut first: RunRequest = requests.next().expect("a study has its reference arm");
        // a study names its controls itself, as arms
        (first.further, first.has_control) = (Vec::new(), false);
        for request in requests {
            first.further.push(request.plan);
            first.init.extend(request.init);
            first.labels.extend(request.labels);
        }
        first.order = Order::BySeed;
        first.names = self.arms.iter().map(|arm| arm.name.clone()).collect();
        first.budget = Some(Budget {
            hours: self.hours,
            elsewhere: 0.0,
        });
        Ok(first)
    }

    /// What `run` would be given for one arm.
    fn run_args(&self, task: &str, arm: &Arm, args: &StudyArgs) -> RunArgs {
        let folder = args.file.parent().unwrap_or(Path::new(""));
        let from_file = |path: &Path| folder.join(path);
        RunArgs {
            task: Some(task.to_owned()),
            from: None,
            plan: None,
            quantizer: arm.quantizer.clone(),
            method: arm.method.clone(),
            preset: self.preset.clone(),
            protocol: self.protocols.clone(),
            recipe: arm.recipe.clone(),
            ablation: false,
            control: false,
            init: arm.init.as_deref().map(from_file),
            labels: arm.labels.as_deref().map(from_file),
            lm: None,
            set: [&self.set[..], &arm.set[..]].concat(),
            subset: None,
            folds: Some(self.folds.clone()),
            seed: Some(self.first_seed),
            seeds: self.seeds,
            compute: args.compute.clone(),
            data: args.data.clone(),
            offline: args.offline,
            yes: false,
            allow_different_data: false,
            out: args.out.clone(),
            resume: Some(None),
            checkpoint_every: args.checkpoint_every,
            fresh: false,
            envelope: None,
            format: crate::cli::RunFormat::Terminal,
        }
    }
}

/// Whether given labels may have seen test samples.
const TRANSDUCTIVE: &str = "labels.transductive";

/// The name of the value that an assignment sets.
fn key(assignment: &str) -> &str {
    assignment.split_once('=').map_or(assignment, |(key, _)| key).trim()
}

/// The first of these words that is there twice, in the order of the alphabet.
fn twice(mut words: Vec<&str>) -> Option<&str> {
    words.sort_unstable();
    words.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;
    use std::collections::BTreeSet;

    fn command(line: &str) -> Command {
        let words = ["bridle-bench"].into_iter().chain(line.split_whitespace());
        Cli::try_parse_from(words).unwrap().command
    }

    /// The hashes of all plans on the study's first task.
    fn study(name: &str) -> BTreeSet<String> {
        let path = format!("{}/results/studies/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let Command::Study(args) = command(&format!("study {path}")) else {
            unreachable!("the line says study")
        };
        let study = Study::read(Path::new(&path)).unwrap();
        let requests = study.requests(&args).unwrap();
        requests[0].plans().map(crate::plan::Plan::plan_hash).collect()
    }

    #[test]
    fn the_ablation_that_ships_has_the_plans_of_the_option() {
        let Command::Run(args) = command("run --task esc50 --quantizer rq --ablation --protocol linear-probe,knn")
        else {
            unreachable!("the line says run")
        };
        let option = RunRequest::new(&args.run).unwrap();
        let plans: BTreeSet<String> = option.plans().map(crate::plan::Plan::plan_hash).collect();
        assert_eq!(study("ablation"), plans);
    }

    /// Also those of arms whose labels are not here.
    #[test]
    fn every_committed_record_of_a_study_is_of_one_of_its_arms() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/studies");
        let mut studies = 0;
        for file in std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()) {
            let records = file.with_extension("");
            if file.extension().is_none_or(|end| end != "toml") || !records.is_dir() {
                continue;
            }
            let read = Study::read(&file).unwrap();
            let Command::Study(args) = command(&format!("study {}", file.display())) else {
                unreachable!("the line says study")
            };
            let asked = read.asked(&read.tasks[0], &args).unwrap();
            for (path, record) in bridle_results::store::find(&[records]).unwrap() {
                let of_any = (0..read.arms.len()).any(|arm| asked.has(arm, &record));
                assert!(of_any, "{}", path.display());
            }
            studies += 1;
        }
        assert!(studies > 0);
    }

    #[test]
    fn every_study_that_ships_has_an_arm_a_plan() {
        for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/results/studies")).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|end| end != "toml") {
                continue;
            }
            let read = Study::read(&path).unwrap();
            let name = path.file_stem().unwrap().to_string_lossy();
            if read.arms.iter().any(|arm| arm.labels.is_some()) {
                // the labels are made by its first lines, and are not committed
                let Command::Study(args) = command(&format!("study {}", path.display())) else {
                    unreachable!("the line says study")
                };
                let asked = read.asked(&read.tasks[0], &args).unwrap();
                let made = asked.plans.iter().flatten().count();
                let without = read.arms.iter().filter(|arm| arm.labels.is_none()).count();
                assert!(made >= without && without > 0, "{name}");
                continue;
            }
            assert_eq!(study(&name).len(), read.arms.len(), "{name}");
        }
    }
}

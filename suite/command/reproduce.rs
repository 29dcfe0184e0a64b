//! `reproduce`: runs again what records are of, in a work folder of its own, and says how far scores,
//! statistics of codebooks and predictions agree.

use crate::cli::error::{Failure, Result};
use crate::cli::exit::Exit;
use crate::cli::{ComputeArgs, Format, ReproduceArgs, RunArgs, RunFormat, terminal};
use crate::command::run::{self, Session};
use crate::run::machine;
use crate::run::request::RunRequest;
use bridle_results::record::{DIFFERENT, RunRecord};
use bridle_results::reproduction::{Reproduction, Verdict};
use bridle_results::store::{self, RunName, StoreError};
use bridle_tasks::HubModel;
use serde_json::{Value, json};
use std::path::{Path, PathBuf, absolute};

/// Where the runs' records go, within the work folder.
const OUT: &str = "records";
/// Differences that are printed; `--format json` has all.
const SHOWN: usize = 12;

/// What became of one record.
enum Outcome {
    Compared {
        reproduction: Reproduction,
        verdict: Verdict,
        /// Whether the record names this processor; it may be older than such names.
        same_processor: bool,
    },
    Skipped(Failure),
}

/// Runs every record's plan again and compares.
///
/// # Errors
/// If a file is no record; a fault of the machine, divergence or a signal in a run.
pub fn perform(args: &ReproduceArgs) -> Result<Exit> {
    let found = store::find(&args.records)?;
    let paths = Paths::of(args)?;
    let session = Session::begin("reproduce")?;
    session.require_alone("reproducing records")?;
    enter(&paths.work)?;
    let mut outcomes = Vec::new();
    for ((path, record), absolute) in found.iter().zip(paths.absolute(&found)?) {
        let outcome = match again(args, &paths, &absolute, record, &session) {
            Ok(reproduction) => {
                let verdict = reproduction.verdict(args.rounding);
                Outcome::Compared {
                    reproduction,
                    verdict,
                    same_processor: is_of_this_processor(record),
                }
            }
            // what is not there, or not known to this version; everything else ends the command
            Err(failure) if matches!(failure.exit(), Exit::Data | Exit::Device | Exit::WrongUse) => {
                Outcome::Skipped(failure)
            }
            Err(failure) => return Err(failure),
        };
        if args.format == Format::Terminal {
            terminal::print(&in_words(path, &outcome))?;
        }
        outcomes.push((path, outcome));
    }
    if args.format == Format::Json {
        let all = outcomes.iter().map(|(path, outcome)| as_json(path, outcome));
        terminal::print_json(&all.collect())?;
    }
    Ok(exit(outcomes.iter().map(|(_, outcome)| outcome)))
}

/// Paths of the command line that hold in any folder.
struct Paths {
    work: PathBuf,
    data: Option<PathBuf>,
    task: Option<PathBuf>,
    /// Where the user is.
    here: PathBuf,
}

impl Paths {
    fn of(args: &ReproduceArgs) -> Result<Self> {
        for variable in ["BRIDLE_DATA", "HF_HOME"] {
            let path = std::env::var_os(variable).map(PathBuf::from);
            if path.is_some_and(|path| path.is_relative() && !path.as_os_str().is_empty()) {
                let message = format!(
                    "`reproduce` works in a folder of its own, where ${variable}, a relative path, means nothing"
                );
                return Err(Failure::wrong_use(message).with_hint(format!("{variable} with a path from the root")));
            }
        }
        let here = std::env::current_dir().map_err(|error| Failure::fault("the current folder has no name", error))?;
        let from_here = |path: &PathBuf| here.join(path);
        Ok(Self {
            work: from_here(&args.work),
            data: args.data.as_ref().map(from_here),
            task: args.task.as_ref().map(from_here),
            here,
        })
    }

    fn absolute(&self, found: &[(PathBuf, RunRecord)]) -> Result<Vec<PathBuf>> {
        let all = found.iter().map(|(path, _)| absolute(self.here.join(path)));
        let all: std::io::Result<Vec<PathBuf>> = all.collect();
        all.map_err(|error| Failure::fault("a record's path has no absolute form", error))
    }
}

/// Makes the work folder and enters it: checkpoints, features and pretrainings lie below the current
/// folder, and none of other runs is to be found there.
fn enter(work: &Path) -> Result<()> {
    let entered = std::fs::create_dir_all(work).and_then(|()| std::env::set_current_dir(work));
    entered.map_err(|error| Failure::fault(format!("cannot work in `{}`", work.display()), error))
}

/// Runs the plan of the record at `path` again and compares both.
fn again(
    args: &ReproduceArgs,
    paths: &Paths,
    path: &Path,
    record: &RunRecord,
    session: &Session,
) -> Result<Reproduction> {
    let recorded = match store::read_predictions(path, record) {
        Err(StoreError::Missing { path }) => {
            terminal::log(&format!(
                "note: `{}` is not there; scores are compared alone",
                path.display()
            ));
            None
        }
        other => other?,
    };
    if !record.is_unchanged() {
        terminal::log(&format!("note: `{}` was changed since it was written", path.display()));
    }
    let mut request = RunRequest::new(&run_args(args, paths, path, record))?;
    // own data has a control, whose record is another one
    (request.further, request.has_control) = (Vec::new(), false);
    let made = run::records(request, session)?;
    let made = made.records.first().expect("one plan, seed and fold make one record");
    let again = store::read_predictions(&Path::new(OUT).join(RunName::of(made).path()), made)?;
    let reproduction = Reproduction::of((record, recorded.as_ref()), (made, again.as_ref()));
    reproduction.map_err(|error| Failure::fault("the records cannot be compared", error))
}

/// Whether the record was made on a processor such as this one: another one rounds differently.
fn is_of_this_processor(record: &RunRecord) -> bool {
    let this = machine::machine(None);
    (&this.cpu, &this.processor) == (&record.machine.cpu, &record.machine.processor)
}

/// What `run` would be given.
fn run_args(args: &ReproduceArgs, paths: &Paths, path: &Path, record: &RunRecord) -> RunArgs {
    // as many as the record had, unless that is more than there are cores
    let cores = machine::cores() as u64;
    let threads = Some(record.backend.threads).filter(|threads| (1..=cores).contains(threads));
    let threads = threads.and_then(|threads| u32::try_from(threads).ok());
    // weights of the hub are fetched again, at their commit
    let of_hub = ["foreign.source", "init.name"]
        .iter()
        .find_map(|key| record.plan_word(key));
    let of_hub = of_hub.filter(|word| HubModel::is_meant(word));
    RunArgs {
        task: paths.task.as_ref().map(|task| task.display().to_string()),
        from: Some(path.to_owned()),
        plan: None,
        quantizer: None,
        method: None,
        preset: None,
        protocol: Vec::new(),
        recipe: None,
        ablation: false,
        control: false,
        init: of_hub.map(PathBuf::from),
        labels: None,
        lm: None,
        set: Vec::new(),
        subset: None,
        folds: None,
        seed: None,
        seeds: 1,
        compute: ComputeArgs {
            backend: None,
            device: None,
            threads: args.threads.or(threads),
            dtype: None,
        },
        data: paths.data.clone(),
        offline: args.offline,
        yes: false,
        // which data it was is compared with everything else
        allow_different_data: record.data.variant == DIFFERENT,
        out: PathBuf::from(OUT),
        resume: args.resume.then_some(None),
        checkpoint_every: 60,
        fresh: !args.resume,
        envelope: None,
        format: RunFormat::Terminal,
    }
}

/// `<record>: equal to the bit`, and what is different a line each.
fn in_words(path: &Path, outcome: &Outcome) -> String {
    let path = path.display();
    let (reproduction, verdict, same_processor) = match outcome {
        Outcome::Skipped(failure) => return format!("{path}: skipped: {}", failure.message()),
        Outcome::Compared {
            reproduction,
            verdict,
            same_processor,
        } => (reproduction, verdict, *same_processor),
    };
    let of = format!(
        "{} values and {} predictions",
        reproduction.compared, reproduction.predictions
    );
    match verdict {
        Verdict::Equal => format!("{path}: equal to the bit ({of})"),
        Verdict::Rounding(most) => format!(
            "{path}: within rounding ({of}); farthest apart by {:.1e}: {most}",
            most.size()
        ),
        Verdict::Different(what) => {
            let mut lines = vec![format!("{path}: different in {} of {of}", what.len())];
            lines.extend(what.iter().take(SHOWN).map(|line| format!("  {line}")));
            let more = what.len().saturating_sub(SHOWN);
            lines.extend((more > 0).then(|| format!("  and {more} more, which --format json has")));
            lines.extend(
                (!same_processor).then(|| "  the record is of another processor, which rounds differently".to_owned()),
            );
            lines.join("\n")
        }
    }
}

fn as_json(path: &Path, outcome: &Outcome) -> Value {
    let mut entry = json!({"record": path});
    match outcome {
        Outcome::Skipped(failure) => {
            entry["verdict"] = json!("skipped");
            entry["exit_code"] = json!(failure.exit().code());
            entry["reason"] = json!(failure.message());
        }
        Outcome::Compared {
            reproduction,
            verdict,
            same_processor,
        } => {
            let (word, most, what) = match verdict {
                Verdict::Equal => ("equal", None, &[][..]),
                Verdict::Rounding(most) => ("rounding", Some(most), &[][..]),
                Verdict::Different(what) => ("different", None, &what[..]),
            };
            entry["verdict"] = json!(word);
            entry["values"] = json!(reproduction.compared);
            entry["predictions"] = json!(reproduction.predictions);
            entry["same_processor"] = json!(same_processor);
            entry["farthest"] = json!(most.map(|most| json!({"name": most.name, "by": most.size()})));
            entry["differences"] = json!(what);
        }
    }
    entry
}

/// A difference, as for `regress`; else done if anything ran; else why the first did not.
fn exit<'a>(outcomes: impl Iterator<Item = &'a Outcome> + Clone) -> Exit {
    let is_different = |outcome: &Outcome| {
        matches!(
            outcome,
            Outcome::Compared {
                verdict: Verdict::Different(_),
                ..
            }
        )
    };
    let skipped = |outcome: &'a Outcome| match outcome {
        Outcome::Skipped(failure) => Some(failure.exit()),
        Outcome::Compared { .. } => None,
    };
    if outcomes.clone().any(is_different) {
        return Exit::Regression;
    }
    let reasons: Option<Vec<Exit>> = outcomes.map(skipped).collect();
    reasons
        .and_then(|reasons| reasons.first().copied())
        .unwrap_or(Exit::Done)
}

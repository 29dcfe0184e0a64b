//! `fetch`: a task's data set, or a model, from the hub, verified; an interrupted download resumes.

use crate::cli::error::{Failure, Result, UnknownName};
use crate::cli::exit::Exit;
use crate::cli::progress::TerminalProgress;
use crate::cli::terminal;
use crate::cli::{FetchArgs, Format};
use bridle_tasks::{FetchError, FetchPlan, FetchRequest, HubModel, HubSource, TaskSource};
use serde_json::json;

/// Fetches, or with `--dry-run` says what a fetch would do.
///
/// # Errors
/// A task that is unknown or on no hub; whatever keeps a fetch from ending with every file whole.
pub fn perform(args: &FetchArgs) -> Result<()> {
    let wanted = Wanted::of(&args.task)?;
    let environment = FetchRequest::from_environment();
    let request = FetchRequest {
        to: args.to.clone(),
        revision: args.revision.clone(),
        offline: args.offline || environment.offline,
        ..environment
    };
    let plan = match &wanted {
        Wanted::Data(source) => bridle_tasks::plan_fetch(source, &request)?,
        Wanted::Model(model) => model.plan(&request)?,
    };
    if args.dry_run {
        return match args.format {
            Format::Terminal => terminal::print(&text(&plan)),
            Format::Json => terminal::print_json(&json(&plan)),
        };
    }
    terminal::log(&text(&plan));
    // SIGINT and SIGTERM end the process as they are: every file under its name is whole, and parts
    // resume
    let progress = TerminalProgress::agreeing(args.yes);
    let folder = match &wanted {
        Wanted::Data(source) => bridle_tasks::fetch(source, &request, &progress)?,
        Wanted::Model(model) => model.fetch(&request, &progress)?.path,
    };
    match args.format {
        Format::Terminal => terminal::print(&folder.display().to_string()),
        Format::Json => terminal::print_json(&json!({"task": args.task, "folder": folder})),
    }
}

/// What is fetched.
enum Wanted {
    Data(HubSource<'static>),
    Model(HubModel),
}

impl Wanted {
    fn of(word: &str) -> Result<Self> {
        Ok(match HubModel::is_meant(word) {
            true => Self::Model(word.parse()?),
            false => Self::Data(source(word)?),
        })
    }
}

fn source(task: &str) -> Result<HubSource<'static>> {
    let known = || bridle_tasks::sources().iter().map(|known| known.task);
    match bridle_tasks::sources().iter().find(|known| known.task == task) {
        Some(TaskSource {
            source: Some(source), ..
        }) => Ok(*source),
        Some(TaskSource { elsewhere, .. }) => {
            let failure = Failure::wrong_use(format!("`{task}` is on no hub that can be fetched from"));
            Err(failure.with_hint(elsewhere))
        }
        None => Err(UnknownName::new("data set", task, known()).into()),
    }
}

fn text(plan: &FetchPlan) -> String {
    let gated = if plan.gated {
        "; its terms must be accepted, and HF_TOKEN set"
    } else {
        ""
    };
    let there = plan.files.iter().filter(|file| file.present).count();
    format!(
        "{} at revision {}\nfrom {}\nto {}\nlicence: {}{gated}\n{} files, {} bytes; {there} of them there, {} bytes to fetch",
        plan.repository,
        plan.revision,
        plan.endpoint,
        plan.to.display(),
        plan.licence,
        plan.files.len(),
        plan.bytes(),
        plan.missing_bytes(),
    )
}

fn json(plan: &FetchPlan) -> serde_json::Value {
    let files = plan.files.iter();
    let files = files.map(|file| json!({"name": file.name, "bytes": file.size, "present": file.present}));
    json!({
        "repository": plan.repository, "revision": plan.revision, "from": plan.endpoint, "to": plan.to,
        "licence": plan.licence, "gated": plan.gated, "bytes": plan.bytes(), "missing_bytes": plan.missing_bytes(),
        "files": files.collect::<Vec<_>>(),
    })
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        let exit = match &error {
            FetchError::Disk { .. } => Exit::Fault,
            _ => Exit::Data,
        };
        let hint = match &error {
            FetchError::Refused { .. } => {
                Some("accept the terms on its page, then HF_TOKEN=... and again; or the name as the hub spells it")
            }
            FetchError::Moved { .. } => Some(
                "the first one, with --revision or after @, to keep to it; or remove the lock file to take the new one",
            ),
            FetchError::NotFound { .. } => Some("the name and the revision as the hub spells them"),
            FetchError::NoWeights { .. } => Some(
                "a repository with weights, or hub:ORG/NAME/FILE; suite/JUDGE.md lists the families that are known",
            ),
            FetchError::SeveralWeights {
                repository, example, ..
            } => {
                let hint = format!("hub:{repository}/{example}, or another of them");
                return Self::new(exit, error).with_hint(hint);
            }
            FetchError::NotAgreed { .. } => Some("`bridle-bench fetch` or `run` with --yes"),
            FetchError::Offline { .. } => Some("the same without --offline, and without HF_HUB_OFFLINE=1"),
            FetchError::Unreachable { .. } | FetchError::Status { .. } | FetchError::Limited { .. } => {
                Some("the same again, which resumes here; HF_ENDPOINT names another hub, or several with commas")
            }
            FetchError::Disk { .. } => Some("make room, or --to DIR with a folder that can be written"),
            FetchError::BadLock { .. } | FetchError::Differs { .. } => Some("remove the lock file to begin anew"),
            _ => None,
        };
        let failure = Self::new(exit, error);
        hint.into_iter().fold(failure, Self::with_hint)
    }
}

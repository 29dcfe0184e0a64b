//! What `run` and `check` were asked to do: the options of the command line, resolved and checked
//! together.

use crate::cli::RunArgs;
use crate::cli::error::{Failure, Result};
use crate::cli::exit::Exit;
use crate::cli::{ranks, terminal};
use crate::compute::{self, Dtype};
use crate::embeddings::{Embeddings, LabelsFile};
use crate::foreign::{self, Foreign};
use crate::plan::{
    AnyTask, EmbeddingsRequest, Input, LmRequest, Method, Plan, PlanRequest, TaskFacts, corrected_changes,
};
use crate::run::control;
use crate::run::encoder_file::{self as file, EncoderFile, EncoderFileError};
use crate::run::locate::{Access, locate};
use crate::run::machine;
use crate::run::origin::Origin;
use crate::run::root::Root;
use bridle_backends::Choice;
use bridle_ctc::Ngrams;
use bridle_results::record::RunRecord;
use bridle_tasks::{InputSpec, Limits, OpenRequest, SpeechRequest, normalise_text};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Where checkpoints and logs lie.
pub const RUNS: &str = "runs";
/// Where computed features are kept.
pub const FEATURES: &str = "runs/features";

/// What to reuse of earlier work under `./runs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// A finished pretraining with the same hash.
    Pretraining,
    /// The newest valid checkpoint of the same plan, backend, seed and fold; without one as
    /// `Pretraining`.
    Resume,
    /// The checkpoints in this folder, whose plan must be the same.
    ResumeIn(PathBuf),
    /// Nothing.
    Nothing,
}

impl Reuse {
    fn of(args: &RunArgs) -> Self {
        match &args.resume {
            _ if args.fresh => Self::Nothing,
            None => Self::Pretraining,
            Some(None) => Self::Resume,
            Some(Some(folder)) => Self::ResumeIn(folder.clone()),
        }
    }

    /// Whether a finished pretraining with the same hash may be used, given whether a checkpoint
    /// was `found`.
    pub(crate) const fn allows_pretraining(&self, found: bool) -> bool {
        match self {
            Self::Pretraining => true,
            Self::Resume => !found,
            Self::ResumeIn(_) | Self::Nothing => false,
        }
    }
}

/// The order of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// All seeds and folds of a plan, then those of the next.
    ByPlan,
    /// All plans on a seed and fold, then on the next: wherever it stops, plans can be compared.
    BySeed,
}

/// Computing time after which no run of a study begins.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    pub hours: f64,
    /// Hours that the study's other tasks took.
    pub elsewhere: f64,
}

/// A checked request.
#[derive(Debug)]
pub struct RunRequest {
    pub task: AnyTask,
    /// Every value that decides the numbers. The data's variant is not known yet.
    pub plan: Plan,
    /// Further plans on the same data: of an ablation each change of the recipe and all of them, of
    /// a study the other arms. A control comes last.
    pub further: Vec<Plan>,
    /// What a study calls its plans; none where they have no names.
    pub names: Vec<String>,
    /// Whether there is a control.
    pub has_control: bool,
    /// In what order they are run.
    pub order: Order,
    /// No run begins once the recorded ones took so much computing.
    pub budget: Option<Budget>,
    /// Weights to start from in place of pretraining, of any of the plans.
    pub init: Vec<EncoderFile>,
    /// Labels to train on in place of a tokenizer's, of any of the plans.
    pub labels: Vec<LabelsFile>,
    /// An encoder of others to judge.
    pub foreign: Option<Foreign>,
    /// Vectors to judge in place of an encoder's.
    pub embeddings: Option<Embeddings>,
    /// The language model for the decoding of speech.
    pub lm: Option<Ngrams>,
    /// Test folds; one `None` for a task without folds.
    pub folds: Vec<Option<u8>>,
    pub seeds: Vec<u64>,
    pub backend: Choice,
    pub dtype: Dtype,
    pub reuse: Reuse,
    /// What is repeated, where something is.
    pub origin: Option<Origin>,
    /// Options that need no check.
    pub args: RunArgs,
}

impl RunRequest {
    /// Checks all names and values of the command line. Reads weights and language models, opens no
    /// data and no device.
    ///
    /// # Errors
    /// Wrong use, with the word and the right ones; a file that cannot be read.
    pub fn new(args: &RunArgs) -> Result<Self> {
        Self::of(args, None, Access::of(args.offline, args.yes))
    }

    /// The same without fetching weights.
    ///
    /// # Errors
    /// As [`Self::new`], and if weights of the hub are not on this machine.
    pub fn looking(args: &RunArgs) -> Result<Self> {
        Self::of(args, None, Access::Look)
    }

    /// The same to judge vectors by this name.
    ///
    /// # Errors
    /// As [`Self::new`], and if a method of this program has the name.
    pub fn judging(args: &RunArgs, embeddings: Embeddings, name: &str) -> Result<Self> {
        free_name(name)?;
        let request = EmbeddingsRequest {
            name: name.to_owned(),
            sha256: embeddings.sha256.clone(),
            dim: embeddings.dim,
        };
        Self::of(args, Some((embeddings, request)), Access::of(args.offline, args.yes))
    }

    fn of(args: &RunArgs, given: Option<(Embeddings, EmbeddingsRequest)>, access: Access) -> Result<Self> {
        let (embeddings, embeddings_request) = given.unzip();
        let origin = Origin::of(args)?;
        let args = &origin
            .as_ref()
            .map_or_else(|| args.clone(), |origin| origin.complete(args));
        let (backend, dtype) = compute::choose(&args.compute)?;
        let mut wanted = PlanRequest {
            task: args.task.clone().unwrap_or_default(),
            method: args.method.clone(),
            quantizer: args.quantizer.clone(),
            preset: args.preset.clone(),
            recipe: args.recipe.clone(),
            protocols: args.protocol.clone(),
            subset: args.subset,
            written: origin.as_ref().map(|origin| origin.written.clone()),
            set: args.set.clone(),
            ..PlanRequest::default()
        };
        let task = wanted.task()?;
        only_for_its_kind(args, &task)?;
        let facts = task.facts();
        let given = args.init.as_deref().map(|word| locate(word, access)).transpose()?;
        let (init, foreign) = match &given {
            Some(given) if !EncoderFile::has_card(&given.path) => {
                let options = foreign::options(&mut wanted.set)?;
                let (theirs, request) = foreign::read(given, &options, foreign::seconds(&facts), backend.threads)?;
                theirs.lines().iter().for_each(|line| terminal::log(line));
                wanted.foreign = Some(request);
                (None, Some(theirs))
            }
            given => (given.as_ref().map(EncoderFile::located).transpose()?, None),
        };
        wanted.init = init.as_ref().map(EncoderFile::request);
        let labels = args.labels.as_deref().map(LabelsFile::read).transpose()?;
        wanted.labels = labels.as_ref().map(LabelsFile::request);
        let lm = args.lm.as_deref().map(language_model).transpose()?;
        let (lm, lm_request) = lm.unzip();
        wanted.lm = lm_request;
        wanted.embeddings = embeddings_request;
        let plan = Plan::resolve_for(&facts, &wanted)?;
        if let (Some(theirs), Input::Fixed(InputSpec::Pipeline(fixed))) = (&foreign, &plan.data.input) {
            theirs.check_input(fixed)?;
        }
        let ablation = if args.ablation {
            ablation(&facts, &wanted, &plan)?
        } else {
            Vec::new()
        };
        let wants_control = args.control || task.is_own();
        let control = if wants_control {
            control::of(&facts, &wanted, &plan)?
        } else {
            None
        };
        if args.control && control.is_none() {
            terminal::log(
                "note: --control runs nothing: this plan has no pretraining of ours to check, or only protocols that train \
                 the encoder, whose control is --method scratch",
            );
        }
        let folds = folds(args.folds.as_deref().unwrap_or(FIRST_FOLD), &facts)?;
        if let Some(origin) = &origin {
            terminal::log(&origin.said(args, &plan));
        }
        if let Some(file) = &init {
            let allowed = plan.init.weights.as_ref().is_some_and(|weights| weights.transductive);
            unseen(("init", &file.name), file.card.origin.as_ref(), allowed, &plan, &folds)?;
        }
        if let Some(file) = &labels {
            let allowed = plan.labels.as_ref().is_some_and(|labels| labels.transductive);
            unseen(("labels", &file.name), file.origin.as_ref(), allowed, &plan, &folds)?;
        }
        if !plan.method.pretrains() && args.quantizer.is_some() {
            terminal::log(&format!(
                "note: method {} makes no labels; --quantizer is not used",
                plan.method
            ));
        }
        Ok(Self {
            folds,
            task,
            has_control: control.is_some(),
            further: ablation.into_iter().chain(control).collect(),
            names: Vec::new(),
            order: Order::ByPlan,
            budget: None,
            init: init.into_iter().collect(),
            labels: labels.into_iter().collect(),
            foreign,
            embeddings,
            lm,
            seeds: seeds(args.seed.unwrap_or(0), args.seeds)?,
            backend,
            dtype,
            reuse: Reuse::of(args),
            origin,
            args: args.clone(),
            plan,
        })
    }

    /// All plans to run, in order.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        std::iter::once(&self.plan).chain(&self.further)
    }

    /// Every run, in order: plan, seed, fold.
    pub fn runs(&self) -> Vec<(&Plan, u64, Option<u8>)> {
        let folds = |seed| self.folds.iter().map(move |&fold| (seed, fold));
        let samples = || self.seeds.iter().flat_map(|&seed| folds(seed));
        match self.order {
            Order::ByPlan => {
                let of_plan = |plan| samples().map(move |(seed, fold)| (plan, seed, fold));
                self.plans().flat_map(of_plan).collect()
            }
            Order::BySeed => {
                let of_sample = |(seed, fold)| self.plans().map(move |plan| (plan, seed, fold));
                samples().flat_map(of_sample).collect()
            }
        }
    }

    /// Where the random numbers of a run begin: as in the record that it repeats.
    pub fn root(&self, seed: u64, fold: Option<u8>) -> Root {
        let record = self.origin.as_ref().and_then(|origin| origin.record.as_deref());
        let repeated = record.map(Root::of_record);
        repeated
            .filter(|root| (root.seed, root.fold) == (seed, fold))
            .unwrap_or_else(|| Root::new(seed, fold))
    }

    /// Whether a record is of one of these runs, on whatever data.
    pub fn has(&self, record: &RunRecord) -> bool {
        let of_backend =
            (&*record.backend.name, &*record.backend.dtype) == (self.backend.name.as_str(), self.dtype.word());
        let of_seed = self.seeds.contains(&record.seed) && self.folds.contains(&record.fold);
        of_backend && of_seed && self.plans().any(|plan| plan.is_of(record))
    }

    /// The same on the variant of the data that was found.
    pub fn with_variant(mut self, variant: &str) -> Self {
        self.plan = self.plan.with_variant(variant);
        let further = self.further.into_iter();
        self.further = further.map(|plan| plan.with_variant(variant)).collect();
        self
    }

    /// Fails if the run repeats something on data of another variant, unless that is allowed.
    ///
    /// # Errors
    /// Both variants.
    pub fn require_variant(&self, found: &str) -> Result<()> {
        let origin = self.origin.as_ref().filter(|_| !self.args.allow_different_data);
        match origin.and_then(|origin| Some((origin, origin.written.variant()?))) {
            Some((origin, variant)) if variant != found => {
                let place = origin.written.place();
                let message = format!("the data is of variant `{found}`, but that of {place} is `{variant}`");
                let failure = Failure::new(Exit::Data, anyhow::anyhow!(message));
                Err(failure.with_hint("--data DIR with that variant, or --allow-different-data, for another plan"))
            }
            _ => Ok(()),
        }
    }

    /// What a task of inputs of one shape is asked for.
    pub fn open_request(&self) -> OpenRequest {
        OpenRequest {
            data: self.args.data.clone(),
            offline: self.args.offline,
            input: self.plan.fixed_input().clone(),
            subset: self.plan.data.subset,
            allow_different: self.args.allow_different_data,
            cache: PathBuf::from(FEATURES),
            threads: self.backend.threads.unwrap_or(0),
            limits: limits(),
        }
    }

    /// What a task of speech is asked for.
    pub fn speech_request(&self) -> SpeechRequest {
        SpeechRequest {
            data: self.args.data.clone(),
            input: self.plan.speech_input(),
            subset: self.plan.data.subset,
            cache: PathBuf::from(FEATURES),
            threads: self.backend.threads.unwrap_or(0),
            limits: Limits::default(),
        }
    }
}

/// Characters of the longest name of embeddings.
const LONGEST_NAME: usize = 64;

/// Refuses a name of embeddings that a row of a table could not have beside this program's own.
fn free_name(name: &str) -> Result<()> {
    let refused = |why: String| {
        let failure = Failure::wrong_use(format!("`--name {}`: {why}", name.escape_debug()));
        Err(failure.with_hint("--name with the encoder's name, such as dinov2-base"))
    };
    if name.trim() != name || name.is_empty() || name.chars().count() > LONGEST_NAME || name.contains(char::is_control)
    {
        return refused(format!(
            "a name has 1 to {LONGEST_NAME} characters and no space at its ends"
        ));
    }
    let own = Method::ALL.iter().map(|method| method.word());
    let own = own.filter(|own| {
        name.strip_prefix(own)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '-']))
    });
    match own.max_by_key(|own| own.len()) {
        Some(own) => refused(format!(
            "names that begin with `{own}` are of this program's own method"
        )),
        None => Ok(()),
    }
}

/// Refuses options that mean nothing for this kind of task.
fn only_for_its_kind(args: &RunArgs, task: &AnyTask) -> Result<()> {
    let speech = matches!(task, AnyTask::Speech(_));
    let unused = [
        ("--lm", !speech && args.lm.is_some()),
        ("--recipe", speech && args.recipe.is_some()),
        ("--ablation", speech && args.ablation),
        (
            "--init with an encoder file of this program",
            speech && args.init.as_deref().is_some_and(EncoderFile::has_card),
        ),
        (
            "--folds",
            speech && !matches!(args.folds.as_deref(), None | Some(FIRST_FOLD | "all")),
        ),
    ];
    let Some((option, _)) = unused.iter().find(|(_, unused)| *unused) else {
        return Ok(());
    };
    Err(Failure::wrong_use(if speech {
        format!("`{option}` means nothing for `{}`, a task of speech", task.name())
    } else {
        format!("`{option}` is for tasks of speech, which `{}` is not", task.name())
    }))
}

/// The test fold of a run that names none.
const FIRST_FOLD: &str = "1";
/// Bytes of a language model.
const LARGEST_LM: u64 = 16 << 30;

/// Reads an ARPA file, its words in the alphabet of transcripts.
fn language_model(path: &Path) -> Result<(Ngrams, LmRequest)> {
    let hint = "an n-gram model in ARPA form, as KenLM's lmplz or SRILM's ngram-count write it, of text in one case";
    let failure = |error: bridle_ctc::ArpaError| Failure::new(Exit::Data, error).with_hint(hint);
    let spell = |word: &str| normalise_text(word).unwrap_or_else(|_| word.to_owned());
    let model = Ngrams::read(path, spell).map_err(failure)?;
    // <s>, </s> and <unk> are no words
    let words = || model.words().filter(|word| !word.starts_with('<'));
    let known = words().filter(|word| normalise_text(word).is_ok()).count();
    let (all, shown) = (words().count(), path.display());
    let letters = "letters without accents and apostrophes, of which transcripts are";
    if known == 0 {
        let message = format!("none of the {all} words of {shown} are of {letters}");
        return Err(Failure::new(Exit::Data, anyhow::anyhow!(message)).with_hint(hint));
    }
    if 2 * known < all {
        terminal::log(&format!(
            "note: only {known} of the {all} words of {shown} are of {letters}"
        ));
    }
    let bytes = bridle_files::read(path, LARGEST_LM)
        .map_err(|error| Failure::fault(format!("cannot read `{}`", path.display()), error))?;
    let name = path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let sha256 = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok((model, LmRequest { name, sha256 }))
}

/// The limits that there always are, but no more memory for videos than a quarter of what could be
/// had. The ranks of a machine share both.
pub(crate) fn limits() -> Limits {
    let (_, here) = ranks::joined().local();
    limits_of(machine::available_memory_bytes(), here)
}

/// The limits of each of so many processes on a machine with so much memory to be had.
fn limits_of(available: Option<u64>, processes: usize) -> Limits {
    let limits = Limits::default();
    let quarter = available.map_or(limits.videos, |bytes| bytes / 4);
    Limits {
        videos: limits.videos.min(quarter) / processes as u64,
        ..limits
    }
}

/// The plan with each single change of the corrected recipe that it has a section for; then with
/// all of them.
fn ablation(task: &TaskFacts, wanted: &PlanRequest, plan: &Plan) -> Result<Vec<Plan>> {
    let changes: Vec<String> = corrected_changes(plan).collect();
    // of a single change, all together are that one
    let all = (changes.len() > 1).then_some(&changes[..]);
    let sets = changes.iter().map(std::slice::from_ref).chain(all);
    let with = |set: &[String]| {
        let mut wanted = wanted.clone();
        wanted.set.extend_from_slice(set);
        Plan::resolve_for(task, &wanted)
    };
    Ok(sets.map(with).collect::<std::result::Result<_, _>>()?)
}

/// Refuses weights that were trained on inputs of the samples they are to be tested on, and labels
/// that such an encoder made, unless the plan says so. `section` is that of the plan's value.
fn unseen(
    (section, name): (&str, &str),
    origin: Option<&file::Origin>,
    allowed: bool,
    plan: &Plan,
    folds: &[Option<u8>],
) -> Result<()> {
    let Some(origin) = origin.filter(|origin| origin.task == plan.task && !allowed) else {
        return Ok(());
    };
    if !origin.transductive && folds.iter().all(|fold| *fold == origin.fold) {
        return Ok(());
    }
    let message = format!("`{name}` was trained on inputs of the test samples of {}", plan.task);
    let hint = match (origin.transductive, origin.fold) {
        (false, Some(fold)) => {
            format!("--folds {fold}, which its training left out, or --set {section}.transductive=true")
        }
        _ => format!("--set {section}.transductive=true, and the record says so"),
    };
    Err(Failure::wrong_use(message).with_hint(hint))
}

impl From<EncoderFileError> for Failure {
    fn from(error: EncoderFileError) -> Self {
        let hint = match &error {
            EncoderFileError::Read { .. } => "the path of a file that `bridle-bench export` or `import` wrote",
            _ => "`bridle-bench export RECORD` writes such files, `import` makes them of foreign weights",
        };
        Self::new(Exit::Data, error).with_hint(hint)
    }
}

/// Reads `all` or `1,3` against the folds that the task has.
fn folds(text: &str, task: &TaskFacts) -> Result<Vec<Option<u8>>> {
    let Some(count) = task.folds else {
        return match text {
            "all" | "1" => Ok(vec![None]),
            _ => Err(Failure::wrong_use(format!(
                "task `{}` has no folds, so `--folds {text}` means nothing",
                task.name
            ))),
        };
    };
    if text == "all" {
        return Ok((1..=count).map(Some).collect());
    }
    let read = |word: &str| match word.trim().parse::<u8>() {
        Ok(fold) if (1..=count).contains(&fold) => Ok(fold),
        _ => {
            let hint = format!("--folds all, or numbers from 1 to {count} separated by commas");
            Err(Failure::wrong_use(format!("task `{}` has no fold `{word}`", task.name)).with_hint(hint))
        }
    };
    let mut folds = text.split(',').map(read).collect::<Result<Vec<u8>>>()?;
    folds.sort_unstable();
    folds.dedup();
    Ok(folds.into_iter().map(Some).collect())
}

/// The most seeds of a command. Nobody runs more, and all are listed before the first begins.
const MOST_SEEDS: u32 = 10_000;

fn seeds(first: u64, count: u32) -> Result<Vec<u64>> {
    if count > MOST_SEEDS {
        let failure = Failure::wrong_use(format!("{count} seeds are too many: at most {MOST_SEEDS} at a time"));
        return Err(failure.with_hint("fewer seeds, and further ones from another first seed"));
    }
    let last = first.checked_add(u64::from(count) - 1);
    let last =
        last.ok_or_else(|| Failure::wrong_use(format!("{count} seeds from {first} go beyond the largest seed")))?;
    Ok((first..=last).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test
    use super::*;
    use crate::cli::{Cli, Command};
    use crate::plan::Flat;
    use clap::Parser;

    fn request(line: &str) -> Result<RunRequest> {
        let words = ["bridle-bench", "run"].into_iter().chain(line.split_whitespace());
        match Cli::try_parse_from(words).unwrap().command {
            Command::Run(args) => RunRequest::new(&args.run),
            _ => unreachable!("the line says run"),
        }
    }

    #[test]
    fn ranks_of_a_machine_share_the_memory_for_videos() {
        let videos = |available, ranks| limits_of(available, ranks).videos;
        let most = Limits::default().videos;
        assert_eq!((videos(None, 1), videos(Some(u64::MAX), 4)), (most, most / 4));
        assert_eq!((videos(Some(8 << 20), 1), videos(Some(8 << 20), 2)), (2 << 20, 1 << 20));
    }

    #[test]
    fn folds_are_sorted_and_single() {
        let folds = |text: &str| request(&format!("--task esc50 --folds {text}")).map(|request| request.folds);
        assert_eq!(folds("3,1,3").unwrap(), [Some(1), Some(3)]);
        assert_eq!(folds("all").unwrap().len(), 5);
        assert_eq!(folds("6").unwrap_err().exit(), Exit::WrongUse);
        assert_eq!(request("--task synthetic").unwrap().folds, [None]);
        assert!(request("--task synthetic --folds 2").is_err());
    }

    #[test]
    fn seeds_count_upwards() {
        assert_eq!(request("--task esc50 --seed 5 --seeds 3").unwrap().seeds, [5, 6, 7]);
        assert!(request("--task esc50 --seed 18446744073709551615 --seeds 2").is_err());
        let told = request("--task esc50 --seeds 4000000000").unwrap_err();
        assert_eq!(told.exit(), Exit::WrongUse);
        assert!(
            told.to_string()
                .contains("4000000000 seeds are too many: at most 10000"),
            "{told}"
        );
    }

    #[test]
    fn earlier_work_is_reused_unless_told_otherwise() {
        let reuse = |text: &str| request(&format!("--task esc50 {text}")).unwrap().reuse;
        assert_eq!(reuse(""), Reuse::Pretraining);
        assert_eq!(reuse("--fresh"), Reuse::Nothing);
        assert_eq!(reuse("--resume"), Reuse::Resume);
        assert_eq!(reuse("--resume runs/a"), Reuse::ResumeIn("runs/a".into()));
    }

    #[test]
    fn an_ablation_runs_no_plan_twice() {
        for line in [
            "--task esc50",
            "--task esc50 --method random-init",
            "--task synthetic-image",
            "--task esc50 --quantizer vq",
        ] {
            let found = request(&format!("{line} --ablation")).unwrap();
            let plans = found.plans();
            let mut hashes: Vec<String> = plans.map(Plan::plan_hash).collect();
            let count = hashes.len();
            hashes.sort();
            hashes.dedup();
            assert_eq!(hashes.len(), count, "{line}");
        }
        assert_eq!(request("--task esc50").unwrap().further, []);
    }

    #[test]
    fn a_control_is_judged_as_its_run_is() {
        for set in [
            "probe.layer=2 probe.parts=none knn.parts=3 knn.rest=none",
            "probe.rates=[0.5] knn.neighbours=[3]",
            "",
        ] {
            let set: String = set.split_whitespace().map(|set| format!(" --set {set}")).collect();
            let line = format!("--task esc50 --recipe corrected --protocol linear-probe,knn --control{set}");
            let found = request(&line).unwrap();
            let plans: Vec<_> = found.plans().map(Plan::to_flat).collect();
            assert_eq!(plans.len(), 2, "{line}");
            let judging = |flat: &Flat| -> Flat {
                let of = |key: &str| ["probe.", "knn.", "data."].iter().any(|start| key.starts_with(start));
                flat.clone().into_iter().filter(|(key, _)| of(key)).collect()
            };
            assert_eq!(judging(&plans[0]), judging(&plans[1]), "{line}");
        }
    }

    #[test]
    fn unknown_backends_and_number_types_are_wrong_use() {
        let told = |text: &str| request(&format!("--task esc50 {text}")).unwrap_err().to_string();
        assert_eq!(
            told("--backend tsch"),
            "error: unknown backend `tsch`; did you mean `tch`? (known: flex, tch, cuda)"
        );
        assert_eq!(
            told("--dtype fp16"),
            "error: dtype `fp16` is known but not available in this version; available: fp32, bf16"
        );
    }
}

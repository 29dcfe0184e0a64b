//! The command line: types only. Names of tasks, presets and the like are plain words here. The
//! request checks them against their registries, so that an unknown word is answered with the known
//! ones.

use super::exit;
use super::terminal::Talk;
use bridle_baselines::import::Release;
use bridle_results::compare::Filter;
use bridle_results::reproduction::ROUNDING;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Where records lie unless `--out` or a path says otherwise.
pub const RECORDS: &str = "results/records";

/// Reproducibility and benchmark suite for BRIDLE (arXiv 2502.02118).
///
/// Pretrains an encoder by masked prediction of residual-quantized labels, evaluates it, and
/// records every value that was set and every number that was measured.
#[derive(Debug, Parser)]
#[command(name = "bridle-bench", version = crate::run::machine::VERSION, after_help = exit::TABLE, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// Say nothing but results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose", display_order = 1000)]
    pub quiet: bool,
    /// Say more: folders, checkpoints, and progress every few seconds also in logs
    #[arg(short, long, global = true, display_order = 1000)]
    pub verbose: bool,
}

impl Cli {
    /// What goes to stderr.
    pub fn talk(&self) -> Talk {
        match (self.quiet, self.verbose) {
            (true, _) => Talk::Errors,
            (_, true) => Talk::More,
            _ => Talk::Usual,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Pretrain, evaluate, write records, print the table
    #[command(after_help = RUN_EXAMPLES)]
    Run(StartArgs),
    /// List tasks, quantizers, methods, protocols, presets or backends
    #[command(after_help = LIST_EXAMPLES)]
    List(ListArgs),
    /// Dry run: report data, device, memory, disk, time and the plan; train nothing
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Download and verify a task's data set
    #[command(after_help = FETCH_EXAMPLES)]
    Fetch(FetchArgs),
    /// Run again what records are of, and compare: equal to the bit, within rounding, or different
    #[command(after_help = REPRODUCE_EXAMPLES)]
    Reproduce(ReproduceArgs),
    /// Explain values of the plan: meaning, source, range, defaults
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(ExplainArgs),
    /// Print comparison tables of records
    #[command(after_help = TABLE_EXAMPLES)]
    Table(TableArgs),
    /// CI gate: check records against a baseline file, or write one from them
    #[command(after_help = REGRESS_EXAMPLES)]
    Regress(RegressArgs),
    /// Compare two sets of records: paired differences with intervals and tests
    #[command(after_help = COMPARE_EXAMPLES)]
    Compare(CompareArgs),
    /// Make the runs of a study file that are missing, and compare its arms with the reference
    #[command(after_help = STUDY_EXAMPLES)]
    Study(StudyArgs),
    /// Score embeddings that any other program made, by the same protocols
    #[command(after_help = JUDGE_EXAMPLES)]
    Judge(JudgeArgs),
    /// Write what an encoder makes of one's own files: a vector for each
    #[command(after_help = FEATURES_EXAMPLES)]
    Features(FeaturesArgs),
    /// Write the encoder that a run pretrained to a safetensors file, or to a folder that others load
    #[command(after_help = EXPORT_EXAMPLES)]
    Export(ExportArgs),
    /// Convert the encoder of the authors' release to such a file
    #[command(after_help = IMPORT_EXAMPLES)]
    Import(ImportArgs),
    /// Measure the throughput of single steps, after checking each against its plain form
    #[command(after_help = BENCH_EXAMPLES)]
    Bench(BenchArgs),
    /// Print a shell's completion script
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArgs),
    /// Write the manual pages: one of the program, one of each command
    #[command(after_help = MAN_EXAMPLES)]
    Man(ManArgs),
}

/// Options of `run` and `check`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Data set to train and evaluate on: a name, as `list tasks` shows all; own data by its task
    /// file or its folder of class folders
    #[arg(long, value_name = "NAME", required_unless_present_any = ["from", "plan"])]
    pub task: Option<String>,
    /// Run again what this record is of: its plan, seed, fold, backend and number type; further
    /// options change it
    #[arg(long, value_name = "RECORD", conflicts_with_all = ["plan", "preset", "recipe"])]
    pub from: Option<PathBuf>,
    /// Take every value of the plan from a TOML file as `check --format toml` prints it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["preset", "recipe"])]
    pub plan: Option<PathBuf>,
    /// What makes the labels; `list quantizers` shows all [default: set by the method]
    #[arg(long, value_name = "NAME")]
    pub quantizer: Option<String>,
    /// What trains the encoder: `list methods` shows all; random-init and scratch pretrain nothing
    /// [default: bridle]
    #[arg(long, value_name = "NAME")]
    pub method: Option<String>,
    /// Values to start from: smoke (about a minute), mini (learns for real), paper, or a file of
    /// one's own (.toml) over one of them [default: mini]
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// How to evaluate the encoder, separated by commas [default: linear-probe; for speech
    /// finetune]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub protocol: Vec<String>,
    /// authors: the authors' code with its oddities; corrected: without them [default: authors]
    #[arg(long, value_name = "NAME")]
    pub recipe: Option<String>,
    /// Also run each change of the corrected recipe by itself, and all together: one ablation table
    #[arg(long, conflicts_with = "recipe")]
    pub ablation: bool,
    /// Judge the frozen random encoder too, and print first how the run differs from it; own data
    /// always has it
    #[arg(long)]
    pub control: bool,
    /// Start from these weights and skip pretraining: what `export` or `import` wrote, or the folder
    /// or file of an encoder of others, recognised by its contents; hub:ORG/NAME[/FILE][@REVISION]
    /// fetches it
    #[arg(long, value_name = "FILE|DIR|HUB")]
    pub init: Option<PathBuf>,
    /// Train the encoder on these labels in place of a tokenizer's: a safetensors or npz file of codes
    /// [tokens, levels] for each sample, or a record whose labels `export --labels` wrote
    #[arg(long, value_name = "FILE|RECORD", conflicts_with = "init")]
    pub labels: Option<PathBuf>,
    /// N-gram language model in ARPA format for the beam search (speech)
    #[arg(long, value_name = "FILE")]
    pub lm: Option<PathBuf>,
    /// Set a value of the plan, by its name as printed by `check`; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Use only the first N samples of each class (from the folds in turn), of each part (speech),
    /// or any N (generated data)
    #[arg(long, value_name = "N")]
    pub subset: Option<usize>,
    /// Test folds: `all`, or numbers separated by commas [default: 1]
    #[arg(long, value_name = "LIST")]
    pub folds: Option<String>,
    /// Root seed of all random numbers [default: 0]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Number of seeds to run, from --seed upwards
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub seeds: u32,
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// Folder or archive of the data set [default: $BRIDLE_DATA/<task>, else the hub's cache, else
    /// download]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Never use the network
    #[arg(long)]
    pub offline: bool,
    /// Fetch more than a gigabyte without asking
    #[arg(short, long)]
    pub yes: bool,
    /// Accept data that matches no known variant; the record says so
    #[arg(long)]
    pub allow_different_data: bool,
    /// Folder of the records
    #[arg(long, value_name = "DIR", default_value = RECORDS)]
    pub out: PathBuf,
    /// Resume from the newest checkpoint of this plan under ./runs, or of the run in DIR
    #[arg(long, value_name = "DIR", num_args = 0..=1, conflicts_with = "fresh")]
    pub resume: Option<Option<PathBuf>>,
    /// Maximum time between two checkpoints, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub checkpoint_every: u64,
    /// Do not reuse an earlier pretraining
    #[arg(long)]
    pub fresh: bool,
    /// Say where the training curves leave those of the plan's earlier runs, by a file that `regress
    /// --write-envelope` wrote
    #[arg(long, value_name = "FILE")]
    pub envelope: Option<PathBuf>,
    /// What goes to stdout: terminal or json; for check also toml, the plan alone
    #[arg(long, value_enum, default_value_t = RunFormat::Terminal, hide_possible_values = true)]
    pub format: RunFormat,
}

// Options of `run`. No doc comment: clap would take it for the command's.
#[derive(Clone, Debug, Args)]
pub struct StartArgs {
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub joining: JoiningArgs,
}

// How the processes of a launcher join. No doc comment: clap would take it for the command's.
#[derive(Clone, Debug, Default, Args)]
pub struct JoiningArgs {
    /// mpi: train together with the processes that mpirun or srun started, and fail where there is no
    /// such launcher; alone: each process is a run of its own [default: mpi under a launcher]
    #[arg(long, value_enum, value_name = "HOW", hide_possible_values = true)]
    pub ranks: Option<Joining>,
    /// Time after which a rank that does not answer is lost, in seconds [default: 600]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub rank_timeout: Option<u64>,
}

/// Whether the processes that a launcher started train together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Joining {
    /// Each is a run of its own.
    Alone,
    /// They do, joined by MPI.
    Mpi,
}

// Options of `check`. No doc comment: clap would take it for the command's.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// Say what each of N processes would need that train together under mpirun or srun
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub ranks: Option<u32>,
}

// Where and how to compute. No doc comment: clap would take it for the command's.
#[derive(Clone, Debug, Args)]
pub struct ComputeArgs {
    /// Where to compute: flex, tch or cuda; `list backends` shows which are ready [default: flex]
    #[arg(long, value_name = "NAME")]
    pub backend: Option<String>,
    /// Device number, where there are several
    #[arg(long, value_name = "N")]
    pub device: Option<usize>,
    /// Threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub threads: Option<u32>,
    /// Number type of the computation: fp32 or bf16 [default: fp32]
    #[arg(long, value_name = "NAME")]
    pub dtype: Option<String>,
}

#[derive(Debug, Args)]
pub struct ReproduceArgs {
    /// Records, or folders of them
    #[arg(value_name = "RECORD|DIR", required = true)]
    pub records: Vec<PathBuf>,
    /// Folder or archive of the data set, as for `run`
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Task file of records on own data
    #[arg(long, value_name = "FILE")]
    pub task: Option<PathBuf>,
    /// Never use the network
    #[arg(long)]
    pub offline: bool,
    /// Threads [default: as many as the record had]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub threads: Option<u32>,
    /// How far numbers may differ by rounding, over the larger of them and 1
    #[arg(long, value_name = "X", default_value_t = ROUNDING, value_parser = width)]
    pub rounding: f64,
    /// Folder to work in; nothing outside it is reused or changed
    #[arg(long, value_name = "DIR", default_value = "runs/reproduce")]
    pub work: PathBuf,
    /// Resume what an interrupted `reproduce` left in that folder
    #[arg(long)]
    pub resume: bool,
    /// What goes to stdout: terminal or json
    #[arg(long, value_enum, default_value_t = Format::Terminal, hide_possible_values = true)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Values by their dotted names, or sections; none lists all
    #[arg(value_name = "KEY")]
    pub keys: Vec<String>,
    /// What goes to stdout: terminal or json
    #[arg(long, value_enum, default_value_t = Format::Terminal, hide_possible_values = true)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// What to list
    #[arg(value_enum)]
    pub what: Listing,
    /// What goes to stdout: terminal or json
    #[arg(long, value_enum, default_value_t = Format::Terminal, hide_possible_values = true)]
    pub format: Format,
}

/// What `list` can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Listing {
    /// What to learn and judge on
    Tasks,
    /// What makes the labels
    Quantizers,
    /// What trains the encoder
    Methods,
    /// How an encoder is judged
    Protocols,
    /// Named sets of values
    Presets,
    /// Where to compute, and what is missing
    Backends,
}

#[derive(Debug, Args)]
pub struct FetchArgs {
    /// Task whose data set to download: esc50, audioset, audioset-20k or imagenet; or a model,
    /// hub:ORG/NAME[/FILE][@REVISION]
    #[arg(value_name = "TASK|HUB")]
    pub task: String,
    /// Print what would be downloaded: files, size, source and licence; change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Fetch more than a gigabyte without asking
    #[arg(short, long)]
    pub yes: bool,
    /// Never use the network: verify existing files
    #[arg(long)]
    pub offline: bool,
    /// Target folder [default: the hub's cache, $HF_HOME/hub]
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Commit to download instead of the newest; the lock file of the first download names its
    /// commit
    #[arg(long, value_name = "COMMIT")]
    pub revision: Option<String>,
    /// What goes to stdout: terminal or json
    #[arg(long, value_enum, default_value_t = Format::Terminal, hide_possible_values = true)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct TableArgs {
    /// Records, or folders of them [default: results/records]
    #[arg(value_name = "RECORD|DIR")]
    pub paths: Vec<PathBuf>,
    /// Tables to print, separated by commas: scores, codebooks, labels, ablation, backends, runs
    /// (every run's values) [default: scores; a page of html has all]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Only records with this task, method, quantizer, plan (start of its hash), backend, dtype,
    /// seed, fold, protocol or value of the plan; repeatable, the same key adds another accepted
    /// value
    #[arg(long = "where", value_name = "KEY=VALUE")]
    pub filters: Vec<Filter>,
    /// Rows of scores to show, in this order: words of each, separated by slashes, such as
    /// rq/tch,random-init [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub rows: Vec<String>,
    /// Columns of scores to show, in this order, such as knn/top1,linear-probe [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub columns: Vec<String>,
    /// Also print how the rows of scores differ from this one, with intervals over common runs and
    /// test samples
    #[arg(long, value_name = "ROW")]
    pub baseline: Option<String>,
    /// full: every cell with its interval and counts; paper: short cells for the column of a page
    /// [default: paper for latex and markdown, else full]
    #[arg(long, value_enum, hide_possible_values = true)]
    pub style: Option<TableStyle>,
    /// What goes to stdout: terminal, markdown, latex, csv, html (a page with plots) or json
    #[arg(long, value_enum, default_value_t = TableFormat::Terminal, hide_possible_values = true)]
    pub format: TableFormat,
    /// Published numbers to show: none, protocol (only for protocols and metrics that were
    /// measured) or all
    #[arg(long, value_enum, default_value_t = Published::Protocol, hide_possible_values = true)]
    pub published: Published,
    /// Fill the tables of a Markdown file between markers that hold their commands; repeatable
    #[arg(long, value_name = "FILE", conflicts_with_all =
        ["paths", "only", "filters", "rows", "columns", "baseline", "style", "format", "published"])]
    pub splice: Vec<PathBuf>,
    /// With --splice: write nothing, and exit with code 10 if a table is outdated
    #[arg(long, requires = "splice")]
    pub check: bool,
}

#[derive(Debug, Args)]
pub struct RegressArgs {
    /// Records, or folders of them [default: results/records]
    #[arg(value_name = "RECORD|DIR")]
    pub paths: Vec<PathBuf>,
    /// Baseline file: expected numbers, each with a tolerance band
    #[arg(long, value_name = "FILE")]
    pub baseline: PathBuf,
    /// Write the baseline file from these records, replacing its contents
    #[arg(long)]
    pub write: bool,
    /// Write the envelope of these records' training curves beside the baseline file, as
    /// NAME.envelope.json; of each plan with 3 runs or more
    #[arg(long, conflicts_with = "write")]
    pub write_envelope: bool,
    /// With --write: how far a score may drop [default: 0.05]
    #[arg(long, value_name = "X", requires = "write", value_parser = width)]
    pub absolute: Option<f64>,
    /// With --write: relative change allowed in a codebook's usage, perplexity or entropy [default:
    /// 0.25]
    #[arg(long, value_name = "R", requires = "write", value_parser = width)]
    pub relative: Option<f64>,
    /// With --write: bands of K standard deviations over the seeds of a plan (at least 3 seeds)
    #[arg(long, value_name = "K", requires = "write", value_parser = width)]
    pub from_spread: Option<f64>,
    /// What goes to stdout: terminal, markdown, json; github (annotations of regressions, nothing if
    /// there are none) or gitlab (the same as a code quality report)
    #[arg(long, value_enum, default_value_t = RegressFormat::Terminal, hide_possible_values = true)]
    pub format: RegressFormat,
    /// Append the verdict as Markdown to FILE, such as $GITHUB_STEP_SUMMARY
    #[arg(long, value_name = "FILE", conflicts_with = "write")]
    pub summary: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RegressFormat {
    /// For people
    Terminal,
    /// For pages
    Markdown,
    /// For machines
    Json,
    /// Annotations of GitHub Actions
    Github,
    /// A code quality report of GitLab
    Gitlab,
}

/// The width of a band: a number from 0 upwards.
fn width(text: &str) -> Result<f64, String> {
    let width = text
        .parse()
        .ok()
        .filter(|width: &f64| width.is_finite() && *width >= 0.0);
    width.ok_or_else(|| "not a number from 0 upwards".to_owned())
}

#[derive(Debug, Args)]
pub struct CompareArgs {
    /// A record, or a folder of records
    #[arg(value_name = "A")]
    pub a: PathBuf,
    /// What to compare it with: same task and protocol; seeds and folds that both ran are paired
    #[arg(value_name = "B")]
    pub b: PathBuf,
    /// Only records with this task, method, quantizer, plan (start of its hash), backend, dtype,
    /// seed, fold, protocol or value of the plan; repeatable, the same key adds another accepted
    /// value
    #[arg(long = "where", value_name = "KEY=VALUE")]
    pub both: Vec<Filter>,
    /// The same, only for A
    #[arg(long = "where-a", value_name = "KEY=VALUE")]
    pub only_a: Vec<Filter>,
    /// The same, only for B
    #[arg(long = "where-b", value_name = "KEY=VALUE")]
    pub only_b: Vec<Filter>,
    /// Permutations per test of two single runs
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub resamples: u32,
    /// Root seed of their random numbers
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// What goes to stdout: terminal, markdown or json
    #[arg(long, value_enum, default_value_t = TableFormat::Terminal, hide_possible_values = true)]
    pub format: TableFormat,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("written").required(true).multiple(true).args(["to", "card", "labels"]))]
pub struct ExportArgs {
    /// Record of the run, whose weights are under ./runs; or an encoder file
    #[arg(value_name = "RECORD|FILE")]
    pub record: PathBuf,
    /// Encoder file to write, for --init; or file of labels [default: where `run --labels RECORD` finds
    /// it, under ./runs]
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
    /// Folder to write for other programs and for a hub: weights by timm's names (videos: by those of
    /// transformers; speech: with a file of Python), settings, and a model card
    #[arg(long, value_name = "DIR")]
    pub card: Option<PathBuf>,
    /// Licence of the weights in the card, as the hub spells it, such as mit [default: unknown]
    #[arg(long, value_name = "NAME", requires = "card", value_parser = crate::card::licence)]
    pub licence: Option<String>,
    /// Records whose scores of these weights the card shows [default: results/records]
    #[arg(long, value_name = "RECORD|DIR", requires = "card")]
    pub records: Vec<PathBuf>,
    /// Folder or archive of the data set, as for `run`: for --labels, and for the card of an encoder of
    /// speech, which holds how inputs are standardised
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Write the codes of every sample's tokens in place of the encoder, for `run --labels`: tokenizer
    /// (those of the run's last one) or encoder (clusters of its tokens)
    #[arg(long, value_name = "BY", value_enum, hide_possible_values = true)]
    pub labels: Option<LabelsBy>,
    /// Task file of a record on own data, where the data is read
    #[arg(long, value_name = "FILE")]
    pub task: Option<String>,
    /// With --labels: never use the network
    #[arg(long, requires = "labels")]
    pub offline: bool,
    /// With --labels: where to compute, as for `run` [default: flex]
    #[arg(long, value_name = "NAME", requires = "labels")]
    pub backend: Option<String>,
    /// With --labels: threads [default: all cores]
    #[arg(long, value_name = "N", requires = "labels", value_parser = clap::value_parser!(u32).range(1..))]
    pub threads: Option<u32>,
}

/// What makes the labels that `export --labels` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LabelsBy {
    // the run's last one
    Tokenizer,
    // residual k-means of its tokens, with the plan's levels and codes
    Encoder,
}

#[derive(Debug, Args)]
pub struct JudgeArgs {
    /// Data set that the vectors are of; `list tasks` shows all
    #[arg(long, value_name = "NAME")]
    pub task: String,
    /// safetensors or npz file with one vector for each sample of the task, by its id or the name of
    /// its file
    #[arg(long, value_name = "FILE", visible_alias = "features")]
    pub embeddings: PathBuf,
    /// What tables call them
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// How to judge them, separated by commas: linear-probe, knn
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "linear-probe")]
    pub protocol: Vec<String>,
    /// Values of the protocols: smoke, mini or paper [default: mini]
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Set a value of the plan, such as probe.epochs; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Use only the first N samples of each class, as for `run`
    #[arg(long, value_name = "N")]
    pub subset: Option<usize>,
    /// Test folds: `all`, or numbers separated by commas
    #[arg(long, value_name = "LIST", default_value = "1")]
    pub folds: String,
    /// Root seed of all random numbers
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Number of seeds to run, from --seed upwards
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub seeds: u32,
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// Folder or archive of the data set, as for `run`
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Never use the network
    #[arg(long)]
    pub offline: bool,
    /// Accept data that matches no known variant; the record says so
    #[arg(long)]
    pub allow_different_data: bool,
    /// Folder of the records
    #[arg(long, value_name = "DIR", default_value = RECORDS)]
    pub out: PathBuf,
    /// What goes to stdout: terminal or json
    #[arg(long, value_enum, default_value_t = Format::Terminal, hide_possible_values = true)]
    pub format: Format,
}

impl JudgeArgs {
    /// What `run` would be given.
    pub fn run(&self) -> RunArgs {
        RunArgs {
            from: None,
            plan: None,
            task: Some(self.task.clone()),
            quantizer: None,
            method: None,
            preset: self.preset.clone(),
            protocol: self.protocol.clone(),
            recipe: None,
            ablation: false,
            control: false,
            init: None,
            labels: None,
            lm: None,
            set: self.set.clone(),
            subset: self.subset,
            folds: Some(self.folds.clone()),
            seed: Some(self.seed),
            seeds: self.seeds,
            compute: self.compute.clone(),
            data: self.data.clone(),
            offline: self.offline,
            yes: false,
            allow_different_data: self.allow_different_data,
            out: self.out.clone(),
            resume: None,
            checkpoint_every: 60,
            fresh: false,
            envelope: None,
            format: match self.format {
                Format::Terminal => RunFormat::Terminal,
                Format::Json => RunFormat::Json,
            },
        }
    }
}

#[derive(Debug, Args)]
pub struct FeaturesArgs {
    /// What `export` or `import` wrote, or an encoder of others, as for `run`
    #[arg(long, value_name = "FILE|DIR|HUB")]
    pub init: PathBuf,
    /// Folder of sounds, pictures or videos, whatever the encoder takes, at any depth; or a text file
    /// with a path a line, from its own folder
    #[arg(long, value_name = "DIR|LIST")]
    pub files: PathBuf,
    /// File to write: a safetensors file with a tensor of 32-bit floats for each file, by its path; if
    /// it ends in .npz, a matrix `embeddings` and a list `ids` for numpy
    #[arg(long, value_name = "FILE", default_value = "features.safetensors")]
    pub to: PathBuf,
    /// What is written of each file: mean (one vector, the features of the protocols) or tokens (a
    /// vector of each patch)
    #[arg(long, value_enum, default_value_t = Pool::Mean, hide_possible_values = true)]
    pub pool: Pool,
    /// Greatest length of sounds for an encoder of others that takes any: longer ones are cut, shorter
    /// ones heard as they are
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    pub seconds: f64,
    /// What the file of an encoder of others does not say: foreign.heads=12 and the like; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Never use the network
    #[arg(long)]
    pub offline: bool,
    /// Fetch more than a gigabyte without asking
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    pub compute: ComputeArgs,
}

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// State dictionary as a safetensors file of 32-bit floats
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The authors' code base that it comes from: audio-image or video
    #[arg(long, value_name = "NAME")]
    pub release: Release,
    /// Task that it was trained on: sets the input's shape
    #[arg(long, value_name = "NAME")]
    pub task: String,
    /// Preset with its sizes
    #[arg(long, value_name = "NAME", default_value = "paper")]
    pub preset: String,
    /// Set a value of the plan, such as model.dim
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// File to write
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
}

#[derive(Debug, Args)]
pub struct StudyArgs {
    /// Study file: a question, tasks, arms, seeds, and hours of computing
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Print the arms and the number of their runs; run nothing
    #[arg(long)]
    pub plan: bool,
    /// Print what the runs recorded in --out show so far, arm by arm; run nothing
    #[arg(long, conflicts_with = "plan")]
    pub report: bool,
    /// With --report: also draw the differences, as SVG
    #[arg(long, value_name = "FILE", requires = "report", conflicts_with = "plan")]
    pub figure: Option<PathBuf>,
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// Folder or archive of the data set, as for `run`
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Never use the network
    #[arg(long)]
    pub offline: bool,
    /// Folder of the records
    #[arg(long, value_name = "DIR", default_value = RECORDS)]
    pub out: PathBuf,
    /// Maximum time between two checkpoints, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub checkpoint_every: u64,
    /// What goes to stdout: terminal or markdown
    #[arg(long, value_enum, default_value_t = TableFormat::Terminal, hide_possible_values = true)]
    pub format: TableFormat,
}

/// Named like the options of the PyTorch peer.
#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    /// What to measure, separated by commas: encoder_step, tokenizer_step, tokenise, features,
    /// quantize [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub tasks: Vec<String>,
    /// Encoder, decoder and estimator: tiny, small or base
    #[arg(long, value_name = "NAME", default_value = "tiny")]
    pub size: String,
    /// Input: audio-512, audio-1024, image-224 or video-16x224
    #[arg(long, value_name = "NAME", default_value = "audio-512")]
    pub input: String,
    /// Samples per step
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: u32,
    /// The decoder's attention: global or swin
    #[arg(long, value_name = "NAME", default_value = "global")]
    pub decoder: String,
    /// The decoder's width [default: 128, 256 or 512, by size]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub decoder_dim: Option<u32>,
    /// The decoder's blocks [default: 4, 8 or 16, by size]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub decoder_depth: Option<u32>,
    /// The decoder's heads [default: 4, 8 or 16, by size]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub decoder_heads: Option<u32>,
    /// Share of tokens hidden from the encoder [default: 0.8; 0.9 for video]
    #[arg(long, value_name = "X")]
    pub mask_ratio: Option<f64>,
    /// What makes the labels: rq or vq
    #[arg(long, value_name = "NAME", default_value = "rq")]
    pub quantizer: String,
    /// Codes per codebook
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub codes: u32,
    /// Width of a code
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    pub code_dim: u32,
    /// Codebooks; vq has one
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    pub levels: u32,
    /// Vectors for `quantize`
    #[arg(long, value_name = "N", default_value_t = 8192, value_parser = clap::value_parser!(u32).range(1..))]
    pub vectors: u32,
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// Warm-up runs of each measurement
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub warmup: u32,
    /// Timed runs of each measurement
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeats: u32,
    /// Every backend on the processor, in fp32 and bf16, as Markdown rows for the table of processors
    /// in backends/PERFORMANCE.md
    #[arg(long, conflicts_with_all = ["backend", "device", "dtype"])]
    pub report: bool,
    /// Earlier JSON output, of this command or of the PyTorch peer, to compare with
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// What goes to stdout: terminal or json
    #[arg(long, value_enum, default_value_t = Format::Terminal, hide_possible_values = true)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub struct ManArgs {
    /// Folder of section 1, which is made if it is not there
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

/// What `features` writes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pool {
    /// The mean of its tokens
    Mean,
    /// All of them
    Tokens,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Terminal,
    /// For machines
    Json,
}

/// Output of `run` and `check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RunFormat {
    /// For people
    Terminal,
    /// For machines
    Json,
    /// The plan alone, for `--plan` (`check` only)
    Toml,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// For people
    Terminal,
    /// For pages
    Markdown,
    /// For papers
    Latex,
    /// For spreadsheets
    Csv,
    /// For browsers: one page with plots
    Html,
    /// For machines
    Json,
}

/// How much a table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TableStyle {
    /// Every cell with its interval and counts
    Full,
    /// Short cells for the column of a page
    Paper,
}

/// Which published numbers `table` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Published {
    /// None
    None,
    /// Those of the protocols and metrics that were measured
    Protocol,
    /// All of each task
    All,
}

const RUN_EXAMPLES: &str = "\
Examples:
  bridle-bench run --task synthetic --quantizer rq --preset smoke
      no data needed; about a minute
  bridle-bench run --task esc50 --quantizer rq --data ~/data/esc50
      train on four folds, test on fold 1
  bridle-bench run --task esc50 --method random-init --folds all --seeds 3
      the random control, on all folds with seeds 0, 1 and 2
  bridle-bench run --task esc50 --quantizer vq --set pretrain.rounds=1 --set probe.epochs=50
      other values than the preset's
  bridle-bench run --task esc50 --quantizer rq --resume
      resume after an interruption
  bridle-bench run --from results/records/esc50/bridle-rq/0123456789ab-tch-fp32-s0-f1.json --seed 1
      what a record is of, with another seed
  bridle-bench run --task esc50 --init encoder.safetensors --protocol linear-probe,knn,finetune
      evaluate an existing encoder
  bridle-bench run --task esc50 --init ~/models/wav2vec2-base --protocol linear-probe,knn
      evaluate an encoder of others: a folder of Hugging Face's form, or a checkpoint of PyTorch's
  bridle-bench run --task esc50 --init hub:facebook/wav2vec2-base --protocol linear-probe,knn
      the same from the hub, fetched once
  bridle-bench run --task esc50 --backend tch --ablation
      the authors' code, each correction by itself, and all together, in one table";

const CHECK_EXAMPLES: &str = "\
Examples:
  bridle-bench check --task esc50 --quantizer rq --data ~/data/esc50
      what `run` with the same options would do
  bridle-bench check --task synthetic --preset paper --format json
      the plan for a program to read
  bridle-bench check --task esc50 --format toml > plan.toml && bridle-bench run --plan plan.toml
      the plan as a file, to be edited and run
  bridle-bench check --task audioset --preset paper --ranks 8
      what each of 8 processes would need";

const LIST_EXAMPLES: &str = "\
Examples:
  bridle-bench list tasks
  bridle-bench list backends --format json";

const FETCH_EXAMPLES: &str = "\
Examples:
  bridle-bench fetch esc50 --dry-run
      files, size, source and licence
  bridle-bench fetch esc50 --to ~/data/esc50
      verifies every file; after an interruption the same command resumes
  HF_TOKEN=... bridle-bench fetch imagenet
      a gated data set, after accepting its terms
  bridle-bench fetch hub:facebook/dinov2-base
      a model for --init: its settings and weights, at the revision of the first fetch";

const REPRODUCE_EXAMPLES: &str = "\
Examples:
  bridle-bench reproduce results/records/synthetic/bridle-rq/0123456789ab-flex-fp32-s0.json
      the same plan, seed, fold, backend, number type and threads, in runs/reproduce
  bridle-bench reproduce results/records/esc50 --data ~/data/esc50 --rounding 1e-3
      all records of a folder; what has no data or no backend here is skipped, with the reason

Exit code 0 if all that ran are equal or within rounding, 10 if one is different. If none ran,
the code of the first reason: 3 without data, 4 without backend.";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  bridle-bench explain quantizer.restart
      what it means, where it comes from, its range and its default under each preset
  bridle-bench explain mask pretrain.encoder
      all values of two sections
  bridle-bench explain
      every value that plans have, in a line each";

const TABLE_EXAMPLES: &str = "\
Examples:
  bridle-bench table
      all records of results/records
  bridle-bench table results/records/esc50 --format latex > table.tex
      one task, for a paper
  bridle-bench table --where backend=tch --columns linear-probe,knn/top1 --baseline random-init
      some columns, and how far each row is from the random encoder
  bridle-bench table --only codebooks,labels
      how codes are used, and what they tell about the classes
  bridle-bench table --format html > report.html
      one page with plots, tables and the plan of each run
  bridle-bench table --published all --format csv > numbers.csv
      one number a line, with published numbers of every protocol
  bridle-bench table --splice results/README.md
      run the table, compare and list commands in the file's markers, and put their output
      between `<!-- bridle-bench table ARGUMENTS: begin -->` and `<!-- end -->`";

const REGRESS_EXAMPLES: &str = "\
Examples:
  bridle-bench regress --baseline baseline.toml --write
      record the current numbers of results/records as the baseline
  bridle-bench regress --baseline baseline.toml
      exit code 10 if a number left its band or is missing
  bridle-bench regress --baseline baseline.toml new-records --summary $GITHUB_STEP_SUMMARY
      the same in CI, with a summary on the run's page; examples/ci has whole workflows
  bridle-bench regress --baseline baseline.toml --write --from-spread 3
      bands of three standard deviations over seeds";

const COMPARE_EXAMPLES: &str = "\
Examples:
  bridle-bench compare results/records/esc50/bridle-rq results/records/esc50/bridle-vq
      two methods, for each protocol, over the seeds and folds that both ran
  bridle-bench compare results/records results/records --where protocol=knn \\
      --where-a quantizer=rq --where-b method=random-init --where backend=tch
      the same folder twice, filtered
  bridle-bench compare a.json b.json --format json --resamples 10000
      two records, for a program to read

A difference is shown where its 95 % interval leaves out 0 and p is at most 0.05.
With several runs a side, interval and p are over runs and test samples, clustered
by source recording where the data names one. One run a side tells two trained
models apart, not two methods: interval and test are then over test samples. Where
no difference is shown, the verdict says which one these runs could have shown.";

const STUDY_EXAMPLES: &str = "\
Examples:
  bridle-bench study studies/tokenizer-phase.toml --backend tch
      make the runs that are not recorded yet, all arms seed by seed; give it again to go on
  bridle-bench study studies/tokenizer-phase.toml --plan
      what it would run";

const EXPORT_EXAMPLES: &str = "\
Examples:
  bridle-bench export results/records/esc50/bridle-rq/0123456789ab-tch-fp32-s0-f1.json --to encoder.safetensors
      parameters by name; sizes, input and origin in the file's header
  bridle-bench run --task esc50 --init encoder.safetensors --protocol finetune
      how to use the file
  bridle-bench export encoder.safetensors --card my-encoder --licence cc-by-nc-4.0
      a folder for timm or transformers, with a model card of the scores in results/records
  bridle-bench export RECORD --labels encoder --to labels.safetensors
      what this encoder tells apart: codes of every sample's tokens
  bridle-bench run --task esc50 --labels labels.safetensors --set pretrain.rounds=1
      an encoder that learns them";

const JUDGE_EXAMPLES: &str = "\
Examples:
  bridle-bench judge --task esc50 --embeddings wav2vec2.npz --name wav2vec2-base --protocol linear-probe,knn
      vectors by clip, from numpy.savez(FILE, ids=ids, embeddings=matrix)
  bridle-bench features --init encoder.safetensors --files ~/data/esc50/audio
  bridle-bench judge --task esc50 --embeddings features.safetensors --name mine --folds all
      vectors that this program made, on every fold
  bridle-bench check --task esc50 --format json
      the ids of the task's samples, under `ids`

A file holds a vector for each sample by its name, or a matrix `embeddings` and a list `ids`: in npz an
array of text, in safetensors a list in JSON in the header. Numbers are floats of 16, 32 or 64 bits. A
name is the sample's id, or the name of its file, with or without folder and ending.";

const FEATURES_EXAMPLES: &str = "\
Examples:
  bridle-bench features --init encoder.safetensors --files recordings
      writes features.safetensors; safetensors.numpy.load_file reads it into a dict by path
  bridle-bench features --init encoder.safetensors --files clips --to clips.npz --backend tch
      for numpy, on LibTorch
  bridle-bench features --init encoder.safetensors --files list.txt --pool tokens
      of the files of a list, all tokens

A vector is the mean of the patch tokens after the final norm, the features of linear-probe and knn.
Inputs are as the encoder was trained on: of a longer sound its beginning, of a video one clip from
the middle, of a picture its centre. Files that cannot be read are named and left out, at most one or
1 %. Decoded inputs are kept in runs/features, which can be deleted at any time.";

const IMPORT_EXAMPLES: &str = "\
Examples:
  bridle-bench import state.safetensors --release audio-image --task audioset --to encoder.safetensors
      the authors' audio model, at the sizes of preset paper
  bridle-bench import state.safetensors --release video --task kinetics --set model.depth=4 --to encoder.safetensors
      another depth";

const BENCH_EXAMPLES: &str = "\
Examples:
  bridle-bench bench --backend tch --threads 2
      all measurements at the smallest size
  bridle-bench bench --size small --tasks encoder_step,features --format json > before.json
      two measurements, saved for later
  bridle-bench bench --size small --against before.json
      speed-up since then
  python bridle_torch.py --size small > torch.json && bridle-bench bench --size small --against torch.json
      the same steps in PyTorch";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  bridle-bench completions bash > ~/.local/share/bash-completion/completions/bridle-bench
  bridle-bench completions fish > ~/.config/fish/completions/bridle-bench.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  bridle-bench man ~/.local/share/man/man1
      then `man bridle-bench` and `man bridle-bench-run`; the wheel installs them by itself";

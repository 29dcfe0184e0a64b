//! The command line: types only. Names of tasks, presets and the like are words here, checked against their registries
//! when the request is made, so that an unknown one is answered with the right ones.

use super::exit;
use bridle_results::compare::Filter;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Where records lie unless `--out` or a path says otherwise.
pub const RECORDS: &str = "results/records";

/// Reproducibility and benchmark suite for BRIDLE (arXiv 2502.02118).
///
/// Pretrains an encoder by masked prediction of residual-quantized labels, judges it, and writes a record of every value
/// that went in and every number that came out.
#[derive(Debug, Parser)]
#[command(name = "bridle-bench", version = crate::machine::VERSION, after_help = exit::TABLE, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Pretrain, evaluate, write records, print the table
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Show what there is: tasks, quantizers, methods, protocols, presets, backends
    #[command(after_help = LIST_EXAMPLES)]
    List(ListArgs),
    /// Dry run: data, device, memory, disk, time and the plan; changes nothing
    #[command(after_help = CHECK_EXAMPLES)]
    Check(RunArgs),
    /// Get a task's data set from the hub, verified
    #[command(after_help = FETCH_EXAMPLES)]
    Fetch(FetchArgs),
    /// Comparison tables from records
    #[command(after_help = TABLE_EXAMPLES)]
    Table(TableArgs),
    /// CI gate: hold records to a baseline file, or write one from them
    #[command(after_help = REGRESS_EXAMPLES)]
    Regress(RegressArgs),
    /// Paired difference of two sets of records, with interval and test
    #[command(after_help = COMPARE_EXAMPLES)]
    Compare(CompareArgs),
    /// The encoder that a run pretrained, as one safetensors file
    #[command(after_help = EXPORT_EXAMPLES)]
    Export(ExportArgs),
    /// The encoder of the authors' release, made into such a file
    #[command(after_help = IMPORT_EXAMPLES)]
    Import(ImportArgs),
    /// Throughput of single steps, each first held to its plain form
    #[command(after_help = BENCH_EXAMPLES)]
    Bench(BenchArgs),
    /// Print a shell's completion script
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArgs),
}

/// Options of `run` and `check`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// What to learn and judge on; `list tasks` shows all
    #[arg(long, value_name = "NAME")]
    pub task: String,
    /// What makes the labels: rq, vq or random [default: by the method]
    #[arg(long, value_name = "NAME")]
    pub quantizer: Option<String>,
    /// What trains the encoder: `list methods` shows all; random-init and scratch pretrain nothing [default: bridle]
    #[arg(long, value_name = "NAME")]
    pub method: Option<String>,
    /// Values to start from: smoke (about a minute), mini (learns for real) or paper [default: mini]
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// How the encoder is judged, separated by commas [default: linear-probe; for speech finetune]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub protocol: Vec<String>,
    /// The authors' code with its oddities [default: authors]
    #[arg(long, value_name = "NAME")]
    pub recipe: Option<String>,
    /// Run each change of the corrected recipe alone too, and all together: one ablation table
    #[arg(long, conflicts_with = "recipe")]
    pub ablation: bool,
    /// Start from these weights, written by `export` or `import`, and skip pretraining
    #[arg(long, value_name = "FILE")]
    pub init: Option<PathBuf>,
    /// An n-gram model in ARPA form for the beam search (speech)
    #[arg(long, value_name = "FILE")]
    pub lm: Option<PathBuf>,
    /// Any value of the plan, by its name as printed by `check`; may be given again
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Only the first N samples of each class, taken from the folds in turn where there are folds; of speech, of each part; of
    /// generated data any N
    #[arg(long, value_name = "N")]
    pub subset: Option<usize>,
    /// Test folds: `all`, or numbers separated by commas
    #[arg(long, value_name = "LIST", default_value = "1")]
    pub folds: String,
    /// Root of all random numbers
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// How many seeds to run, from --seed upwards
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub seeds: u32,
    /// Where to compute: flex, tch or cuda; `list backends` shows which are ready
    #[arg(long, value_name = "NAME", default_value = "flex")]
    pub backend: String,
    /// Device number, where there are several
    #[arg(long, value_name = "N")]
    pub device: Option<usize>,
    /// Threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub threads: Option<u32>,
    /// Number type of the computation
    #[arg(long, value_name = "NAME", default_value = "fp32")]
    pub dtype: String,
    /// Folder or archive of the data set [default: $BRIDLE_DATA/<task>, else the hub's cache, else it is fetched]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Never use the network
    #[arg(long)]
    pub offline: bool,
    /// Accept data that is none of the known variants; the record says so
    #[arg(long)]
    pub allow_different_data: bool,
    /// Folder of the records
    #[arg(long, value_name = "DIR", default_value = RECORDS)]
    pub out: PathBuf,
    /// Go on from the newest checkpoint of this plan under ./runs, or from the run in DIR
    #[arg(long, value_name = "DIR", num_args = 0..=1, conflicts_with = "fresh")]
    pub resume: Option<Option<PathBuf>>,
    /// Longest time between two checkpoints, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub checkpoint_every: u64,
    /// Reuse no earlier pretraining
    #[arg(long)]
    pub fresh: bool,
    /// What goes to stdout: terminal or json
    #[arg(long, value_enum, default_value_t = Format::Terminal, hide_possible_values = true)]
    pub format: Format,
}

/// Arguments of `list`.
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

/// Arguments of `fetch`.
#[derive(Debug, Args)]
pub struct FetchArgs {
    /// Whose data set: esc50, audioset, audioset-20k or imagenet
    #[arg(value_name = "TASK")]
    pub task: String,
    /// Say what would be fetched, how big it is, from where and under which licence; change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Never use the network: verify what is there
    #[arg(long)]
    pub offline: bool,
    /// Folder for the files [default: the hub's cache, $HF_HOME/hub]
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// A commit in place of the newest; that of the first fetch is in its lock file
    #[arg(long, value_name = "COMMIT")]
    pub revision: Option<String>,
    /// What goes to stdout: terminal or json
    #[arg(long, value_enum, default_value_t = Format::Terminal, hide_possible_values = true)]
    pub format: Format,
}

/// Arguments of `table`.
#[derive(Debug, Args)]
pub struct TableArgs {
    /// Records, or folders of them [default: results/records]
    #[arg(value_name = "RECORD|DIR")]
    pub paths: Vec<PathBuf>,
    /// Which tables, separated by commas: scores, codebooks, labels, ablation, backends [default: all that the records make]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub only: Vec<String>,
    /// What goes to stdout: terminal, markdown, latex, csv, html (a page with plots) or json
    #[arg(long, value_enum, default_value_t = TableFormat::Terminal, hide_possible_values = true)]
    pub format: TableFormat,
    /// Published numbers beside the measured ones: none, protocol (of the protocols and metrics measured) or all
    #[arg(long, value_enum, default_value_t = Published::Protocol, hide_possible_values = true)]
    pub published: Published,
}

/// Arguments of `regress`.
#[derive(Debug, Args)]
pub struct RegressArgs {
    /// Records, or folders of them [default: results/records]
    #[arg(value_name = "RECORD|DIR")]
    pub paths: Vec<PathBuf>,
    /// The numbers that records should show, each with a band
    #[arg(long, value_name = "FILE")]
    pub baseline: PathBuf,
    /// Write the baseline file from these records, in place of what it holds
    #[arg(long)]
    pub write: bool,
    /// With --write: how far a score may fall [default: 0.05]
    #[arg(long, value_name = "X", requires = "write", value_parser = width)]
    pub absolute: Option<f64>,
    /// With --write: the share by which a codebook's usage, perplexity or entropy may change [default: 0.25]
    #[arg(long, value_name = "R", requires = "write", value_parser = width)]
    pub relative: Option<f64>,
    /// With --write: bands of K standard deviations over the seeds of a plan, of which there must be 3
    #[arg(long, value_name = "K", requires = "write", value_parser = width)]
    pub from_spread: Option<f64>,
    /// What goes to stdout: terminal, markdown or json
    #[arg(long, value_enum, default_value_t = RegressFormat::Terminal, hide_possible_values = true)]
    pub format: RegressFormat,
    /// Add the verdict as Markdown to the end of FILE, such as $GITHUB_STEP_SUMMARY
    #[arg(long, value_name = "FILE", conflicts_with = "write")]
    pub summary: Option<PathBuf>,
}

/// Form of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RegressFormat {
    /// For people
    Terminal,
    /// For pages
    Markdown,
    /// For machines
    Json,
}

/// The width of a band: a number from 0 upwards.
fn width(text: &str) -> Result<f64, String> {
    let width = text
        .parse()
        .ok()
        .filter(|width: &f64| width.is_finite() && *width >= 0.0);
    width.ok_or_else(|| "not a number from 0 upwards".to_owned())
}

/// Arguments of `compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// A record, or a folder of records
    #[arg(value_name = "A")]
    pub a: PathBuf,
    /// What to compare it with, by task and protocol; seeds and folds that both ran are paired
    #[arg(value_name = "B")]
    pub b: PathBuf,
    /// Only records with this task, method, quantizer, plan (the start of its hash), backend, dtype, seed, fold,
    /// protocol or value of the plan; may be given again, the same key for another value of it
    #[arg(long = "where", value_name = "KEY=VALUE")]
    pub both: Vec<Filter>,
    /// The same for A alone
    #[arg(long = "where-a", value_name = "KEY=VALUE")]
    pub only_a: Vec<Filter>,
    /// The same for B alone
    #[arg(long = "where-b", value_name = "KEY=VALUE")]
    pub only_b: Vec<Filter>,
    /// Resamples for each interval, and permutations for each test that needs them
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub resamples: u32,
    /// Root of their random numbers
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// What goes to stdout: terminal, markdown or json
    #[arg(long, value_enum, default_value_t = TableFormat::Terminal, hide_possible_values = true)]
    pub format: TableFormat,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The record of the run; its weights lie below ./runs
    #[arg(value_name = "RECORD")]
    pub record: PathBuf,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
}

/// Arguments of `import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// A state dictionary as a safetensors file of 32-bit floats
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Which of the authors' two code bases it comes from: audio-image or video
    #[arg(long, value_enum, value_name = "NAME", hide_possible_values = true)]
    pub release: Release,
    /// The task that it was trained on, for the input's form
    #[arg(long, value_name = "NAME")]
    pub task: String,
    /// Values with its sizes
    #[arg(long, value_name = "NAME", default_value = "paper")]
    pub preset: String,
    /// Any value of the plan, such as model.dim
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
}

/// The authors' code bases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Release {
    /// Audio and image models
    AudioImage,
    /// Video models
    Video,
}

/// Arguments of `bench`, by the names of the PyTorch peer.
#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    /// What to time, separated by commas: encoder_step, tokenizer_step, tokenise, features, quantize [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub tasks: Vec<String>,
    /// Encoder, decoder and estimator: tiny, small or base
    #[arg(long, value_name = "NAME", default_value = "tiny")]
    pub size: String,
    /// Input: audio-512, audio-1024, image-224 or video-16x224
    #[arg(long, value_name = "NAME", default_value = "audio-512")]
    pub input: String,
    /// Samples of a step
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
    /// Share of the tokens that the encoder does not see [default: 0.8; 0.9 for video]
    #[arg(long, value_name = "X")]
    pub mask_ratio: Option<f64>,
    /// What makes the labels: rq or vq
    #[arg(long, value_name = "NAME", default_value = "rq")]
    pub quantizer: String,
    /// Codes of a codebook
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub codes: u32,
    /// Width of a code
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    pub code_dim: u32,
    /// Codebooks; vq has one
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    pub levels: u32,
    /// Vectors of the task quantize
    #[arg(long, value_name = "N", default_value_t = 8192, value_parser = clap::value_parser!(u32).range(1..))]
    pub vectors: u32,
    /// Where to compute: flex, tch or cuda; `list backends` shows which are ready
    #[arg(long, value_name = "NAME", default_value = "flex")]
    pub backend: String,
    /// Device number, where there are several
    #[arg(long, value_name = "N")]
    pub device: Option<usize>,
    /// Threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub threads: Option<u32>,
    /// Number type of the computation
    #[arg(long, value_name = "NAME", default_value = "fp32")]
    pub dtype: String,
    /// Runs of a task before the timed ones
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub warmup: u32,
    /// Timed runs of a task
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeats: u32,
    /// An earlier JSON, of this command or of the peer, to be compared with
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// What goes to stdout: terminal or json
    #[arg(long, value_enum, default_value_t = Format::Terminal, hide_possible_values = true)]
    pub format: Format,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Form of a command's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Terminal,
    /// For machines
    Json,
}

/// Form of a table.
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
      the control, on all folds with seeds 0, 1 and 2
  bridle-bench run --task esc50 --quantizer vq --set pretrain.rounds=1 --set probe.epochs=50
      other values than the preset's
  bridle-bench run --task esc50 --quantizer rq --resume
      go on after an interruption
  bridle-bench run --task esc50 --init encoder.safetensors --protocol linear-probe,knn,finetune
      judge an existing encoder
  bridle-bench run --task esc50 --backend tch --ablation
      the authors' code, each correction of it alone, and all together, in one table";

const CHECK_EXAMPLES: &str = "\
Examples:
  bridle-bench check --task esc50 --quantizer rq --data ~/data/esc50
      what `run` with the same options would do
  bridle-bench check --task synthetic --preset paper --format json
      the plan for a program to read";

const LIST_EXAMPLES: &str = "\
Examples:
  bridle-bench list tasks
  bridle-bench list backends --format json";

const FETCH_EXAMPLES: &str = "\
Examples:
  bridle-bench fetch esc50 --dry-run
      what, how big, from where, under which licence
  bridle-bench fetch esc50 --to ~/data/esc50
      every file verified; interrupted, the same command goes on
  HF_TOKEN=... bridle-bench fetch imagenet
      a gated set, after its terms were accepted";

const TABLE_EXAMPLES: &str = "\
Examples:
  bridle-bench table
      all records of results/records
  bridle-bench table results/records/esc50 --format markdown
      one task, for a page
  bridle-bench table --only codebooks,labels
      how codes are used, and what they say
  bridle-bench table --format html > report.html
      one page with plots, tables and the plan of each run
  bridle-bench table --published all --format csv > numbers.csv
      with other methods' numbers of every protocol";

const REGRESS_EXAMPLES: &str = "\
Examples:
  bridle-bench regress --baseline results/baseline.toml --write
      hold from now on what the records of results/records show
  bridle-bench regress --baseline results/baseline.toml
      exit code 10 if a number left its band or is gone
  bridle-bench regress --baseline baseline.toml new-records --summary $GITHUB_STEP_SUMMARY
      the same in CI, with a summary on the page of the run
  bridle-bench regress --baseline baseline.toml --write --from-spread 3
      bands of three standard deviations over seeds";

const COMPARE_EXAMPLES: &str = "\
Examples:
  bridle-bench compare results/records/esc50/bridle-rq results/records/esc50/bridle-vq
      two methods, by each protocol that both have, over the seeds and folds that both ran
  bridle-bench compare results/records results/records --where protocol=knn \\
      --where-a quantizer=rq --where-b method=random-init --where backend=tch
      the same folder twice, narrowed to what is meant
  bridle-bench compare a.json b.json --format json --resamples 10000
      two records, for a program to read

A difference is shown where its 95 % interval leaves out 0 and p is at most 0.05.
Intervals and tests are over test samples: of one seed, they tell two trained
models apart, not two methods. Where several seeds ran, the verdict also says
whether the interval over seeds leaves out 0.";

const EXPORT_EXAMPLES: &str = "\
Examples:
  bridle-bench export results/records/esc50/bridle-rq/0123456789ab-tch-fp32-s0-f1.json --to encoder.safetensors
      parameters by name, with a card of sizes, input and origin in the file's header
  bridle-bench run --task esc50 --init encoder.safetensors --protocol finetune
      what such a file is for";

const IMPORT_EXAMPLES: &str = "\
Examples:
  bridle-bench import state.safetensors --release audio-image --task audioset --to encoder.safetensors
      the authors' audio model, at the sizes of preset paper
  bridle-bench import state.safetensors --release video --task kinetics --set model.depth=4 --to encoder.safetensors
      another depth";

const BENCH_EXAMPLES: &str = "\
Examples:
  bridle-bench bench --backend tch --threads 2
      all tasks at the smallest size
  bridle-bench bench --size small --tasks encoder_step,features --format json > before.json
      two tasks, for later
  bridle-bench bench --size small --against before.json
      how many times faster it has become
  python bridle_torch.py --size small > torch.json && bridle-bench bench --size small --against torch.json
      the same steps in PyTorch";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  bridle-bench completions bash > ~/.local/share/bash-completion/completions/bridle-bench
  bridle-bench completions fish > ~/.config/fish/completions/bridle-bench.fish";

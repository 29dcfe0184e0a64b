//! `export --labels`: the codes of every sample of a task, as the tokenizer of a run makes them, or
//! as clusters of its encoder's tokens.

use super::{HINT, encoder, fitting, origin};
use crate::cli::error::{Failure, Result};
use crate::cli::exit::Exit;
use crate::cli::interrupt::Interrupt;
use crate::cli::progress::TerminalProgress;
use crate::cli::{ComputeArgs, ExportArgs, LabelsBy, terminal};
use crate::compute;
use crate::data::{Fixed, TrainingData as _, fixed};
use crate::embeddings::{labels_laid_out, labels_place};
use crate::plan::{AnyTask, PhaseKind, Plan};
use crate::quantizers::{AnyQuantizer, QuantizerConfig, Teacher};
use crate::run::request::{FEATURES, RUNS, limits};
use crate::run::root::Root;
use crate::run::{checkpoint, data_of};
use crate::sizes;
use crate::train::PretrainState;
use bridle::codebook::SeededPicks;
use bridle::init::Init;
use bridle::quantizer::{Quantizer as _, QuantizerValues as _};
use bridle::tokenizer::Source;
use bridle::weights::{self, Weights, strip_prefix};
use bridle_backends::{Facts, Job, TrainBackend};
use bridle_results::record::{DIFFERENT, RunRecord};
use bridle_results::store::RunName;
use bridle_tasks::{Dataset, OpenRequest, Progress as _};
use burn::module::AutodiffModule;
use burn::tensor::{Int, Tensor};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Samples at a time.
const BATCH: usize = 16;
/// Training samples whose tokens are clustered, spread over all.
const CLUSTERED: usize = 128;
/// Rounds of k-means.
const ITERATIONS: usize = 50;

/// Writes the codes of every sample of the record's task, those of test samples too.
///
/// # Errors
/// If the run has no tokenizer or its weights are gone, if the data is not what it was, or if the file
/// cannot be written.
pub fn perform(args: &ExportArgs, by: LabelsBy, record: &RunRecord, plan: &Plan) -> Result<()> {
    let compute = ComputeArgs {
        backend: args.backend.clone(),
        device: None,
        threads: args.threads,
        dtype: None,
    };
    let (backend, _) = compute::choose(&compute)?;
    Interrupt::listen("the same command again").map_err(|error| Failure::fault("cannot listen for signals", error))?;
    let source = Maker::read(args, by, record, plan)?;
    let task = args.task.clone().unwrap_or_else(|| plan.task.clone());
    let AnyTask::Fixed(task) = AnyTask::find(&task)? else {
        let message = format!(
            "`{}` is a task of speech, whose labels stay within their run",
            plan.task
        );
        return Err(Failure::wrong_use(message).with_hint("the record of a task of sounds, images or videos"));
    };
    let progress = TerminalProgress::default();
    let request = OpenRequest {
        data: args.data.clone(),
        offline: args.offline,
        input: plan.fixed_input().clone(),
        subset: plan.data.subset,
        allow_different: record.data.variant == DIFFERENT,
        cache: PathBuf::from(FEATURES),
        threads: backend.threads.unwrap_or(0),
        limits: limits(),
    };
    let dataset = task.open(&request, &progress)?;
    if data_of(&dataset.facts, dataset.samples_sha256()).identity() != record.data.identity() {
        let message = format!("the data is not that of `{}`", args.record.display());
        return Err(Failure::new(Exit::Data, anyhow::anyhow!(message)).with_hint("--data DIR with the same data"));
    }
    let job = Labels {
        source: &source,
        record,
        plan,
        dataset: &dataset,
        progress: &progress,
    };
    let (codes, shape) = bridle_backends::run(&backend, job)??;
    let ids: Vec<&str> = dataset.samples.iter().map(|sample| &*sample.id).collect();
    let about = source.about();
    let bytes = labels_laid_out(&ids, &codes, shape, about, origin(record, plan))
        .map_err(|error| Failure::fault("cannot lay out the labels", std::io::Error::other(error)))?;
    let to = args.to.clone().unwrap_or_else(|| labels_place(record));
    write(&to, &bytes)?;
    let (samples, [tokens, levels], to) = (ids.len(), shape, to.display());
    terminal::log(&format!(
        "{to}: {samples} samples of {tokens} tokens, {levels} codes each: {about}"
    ));
    Ok(())
}

fn write(to: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = to.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let failed = |error| Failure::fault(format!("cannot create `{}`", folder.display()), error);
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    checkpoint::write_bytes(to, bytes).map_err(|error| Failure::new(Exit::Fault, error))
}

/// What makes the labels.
enum Maker {
    /// Weights of tokenizer and estimator, and whether its codebooks have started.
    Tokenizer(Weights, bool),
    /// Weights of the encoder.
    Encoder(Weights),
}

impl Maker {
    fn read(args: &ExportArgs, by: LabelsBy, record: &RunRecord, plan: &Plan) -> Result<Self> {
        let weights = encoder(record, &args.record)?;
        if by == LabelsBy::Encoder {
            return Ok(Self::Encoder(weights));
        }
        let taught = |kind| matches!(kind, PhaseKind::Tokenizer | PhaseKind::Joint);
        if !plan.phases().iter().any(|phase| taught(phase.kind)) {
            let message = format!("the run of `{}` trained no tokenizer", args.record.display());
            return Err(Failure::wrong_use(message).with_hint("--labels encoder, for clusters of its encoder's tokens"));
        }
        let folder = Path::new(RUNS).join(RunName::of(record).path()).with_extension("");
        let found = checkpoint::newest::<PretrainState>(&folder, &|note| terminal::log(note))?;
        let found = found.filter(|(_, state)| state.phase == plan.phases().len());
        let Some((weights, state)) = found else {
            let message = format!(
                "the tokenizer of `{}` is gone: no checkpoint of the whole pretraining is in `{}`",
                args.record.display(),
                folder.display()
            );
            let hint = format!("{HINT} and --fresh; --labels encoder needs no checkpoint");
            return Err(Failure::new(Exit::Data, anyhow::anyhow!(message)).with_hint(hint));
        };
        fitting(&state, record, &folder)?;
        Ok(Self::Tokenizer(strip_prefix(&weights, "teacher."), state.started))
    }

    const fn about(&self) -> &'static str {
        match self {
            Self::Tokenizer(..) => "codes of the run's last tokenizer",
            Self::Encoder(_) => "residual k-means of the encoder's patch tokens after the final norm",
        }
    }
}

struct Labels<'a> {
    source: &'a Maker,
    record: &'a RunRecord,
    plan: &'a Plan,
    dataset: &'a Dataset,
    progress: &'a TerminalProgress,
}

/// Codes of all samples, one after the other, and the shape [T, L] of a sample's.
type Codes = (Vec<u16>, [usize; 2]);

impl Job for Labels<'_> {
    type Output = Result<Codes>;

    fn run<B: TrainBackend>(self, device: B::Device, _facts: Facts) -> Self::Output {
        let seed = Root::of_record(self.record).tree().child("exported labels");
        let (init, mut picks) = (
            Init::<B>::new(seed.child("weights"), &device),
            SeededPicks(seed.child("picks")),
        );
        let data = Fixed::new(self.dataset, self.plan);
        let damaged = |error| Failure::fault("the weights do not fit the plan", error);
        match self.source {
            Maker::Tokenizer(weights, started) => {
                let config = sizes::config(self.plan).expect("a plan of BRIDLE has all sizes");
                let quantizer = self.plan.phases().pop().and_then(|phase| phase.quantizer);
                let quantizer = quantizer.expect("a phase of BRIDLE has a quantizer");
                let teacher = Teacher::<B>::new(&crate::quantizers::ModelConfig { quantizer, ..config }, &init);
                let mut tokenizer = weights::load(teacher, weights).map_err(damaged)?.tokenizer.valid();
                tokenizer.quantizer.set_started(*started);
                self.codes::<B>(&data, &device, |x| tokenizer.codes(x, Source::Network, &mut picks))
            }
            Maker::Encoder(weights) => {
                let encoder = weights::load(data.encoder(&init), weights).map_err(damaged)?.valid();
                let mut quantizer = AnyQuantizer::<B::InnerBackend>::new(
                    &clusters(self.plan, encoder.dim())?,
                    &Init::new(seed.child("clusters"), &device),
                );
                let (train, _) = self.dataset.split(self.record.fold);
                let step = train.len().div_ceil(CLUSTERED).max(1);
                let some: Vec<usize> = train.into_iter().step_by(step).collect();
                let mut tokens = Vec::new();
                for batch in some.chunks(BATCH) {
                    tokens.push(encoder.embed_patches(fixed::batch(self.dataset, batch, data.geometry(), &device)?));
                }
                let tokens = Tensor::cat(tokens, 0);
                let [samples, count, dim] = tokens.dims();
                quantizer.codes(tokens.reshape([1, samples * count, dim]), &mut picks);
                self.codes::<B>(&data, &device, |x| {
                    quantizer.codes(encoder.embed_patches(x), &mut picks)
                })
            }
        }
    }
}

/// A quantizer with the sizes of the plan's, whose codebooks are clusters of vectors of this width.
fn clusters(plan: &Plan, dim: usize) -> Result<QuantizerConfig> {
    let own = plan.quantizer.as_ref().expect("a plan that pretrains has labels");
    let kind = "rq".parse().expect("the usual quantizer");
    let sized = QuantizerConfig::sized(kind, own.codebooks(), own.codebook_size(), dim);
    let values = [
        ("space", json!("raw")),
        ("start", json!("kmeans")),
        ("kmeans_iterations", json!(ITERATIONS)),
    ];
    Ok(sized.map_err(Failure::wrong_use)?.with(values))
}

impl Labels<'_> {
    fn codes<B: TrainBackend>(
        &self,
        data: &Fixed<'_>,
        device: &B::Device,
        mut label: impl FnMut(Tensor<B::InnerBackend, 5>) -> Tensor<B::InnerBackend, 3, Int>,
    ) -> Result<Codes> {
        let samples: Vec<usize> = (0..self.dataset.samples.len()).collect();
        let (mut codes, mut shape) = (Vec::new(), [0, 0]);
        self.progress.start("labels", samples.len() as u64);
        for batch in samples.chunks(BATCH) {
            let found = label(fixed::batch(self.dataset, batch, data.geometry(), device)?);
            let [_, tokens, levels] = found.dims();
            shape = [tokens, levels];
            codes.extend(found.into_data().iter::<i64>().map(|code| code as u16));
            self.progress.advance(batch.len() as u64);
        }
        self.progress.finish();
        Ok((codes, shape))
    }
}

//! Encoders of other people's making: a folder or file that was given with `--init`, recognised by its
//! contents, and judged as it is or trained on.

mod encoder;
mod form;
mod options;

pub use encoder::{ForeignEncoder, Tokens};
pub use form::{Form, padded};
pub use options::options;

use crate::cli::error::Failure;
use crate::cli::exit::Exit;
use crate::plan::{ForeignRequest, Input, TaskFacts};
use crate::run::locate::Located;
use crate::run::machine::keep_freed_memory;
use bridle_backends::{Choice, Facts, Job, Name, Ops, TrainBackend};
use bridle_containers::{Checkpoint, ContainerError};
use bridle_encoders::{Encoder, EncoderError, Options, Recognised, Report};
use bridle_tasks::pipeline::FixedPipeline;
use bridle_tasks::{Dataset, InputSpec};
use serde_json::json;

/// Tensors that are named in a line.
const SHOWN: usize = 6;

/// A checkpoint that somebody else's program wrote, and what it is.
#[derive(Debug)]
pub struct Foreign {
    checkpoint: Checkpoint,
    recognised: Recognised,
    /// Where on the hub it is from, at which commit.
    source: Option<String>,
}

/// Why an encoder of others cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`{name}` cannot be used as an encoder")]
pub struct ForeignError {
    /// The file or folder, without those above it.
    name: String,
    source: EncoderError,
}

impl Foreign {
    /// Reads names, shapes and settings, and says what they are.
    ///
    /// # Errors
    /// If the path cannot be read, or holds no encoder of a known family.
    fn open(given: &Located, options: &Options) -> Result<Self, ForeignError> {
        let name = given.name.clone();
        let wrong = |source: EncoderError| ForeignError { name, source };
        let opened = Checkpoint::open(&given.path)
            .map_err(EncoderError::from)
            .and_then(|mut checkpoint| {
                checkpoint.name.clone_from(&given.name);
                let recognised = bridle_encoders::recognise(&checkpoint, options)?;
                let source = given.source.clone();
                Ok(Self {
                    checkpoint,
                    recognised,
                    source,
                })
            });
        opened.map_err(wrong)
    }

    /// Its inputs, of sounds that last so long at most.
    ///
    /// # Errors
    /// If they would have no shape.
    pub fn input(&self, seconds: f64) -> Result<FixedPipeline, Failure> {
        let fixed = FixedPipeline::lasting(self.recognised.pipeline.clone(), seconds);
        fixed.map_err(|error| {
            Failure::new(Exit::WrongUse, error).in_context(format!("the input of `{}`", self.checkpoint.name))
        })
    }

    /// Whether it takes the inputs that a pipeline makes.
    ///
    /// # Errors
    /// If it has no positions or biases for them.
    pub fn check_input(&self, input: &FixedPipeline) -> Result<(), Failure> {
        let found = self.recognised.body.check_input(&input.shape());
        found.map_err(|error| self.wrong(error))
    }

    /// Its name without the folders above it, its SHA-256 and its family.
    pub fn identity(&self) -> (&str, &str, &str) {
        (&self.checkpoint.name, &self.checkpoint.sha256, &self.recognised.family)
    }

    /// What a plan takes from it. All of its numbers are read once, so that what is wrong with them is known before
    /// anything is written.
    fn request<B: Ops>(&self, seconds: f64, device: &B::Device) -> Result<ForeignRequest, Failure> {
        let (encoder, _) = self.build::<B>(device)?;
        let known = &self.recognised;
        let mut request = ForeignRequest {
            name: self.checkpoint.name.clone(),
            input: self.input(seconds)?,
            body: known.body.clone(),
            dim: encoder.pooled_dim(known.pooling),
            values: json!({
                "name": self.checkpoint.name, "sha256": self.checkpoint.sha256, "family": known.family,
                "scheme": known.scheme, "prefix": known.prefix, "pooling": known.pooling, "body": known.body,
                "assumed": known.assumed, "licence": known.licence, "labels": known.labels, "test_inputs": "unknown",
            }),
        };
        if let Some(source) = &self.source {
            request.values["source"] = json!(source);
        }
        Ok(request)
    }

    /// What was recognised and assumed, a line each.
    pub fn lines(&self) -> Vec<String> {
        let Recognised {
            family,
            scheme,
            prefix,
            pooling,
            assumed,
            licence,
            labels,
            ..
        } = &self.recognised;
        let name = &self.checkpoint.name;
        let place = if prefix.is_empty() {
            String::new()
        } else {
            format!(" below `{prefix}`")
        };
        let entry = match &*self.checkpoint.entry {
            "" => String::new(),
            entry => format!(" in `{entry}`"),
        };
        let recognised =
            format!("{name}: recognised as {family}, by the names of {scheme}{place}{entry}; pooled by {pooling}");
        let licence = licence.as_deref().unwrap_or("unknown; see where it comes from");
        let known = format!("{name}: licence {licence}; labels that its training saw: {labels}");
        let assumed = assumed.iter().map(|what| format!("{name}: assumed: {what}"));
        [recognised].into_iter().chain(assumed).chain([known]).collect()
    }

    /// The encoder with its weights, and a line on every tensor's part.
    fn build<B: Ops>(&self, device: &B::Device) -> Result<(Encoder<B>, String), Failure> {
        let built = bridle_encoders::build::<B>(&self.recognised, &self.checkpoint, device);
        let (encoder, Report { used, passed_over }) = built.map_err(|error| self.wrong(error))?;
        let (count, name) = (passed_over.len(), &self.checkpoint.name);
        let named = passed_over[..count.min(SHOWN)].join(", ");
        let passed_over = match count {
            0 => "none passed over".to_owned(),
            1..=SHOWN => format!("passed over: {named}"),
            _ => format!("{count} passed over: {named}, ..."),
        };
        Ok((encoder, format!("{name}: {} tensors read, {passed_over}", used.len())))
    }

    /// The encoder on a device, for the samples of a data set if they have one shape; and a line on its
    /// tensors.
    ///
    /// # Errors
    /// If a tensor is missing, left over, or not what it should be.
    pub fn on<'a, B: Ops>(
        &'a self,
        dataset: Option<&'a Dataset>,
        device: &B::Device,
    ) -> Result<(ForeignEncoder<'a, B>, String), Failure> {
        keep_freed_memory();
        let (encoder, line) = self.build::<B>(device)?;
        Ok((ForeignEncoder::new(encoder, &self.recognised, dataset, device), line))
    }

    fn wrong(&self, source: EncoderError) -> Failure {
        let name = self.checkpoint.name.clone();
        ForeignError { name, source }.into()
    }
}

/// Reads an encoder of others, and what a plan takes from it, for sounds that last so long at most. `threads` are
/// those of the backend that is used later: the first to compute in a process decides.
///
/// # Errors
/// If the path cannot be read or holds no encoder of a known family, its sizes contradict each other, its numbers are
/// not those of such an encoder, or its inputs would have no shape.
pub fn read(
    given: &Located,
    options: &Options,
    seconds: f64,
    threads: Option<usize>,
) -> Result<(Foreign, ForeignRequest), Failure> {
    let foreign = Foreign::open(given, options)?;
    let sizes = Sizes {
        foreign: &foreign,
        seconds,
    };
    let flex = Choice {
        threads,
        ..Choice::of(Name::Flex)
    };
    let request = bridle_backends::run(&flex, sizes)??;
    Ok((foreign, request))
}

/// Makes a request where the encoder's sizes are looked at.
struct Sizes<'a> {
    foreign: &'a Foreign,
    seconds: f64,
}

impl Job for Sizes<'_> {
    type Output = Result<ForeignRequest, Failure>;

    fn run<B: TrainBackend>(self, device: B::Device, _facts: Facts) -> Self::Output {
        self.foreign.request::<B::InnerBackend>(self.seconds, &device)
    }
}

/// How long a task's sounds last: the whole seconds of its own inputs, since frames complete a clip to a
/// round number.
pub fn seconds(task: &TaskFacts) -> f64 {
    /// Frames of a second.
    const FRAMES: usize = 100;
    match &task.input {
        Input::Fixed(InputSpec::Audio { frames, .. }) if *frames >= FRAMES => (frames / FRAMES) as f64,
        Input::Fixed(InputSpec::Audio { frames, .. }) => *frames as f64 / FRAMES as f64,
        _ => 1.0,
    }
}

impl From<ForeignError> for Failure {
    fn from(error: ForeignError) -> Self {
        let (exit, hint) = match &error.source {
            EncoderError::Container(ContainerError::Read { .. }) => {
                (Exit::Data, "--init with a file or folder that can be read")
            }
            EncoderError::Container(_) => (
                Exit::Data,
                "--init with an encoder file of this program, or a checkpoint in PyTorch's, safetensors' or Hugging Face's form",
            ),
            EncoderError::Ask { .. } | EncoderError::Setting { .. } => (
                Exit::WrongUse,
                "--set foreign.KEY=VALUE with what the file does not say: family, heads, pooling, frames, mels, strides, size",
            ),
            _ => (Exit::WrongUse, "suite/JUDGE.md lists the families that are known"),
        };
        Self::new(exit, error).with_hint(hint)
    }
}

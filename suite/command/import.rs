//! `import`: the encoder of the authors' release, as an encoder file.

use crate::cli::ImportArgs;
use crate::cli::error::{Failure, Result};
use crate::cli::exit::Exit;
use crate::cli::terminal;
use crate::plan::{Method, Plan, PlanRequest};
use crate::run::encoder_file::{self, EncoderCard};
use crate::sizes;
use bridle::encoder::Vit;
use bridle::init::Init;
use bridle::weights::{self, Weights};
use bridle_backends::{Choice, Facts, Job, Name, TrainBackend};
use bridle_baselines::import;
use bridle_seed::Seed;

/// What a state dictionary's names may begin with: in a whole model, and in one trained on several
/// devices.
const PREFIXES: [&str; 4] = ["encoder_decoder.", "", "module.encoder_decoder.", "module."];

/// Reads a state dictionary by the authors' names and writes the encoder by ours.
///
/// # Errors
/// If the file is no safetensors file, lacks a parameter, or holds one of another shape; if the
/// file cannot be written.
pub fn perform(args: &ImportArgs) -> Result<()> {
    let plan = Plan::resolve(&PlanRequest {
        task: args.task.clone(),
        // an encoder and no more
        method: Some(Method::RandomInit.word().to_owned()),
        preset: Some(args.preset.clone()),
        set: args.set.clone(),
        ..PlanRequest::default()
    })?;
    if plan.is_speech() {
        let message = format!("`{}` is a task of speech; encoder files hold ViTs", plan.task);
        return Err(Failure::wrong_use(message).with_hint("a task of sounds, images or videos"));
    }
    let unreadable = |error: anyhow::Error| {
        let failure = Failure::new(
            Exit::Data,
            error.context(format!("cannot read `{}`", args.file.display())),
        );
        failure.with_hint(
            "a state dictionary saved as 32-bit floats: safetensors.torch.save_file({k: v.float() for k, v in state.items()}, FILE)",
        )
    };
    let bytes = bridle_files::read(&args.file, encoder_file::LARGEST).map_err(|error| unreadable(error.into()))?;
    let (theirs, _) = weights::from_safetensors(&bytes).map_err(|error| unreadable(error.into()))?;
    let template = bridle_backends::run(&Choice::of(Name::Flex), Template { plan: &plan })?;
    let find = |name: &str| {
        PREFIXES
            .iter()
            .find_map(|prefix| theirs.get(&format!("{prefix}{name}")))
    };
    let weights = import::import(&template, args.release, find).map_err(|error| {
        let failure = Failure::new(Exit::Data, error);
        failure.with_hint("--preset and --set model.dim=.. and the like with the sizes of these weights")
    })?;
    let weights = bridle::weights::strip_prefix(&weights, "encoder.");
    encoder_file::write(&args.to, &EncoderCard::of(&plan, None), &weights)
        .map_err(|error| Failure::new(Exit::Fault, error))?;
    terminal::log(&format!(
        "{}: {} tensors; `--init` takes it",
        args.to.display(),
        weights.len()
    ));
    Ok(())
}

/// Names and shapes of an encoder of this plan's sizes.
struct Template<'a> {
    plan: &'a Plan,
}

impl Job for Template<'_> {
    type Output = Weights;

    fn run<B: TrainBackend>(self, device: B::Device, _facts: Facts) -> Weights {
        let init = Init::<B>::new(Seed::root(0), &device);
        let encoder = Vit::new(&sizes::geometry(self.plan), &sizes::encoder(self.plan), &init);
        let named = weights::collect(&encoder).into_iter();
        named
            .map(|(name, values)| (format!("encoder.{name}"), values))
            .collect()
    }
}

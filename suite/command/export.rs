//! `export`: the encoder that a run pretrained, as an encoder file, or as a folder that other programs
//! load; or labels that it makes.

mod labels;

use crate::card::{self, Encoder, SpeechCard, Subject};
use crate::cli::ExportArgs;
use crate::cli::error::{Failure, Result};
use crate::cli::exit::Exit;
use crate::cli::progress::TerminalProgress;
use crate::cli::terminal;
use crate::data::Utterances;
use crate::plan::{AnyTask, Flat, Plan, PlanError, PlanRequest};
use crate::protocol::Examples as _;
use crate::run::checkpoint;
use crate::run::encoder_file::{self, EncoderCard, EncoderFile, Origin};
use crate::run::request::FEATURES;
use crate::run::root::Root;
use crate::run::shared_pretraining;
use crate::train::PretrainState;
use bridle::weights::Weights;
use bridle_results::record::RunRecord;
use bridle_results::store;
use bridle_tasks::{Limits, SpeechRequest};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where records lie unless `--records` says otherwise.
const RECORDS: &str = "results/records";
/// What to try where weights are gone.
const HINT: &str = "the folder that the run was started in, or `bridle-bench run` with the record's plan again";

/// Finds the weights that a record's run left below `runs`, or those of an encoder file, and writes
/// them with what is known of them.
///
/// # Errors
/// If the record cannot be read or its run pretrained nothing, if its weights are gone, or if a file or
/// folder cannot be written.
pub fn perform(args: &ExportArgs) -> Result<()> {
    if let Some(by) = args.labels {
        let (record, plan) = read(&args.record)?;
        return labels::perform(args, by, &record, &plan);
    }
    if let Some(folder) = &args.card {
        card::require_new(folder)?;
    }
    let given = if args.record.exists() && EncoderFile::has_card(&args.record) {
        Given::of_file(&args.record)?
    } else {
        Given::of_record(args)?
    };
    if let Some(to) = &args.to {
        let Encoder::Vit(card) = &given.encoder else {
            let message = format!(
                "`{}` is of an encoder of speech; encoder files hold ViTs",
                args.record.display()
            );
            return Err(Failure::wrong_use(message).with_hint("--card DIR, which holds any"));
        };
        encoder_file::write(to, card, &given.weights).map_err(|error| Failure::new(Exit::Fault, error))?;
        terminal::log(&format!(
            "{}: {}; `--init` takes it",
            to.display(),
            size(&given.weights)
        ));
    }
    if let Some(folder) = &args.card {
        publish(folder, given, args)?;
    }
    Ok(())
}

fn size(weights: &Weights) -> String {
    let parameters: usize = weights.values().map(|values| values.data.len()).sum();
    format!("{} tensors, {parameters} parameters", weights.len())
}

fn publish(folder: &Path, given: Given, args: &ExportArgs) -> Result<()> {
    let of_records = match &args.records[..] {
        [] if Path::new(RECORDS).is_dir() => vec![PathBuf::from(RECORDS)],
        others => others.to_vec(),
    };
    let mut records: Vec<RunRecord> = given.record.iter().cloned().collect();
    let found = store::find(&of_records)?.into_iter().map(|(_, record)| record);
    records.extend(found.filter(|record| given.is_judged_by(record)));
    let mut seen = BTreeSet::new();
    records.retain(|record| seen.insert(record.id.clone()));
    let plan = records.iter().find(|record| record.pretrain_hash.is_some());
    let plan: Option<Flat> = plan.map(|record| record.plan.clone());
    let subject = Subject {
        encoder: given.encoder,
        weights: given.weights,
        plan,
        records,
        licence: args.licence.clone(),
    };
    let files = card::write(folder, &subject)?;
    terminal::log(&format!(
        "{}: {}; {}; records: {}",
        folder.display(),
        files.join(", "),
        size(&subject.weights),
        subject.records.len()
    ));
    if subject.licence.is_none() {
        terminal::log("note: the card says `license: unknown`; --licence says what it is");
    }
    Ok(())
}

/// An encoder to write.
struct Given {
    encoder: Encoder,
    /// By our names.
    weights: Weights,
    /// The record that was named.
    record: Option<RunRecord>,
    /// Names the pretraining.
    pretrain_hash: Option<String>,
    /// SHA-256 of the file that was named.
    sha256: Option<String>,
}

impl Given {
    fn of_file(path: &Path) -> Result<Self> {
        let EncoderFile {
            card, weights, sha256, ..
        } = EncoderFile::read(path)?;
        Ok(Self {
            pretrain_hash: card.origin.as_ref().map(|origin| origin.pretrain_hash.clone()),
            encoder: Encoder::Vit(card),
            weights,
            record: None,
            sha256: Some(sha256),
        })
    }

    fn of_record(args: &ExportArgs) -> Result<Self> {
        let (record, plan) = read(&args.record)?;
        let weights = encoder(&record, &args.record)?;
        let encoder = match plan.is_speech() {
            true => Encoder::Speech(speech(&plan, &record, args)?),
            false => Encoder::Vit(EncoderCard::of(&plan, origin(&record, &plan))),
        };
        Ok(Self {
            encoder,
            weights,
            pretrain_hash: record.pretrain_hash.clone(),
            record: Some(record),
            sha256: None,
        })
    }

    /// Whether a record's scores are of these weights.
    fn is_judged_by(&self, record: &RunRecord) -> bool {
        let same_data = |own: &RunRecord| own.data.identity() == record.data.identity();
        let same_pretraining = self.pretrain_hash.is_some() && self.pretrain_hash == record.pretrain_hash;
        let was_given = self.sha256.is_some() && record.plan_word("init.sha256") == self.sha256.as_deref();
        was_given || same_pretraining && self.record.as_ref().is_none_or(same_data)
    }
}

/// A record and its plan.
fn read(path: &Path) -> Result<(RunRecord, Plan)> {
    let record = store::read(path)?;
    let plan = Plan::from_flat(&record.plan).map_err(|error| {
        let failure = Failure::wrong_use(format!("`{}` holds a plan of another version: {error}", path.display()));
        failure.with_hint("`bridle-bench run` with the record's options again, then its new record")
    })?;
    Ok((record, plan))
}

/// The weights of the encoder that a record's run pretrained.
fn encoder(record: &RunRecord, path: &Path) -> Result<Weights> {
    let path = pretrained(record, path)?;
    let (weights, state): (Weights, PretrainState) =
        checkpoint::read_file(&path).map_err(|error| Failure::new(Exit::Data, error).with_hint(HINT))?;
    fitting(&state, record, &path)?;
    Ok(bridle::weights::strip_prefix(&weights, "encoder."))
}

/// Fails if weights were trained on other data than the record's.
fn fitting(state: &PretrainState, record: &RunRecord, path: &Path) -> Result<()> {
    if state.fits(&Root::of_record(record).identity(&record.data.identity())) {
        return Ok(());
    }
    let message = format!("`{}` was trained on other data than the record's", path.display());
    Err(Failure::new(Exit::Data, anyhow::anyhow!(message)).with_hint(HINT))
}

/// Where a run leaves what it pretrained.
fn pretrained(record: &RunRecord, path: &Path) -> Result<PathBuf> {
    let hash = record.pretrain_hash.as_ref().ok_or_else(|| {
        let message = format!(
            "`{}` is of method {}, which pretrains nothing",
            path.display(),
            record.method()
        );
        Failure::wrong_use(message).with_hint("the record of a run that pretrains")
    })?;
    if !hash.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Failure::wrong_use(format!(
            "`{}` has no hash as `pretrain_hash`",
            path.display()
        )));
    }
    Ok(shared_pretraining(hash, &record.data))
}

fn origin(record: &RunRecord, plan: &Plan) -> Option<Origin> {
    Some(Origin {
        task: plan.task.clone(),
        fold: record.fold,
        transductive: plan.pretrain.as_ref()?.transductive,
        method: plan.label(),
        seed: record.seed,
        pretrain_hash: record.pretrain_hash.clone()?,
        commit: record.program.commit.clone(),
    })
}

/// Sizes of an encoder of speech, and the standardisation of its inputs, which the data says.
fn speech(plan: &Plan, record: &RunRecord, args: &ExportArgs) -> Result<SpeechCard> {
    if args.card.is_none() {
        let message = format!(
            "`{}` is of an encoder of speech; encoder files hold ViTs",
            args.record.display()
        );
        return Err(Failure::wrong_use(message).with_hint("--card DIR, which holds any"));
    }
    let request = PlanRequest {
        task: args.task.clone().unwrap_or_else(|| plan.task.clone()),
        ..PlanRequest::default()
    };
    let own = |error: PlanError| Failure::from(error).with_hint("--task FILE with the task file of your own data");
    let AnyTask::Speech(task) = request.task().map_err(own)? else {
        return Err(Failure::wrong_use(format!("`{}` is no task of speech", request.task)));
    };
    let input = plan.speech_input();
    let request = SpeechRequest {
        data: args.data.clone(),
        input,
        subset: plan.data.subset,
        cache: PathBuf::from(FEATURES),
        threads: 0,
        limits: Limits::default(),
    };
    let set = task.open(&request, &TerminalProgress::default())?;
    if Utterances::new(&set, plan).facts().identity() != record.data.identity() {
        let message = format!("the data of `{}` is not what the record's run saw", plan.task);
        return Err(Failure::new(Exit::Data, anyhow::anyhow!(message)).with_hint("--data DIR with that data"));
    }
    Ok(SpeechCard {
        input,
        sizes: plan.conformer().clone(),
        standardizer: set.standardizer,
    })
}

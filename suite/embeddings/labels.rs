//! Labels of anyone's making: the codes of every token of a task's samples, which encoder phases
//! train on in place of those of a tokenizer (`--labels`).

use super::{Embeddings, EmbeddingsError, Holds, is_safetensors};
use crate::cli::error::{Failure, Result};
use crate::cli::exit::Exit;
use crate::plan::LabelsRequest;
use crate::run::encoder_file::Origin;
use crate::run::request::RUNS;
use bridle_results::record::RunRecord;
use bridle_results::store::{self, RunName};
use bridle_tasks::Dataset;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// The header's entry that says what made the labels.
const CARD: &str = "bridle-bench";
/// Raised when older programs could no longer read a file of labels.
const FORMAT: u32 = 1;
/// The greatest code: labels are stored in 16 bits.
const GREATEST: f32 = 65_535.0;
const HINT: &str = "numpy.savez(FILE, ids=numpy.array(ids), codes=array), with whole numbers [tokens, levels] for each id; \
                    suite/LABELS.md describes the files";

/// A file of labels that was read.
#[derive(Debug)]
pub struct LabelsFile {
    /// Its name, without its folder.
    pub name: String,
    /// The run whose encoder made them, where the file says so.
    pub origin: Option<Origin>,
    file: Embeddings,
    /// The greatest code, and a sample that has it.
    greatest: (u16, String),
}

/// Codes of samples by their numbers in a data set.
#[derive(Debug)]
pub struct Codes {
    pub sha256: String,
    /// L.
    pub levels: usize,
    /// Row-major [T, L] for each sample.
    pub of: HashMap<usize, Vec<u16>>,
}

/// What made the labels of a file.
#[derive(Debug, Serialize, Deserialize)]
struct Card {
    format: u32,
    /// What made them, in words.
    labels: String,
    origin: Option<Origin>,
}

/// Where `export --labels` writes the labels of a record's run, and `--labels RECORD` looks for them.
pub fn place(record: &RunRecord) -> PathBuf {
    let path = Path::new(RUNS).join("labels").join(RunName::of(record).path());
    path.with_extension("safetensors")
}

impl LabelsFile {
    /// Reads a file of labels; of a record or a run's folder, the file that `export --labels` made of
    /// it.
    ///
    /// # Errors
    /// If it cannot be read, or does not hold whole numbers [T, L] of one shape by name; if nothing was
    /// exported of the record.
    pub fn read(path: &Path) -> Result<Self> {
        let path = &exported(path)?;
        let file = Embeddings::of(path, Holds::Labels).map_err(failure)?;
        let wrong = file
            .values
            .iter()
            .position(|&code| !(0.0..=GREATEST).contains(&code) || code.fract() != 0.0);
        if let Some(place) = wrong {
            let (name, code) = (&file.names[place / file.dim], file.values[place]);
            let reason = format!("`{name}` has the code {code}, which is no whole number from 0 to {GREATEST}");
            return Err(failure(EmbeddingsError::Content {
                path: path.clone(),
                what: Holds::Labels.word(),
                reason,
            }));
        }
        let greatest = (0..file.values.len()).max_by(|&a, &b| file.values[a].total_cmp(&file.values[b]));
        let greatest = greatest.expect("no file of labels is empty");
        let name = path.file_name().unwrap_or_default();
        Ok(Self {
            name: name.to_string_lossy().into_owned(),
            origin: origin(path)?,
            greatest: (file.values[greatest] as u16, file.names[greatest / file.dim].clone()),
            file,
        })
    }

    /// What a plan takes from them.
    pub fn request(&self) -> LabelsRequest {
        LabelsRequest {
            name: self.name.clone(),
            sha256: self.file.sha256.clone(),
            tokens: self.file.shape[0],
            levels: self.file.shape[1],
            greatest: self.greatest.clone(),
        }
    }

    /// The codes of these samples of a data set.
    ///
    /// # Errors
    /// Names samples without labels or with two, and labels of no sample.
    pub fn of_samples(&self, task: &str, dataset: &Dataset, read: &BTreeSet<usize>, part: bool) -> Result<Codes> {
        let ids: Vec<&str> = dataset.samples.iter().map(|sample| &*sample.id).collect();
        let skipped: Vec<&str> = dataset.facts.skipped.iter().map(|skipped| &*skipped.id).collect();
        // a part of the data does not know the names of the others
        let others = (!part).then_some(&skipped[..]);
        let matched = self.file.matched(task, &ids, read, others).map_err(|error| {
            let hint = format!("codes for each id of `bridle-bench check --task {task} --format json`");
            Failure::new(Exit::WrongUse, error).with_hint(hint)
        })?;
        let codes = |&sample: &usize| {
            let codes = matched.row_of(sample).iter().map(|&code| code as u16);
            (sample, codes.collect())
        };
        Ok(Codes {
            sha256: self.file.sha256.clone(),
            levels: self.file.shape[1],
            of: read.iter().map(codes).collect(),
        })
    }
}

/// The bytes of a file of the codes [T, L] of these samples, `codes` having them one after the other.
///
/// # Errors
/// If there is no memory for it.
pub fn laid_out(
    ids: &[&str],
    codes: &[u16],
    shape: [usize; 2],
    about: &str,
    origin: Option<Origin>,
) -> anyhow::Result<Vec<u8>> {
    let card = Card {
        format: FORMAT,
        labels: about.to_owned(),
        origin,
    };
    let rows: Vec<Vec<u8>> = codes
        .chunks_exact(shape[0] * shape[1])
        .map(|codes| codes.iter().flat_map(|code| code.to_le_bytes()).collect())
        .collect();
    let views = ids
        .iter()
        .zip(&rows)
        .map(|(id, row)| Ok((*id, TensorView::new(Dtype::U16, shape.to_vec(), row)?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let header = HashMap::from([(CARD.to_owned(), serde_json::to_string(&card)?)]);
    Ok(safetensors::serialize(views, Some(header))?)
}

/// The file itself, or that of a record or a run's folder.
fn exported(path: &Path) -> Result<PathBuf> {
    let is_record = path.extension().is_some_and(|ending| ending == "json");
    if !is_record && !path.is_dir() {
        return Ok(path.to_owned());
    }
    let of_run = path
        .strip_prefix(RUNS)
        .or_else(|_| path.strip_prefix(Path::new(".").join(RUNS)));
    let (file, record) = match (is_record, of_run) {
        (true, _) => (place(&store::read(path)?), path.display().to_string()),
        // no extension: the name of a run has no dot
        (false, Ok(run)) => {
            let labels = Path::new(RUNS).join("labels").join(run).with_extension("safetensors");
            (labels, "RECORD".to_owned())
        }
        (false, Err(_)) => {
            let message = format!(
                "`{}` is neither a file of labels, nor a record, nor a run's folder",
                path.display()
            );
            return Err(Failure::wrong_use(message).with_hint("--labels FILE, or the record that a run wrote"));
        }
    };
    if file.exists() {
        return Ok(file);
    }
    let message = format!(
        "the labels of `{}` were not exported: `{}` is not there",
        path.display(),
        file.display()
    );
    let hint = format!(
        "`bridle-bench export {record} --labels tokenizer` (or encoder) in the folder where the run was made, whose \
         checkpoint it reads; or --labels FILE"
    );
    Err(Failure::new(Exit::Data, anyhow::anyhow!(message)).with_hint(hint))
}

/// What the file says of the run that made it. Files of others say nothing.
fn origin(path: &Path) -> Result<Option<Origin>> {
    let bytes = bridle_files::read(path, super::LARGEST)
        .map_err(|error| Failure::fault(format!("cannot read `{}`", path.display()), error))?;
    if !is_safetensors(&bytes) {
        return Ok(None);
    }
    let metadata = SafeTensors::read_metadata(&bytes).ok();
    let card = metadata.and_then(|(_, metadata)| metadata.metadata().as_ref()?.get(CARD).cloned());
    let card: Option<Card> = card.and_then(|card| serde_json::from_str(&card).ok());
    Ok(card.and_then(|card| card.origin))
}

fn failure(error: EmbeddingsError) -> Failure {
    match error {
        error @ EmbeddingsError::Read { .. } => {
            Failure::new(Exit::Data, error).with_hint("--labels FILE, which exists and can be read")
        }
        error @ EmbeddingsError::Content { .. } => Failure::new(Exit::WrongUse, error).with_hint(HINT),
    }
}

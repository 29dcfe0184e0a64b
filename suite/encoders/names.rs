//! Takes a checkpoint's tensors by name, strictly: one that is missing, of another shape, or left over is an error.

use bridle_containers::{Checkpoint, ContainerError};
use bridle_tasks::pipeline::PipelineError;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Why a checkpoint is no encoder that this program knows.
#[derive(Debug, thiserror::Error)]
pub enum EncoderError {
    #[error(transparent)]
    Container(#[from] ContainerError),
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// A tensor that the output depends on is not there. `near` are names that nothing reads, the likest first.
    #[error("it has no tensor `{name}`{}", listed(near))]
    Missing { name: String, near: Vec<String> },
    #[error("tensor `{name}` has shape {found:?}, not {expected:?}")]
    Shape {
        name: String,
        expected: Vec<usize>,
        found: Vec<usize>,
    },
    #[error("tensor `{0}` has numbers that are not finite")]
    NotFinite(String),
    /// A tensor whose numbers are not those that they must be.
    #[error("tensor `{name}`: {reason}")]
    Values { name: String, reason: String },
    /// Tensors that an output could depend on, and that nothing reads.
    #[error("nothing reads these of its tensors: {}", .0.join(", "))]
    LeftOver(Vec<String>),
    /// A setting that contradicts the weights, or that this program does not know.
    #[error("`{key}` is {value}: {reason}")]
    Setting { key: String, value: String, reason: String },
    /// Something that no file says, and that an option can say.
    #[error("it does not say its {what}: say it with `{option}`")]
    Ask { option: &'static str, what: String },
    /// An input of another shape than the encoder takes.
    #[error("input of shape {found:?}: {reason}")]
    Input { found: Vec<usize>, reason: String },
    /// No family that is known, or keys of several.
    #[error("{0}")]
    Unknown(String),
}

fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!(" (nothing reads {})", names.join(", ")),
    }
}

/// What became of a checkpoint's tensors, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub used: Vec<String>,
    /// Heads, decoders, teachers and the like.
    pub passed_over: Vec<String>,
}

/// Hands out tensors by name, and remembers which.
pub struct Taker<'a> {
    checkpoint: Option<&'a Checkpoint>,
    /// Whether numbers are read; else they are all 0, and none is missing.
    reads: bool,
    /// What all names of the encoder begin with.
    prefix: String,
    taken: RefCell<BTreeSet<String>>,
}

impl<'a> Taker<'a> {
    pub fn new(checkpoint: &'a Checkpoint, prefix: &str) -> Self {
        Self {
            checkpoint: Some(checkpoint),
            reads: true,
            prefix: prefix.to_owned(),
            taken: RefCell::default(),
        }
    }

    /// Gives zeros of any name and shape: for an encoder whose weights come later.
    pub fn blank() -> Self {
        Self {
            checkpoint: None,
            reads: false,
            prefix: String::new(),
            taken: RefCell::default(),
        }
    }

    /// Gives zeros too, with the names of a checkpoint.
    fn listing(&self) -> Self {
        Self {
            checkpoint: self.checkpoint,
            reads: false,
            prefix: self.prefix.clone(),
            taken: RefCell::default(),
        }
    }

    /// Whether numbers are read, and not zeros given.
    pub fn reads(&self) -> bool {
        self.reads
    }

    /// The name in the file; `../` at the beginning leaves the last part of the prefix.
    pub fn full(&self, name: &str) -> String {
        match name.strip_prefix("../") {
            Some(name) => {
                let parts = self.prefix.trim_end_matches('.').rsplit_once('.');
                parts.map_or_else(|| name.to_owned(), |(outer, _)| format!("{outer}.{name}"))
            }
            None => format!("{}{name}", self.prefix),
        }
    }

    pub fn has(&self, name: &str) -> bool {
        self.shape(name).is_some()
    }

    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        let entry = self.checkpoint?.tensors.get(&self.full(name))?;
        Some(&entry.shape)
    }

    /// The names that begin as the encoder's do, without what all begin with.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names = self
            .checkpoint
            .into_iter()
            .flat_map(|checkpoint| checkpoint.tensors.keys());
        names.filter_map(|name| name.strip_prefix(&self.prefix))
    }

    /// The error that a tensor is missing, with the names under the prefix whose shapes could be its.
    pub fn missing(&self, name: &str, could_be: impl Fn(&[usize]) -> bool) -> EncoderError {
        let full = self.full(name);
        let fits = |other: &str| {
            let shape = other.strip_prefix(&self.prefix).and_then(|name| self.shape(name));
            shape.is_some_and(&could_be).then_some(false)
        };
        let near = self.checkpoint.map(|checkpoint| nearest(checkpoint, &full, fits));
        EncoderError::Missing {
            name: full,
            near: near.unwrap_or_default(),
        }
    }

    /// The numbers of a tensor of this shape, row-major.
    ///
    /// # Errors
    /// If it is missing, of another shape, not finite, or cannot be read.
    pub fn values(&self, name: &str, expected: &[usize]) -> Result<Vec<f32>, EncoderError> {
        let full = self.full(name);
        let Some(checkpoint) = self.checkpoint.filter(|_| self.reads) else {
            self.taken.borrow_mut().insert(full);
            return Ok(vec![0.0; expected.iter().product()]);
        };
        let missing = || EncoderError::Missing {
            name: full.clone(),
            near: Vec::new(),
        };
        let found = self.shape(name).ok_or_else(missing)?;
        if found != expected {
            return Err(EncoderError::Shape {
                name: full,
                expected: expected.to_vec(),
                found: found.to_vec(),
            });
        }
        let values = checkpoint.read(&full).ok_or_else(missing)??;
        if !values.iter().all(|value| value.is_finite()) {
            return Err(EncoderError::NotFinite(full));
        }
        self.taken.borrow_mut().insert(full);
        Ok(values)
    }

    /// As [`Taker::values`], on a device.
    pub fn tensor<B: Backend, const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        device: &B::Device,
    ) -> Result<Tensor<B, D>, EncoderError> {
        let values = self.values(name, &shape)?;
        Ok(Tensor::from_data(TensorData::new(values, shape), device))
    }

    /// What was taken with `take`, and what became of every tensor.
    ///
    /// # Errors
    /// Those of `take`, a missing tensor with the names that nothing reads; or a tensor is left over that is not to be
    /// passed over.
    pub fn all<T>(
        &self,
        passed_over: impl Fn(&str) -> bool,
        take: impl Fn(&Self) -> Result<T, EncoderError>,
    ) -> Result<(T, Report), EncoderError> {
        let whole = take(self).map_err(|error| match error {
            EncoderError::Missing { name, .. } => {
                // once more without numbers, for the names that would have been read
                let listing = self.listing();
                let read = take(&listing).map_or_else(|_| BTreeSet::new(), |_| listing.taken.into_inner());
                let spare = |other: &str| (!read.contains(other)).then(|| passed_over(other));
                let near = self.checkpoint.map(|checkpoint| nearest(checkpoint, &name, spare));
                EncoderError::Missing {
                    name,
                    near: near.unwrap_or_default(),
                }
            }
            other => other,
        })?;
        let taken = self.taken.borrow();
        let all = self
            .checkpoint
            .into_iter()
            .flat_map(|checkpoint| checkpoint.tensors.keys());
        let (known, left): (Vec<_>, Vec<_>) = all
            .filter(|name| !taken.contains(*name))
            .cloned()
            .partition(|name| passed_over(name));
        if !left.is_empty() {
            return Err(EncoderError::LeftOver(left));
        }
        let report = Report {
            used: taken.iter().cloned().collect(),
            passed_over: known,
        };
        Ok((whole, report))
    }
}

/// Up to five names of a checkpoint that are most like `name`. `rank` is none for a name that cannot be it, and false
/// for one that is likelier than those of true.
fn nearest(checkpoint: &Checkpoint, name: &str, rank: impl Fn(&str) -> Option<bool>) -> Vec<String> {
    let ranked = |other: &String| Some((rank(other)?, strsim::damerau_levenshtein(name, other), other.clone()));
    let mut names: Vec<_> = checkpoint.tensors.keys().filter_map(ranked).collect();
    names.sort();
    names.into_iter().take(5).map(|(.., name)| name).collect()
}

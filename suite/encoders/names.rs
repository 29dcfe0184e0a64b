//! Takes a checkpoint's tensors by name, strictly: one that is missing, of another shape, or left
//! over is an error.

use bridle_containers::{Checkpoint, ContainerError};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Why a checkpoint is no encoder that this program knows.
#[derive(Debug, thiserror::Error)]
pub enum EncoderError {
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// A tensor that the output depends on is not there. `near` are left-over names like it.
    #[error("it has no tensor `{name}`{}", near(near))]
    Missing { name: String, near: Vec<String> },
    #[error("tensor `{name}` has shape {found:?}, not {expected:?}")]
    Shape {
        name: String,
        expected: Vec<usize>,
        found: Vec<usize>,
    },
    #[error("tensor `{0}` has numbers that are not finite")]
    NotFinite(String),
    /// Tensors that an output could depend on, and that nothing reads.
    #[error("nothing reads these of its tensors: {}", .0.join(", "))]
    LeftOver(Vec<String>),
    /// A setting that contradicts the weights, or that this program does not know.
    #[error("`{key}` is {value}: {reason}")]
    Setting { key: String, value: String, reason: String },
    /// No family that is known, or keys of several.
    #[error("{0}")]
    Unknown(String),
}

fn near(names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!(" (there are {})", names.join(", ")),
    }
}

/// Hands out tensors by name, and remembers which.
pub struct Taker<'a> {
    checkpoint: &'a Checkpoint,
    /// What all names of the encoder begin with.
    prefix: String,
    taken: RefCell<BTreeSet<String>>,
}

impl<'a> Taker<'a> {
    pub fn new(checkpoint: &'a Checkpoint, prefix: &str) -> Self {
        Self {
            checkpoint,
            prefix: prefix.to_owned(),
            taken: RefCell::default(),
        }
    }

    pub fn has(&self, name: &str) -> bool {
        self.shape(name).is_some()
    }

    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        let entry = self.checkpoint.tensors.get(&format!("{}{name}", self.prefix))?;
        Some(&entry.shape)
    }

    /// The numbers of a tensor of this shape, row-major.
    ///
    /// # Errors
    /// If it is missing, of another shape, not finite, or cannot be read.
    pub fn values(&self, name: &str, expected: &[usize]) -> Result<Vec<f32>, EncoderError> {
        let full = format!("{}{name}", self.prefix);
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
        let values = self.checkpoint.read(&full).ok_or_else(missing)??;
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
}

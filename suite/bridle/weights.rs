//! Parameters by name, on the host: for checkpoints, exchange and tests.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView};
use std::collections::{BTreeMap, HashMap};

/// One tensor on the host, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

impl Values {
    pub fn from_data(data: TensorData) -> Self {
        let shape = data.shape.to_vec();
        Self {
            shape,
            data: data.iter::<f32>().collect(),
        }
    }
}

/// Bytes of the header of a safetensors file, as other programs limit it too.
const LONGEST_HEADER: u64 = 25_000_000;

/// Tensors by name, in the order of names.
pub type Weights = BTreeMap<String, Values>;

/// The same weights with `prefix` before every name: the inverse of [`strip_prefix`].
pub fn with_prefix(prefix: &str, weights: Weights) -> Weights {
    let named = |(name, values)| (format!("{prefix}{name}"), values);
    weights.into_iter().map(named).collect()
}

/// The weights whose names start with `prefix`, without it.
pub fn strip_prefix(weights: &Weights, prefix: &str) -> Weights {
    let strip = |(name, values): (&String, &Values)| Some((name.strip_prefix(prefix)?.to_owned(), values.clone()));
    weights.iter().filter_map(strip).collect()
}

/// Why weights do not fit a module, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// A parameter has no counterpart.
    #[error("no weights for parameter {0}")]
    Missing(String),
    /// A shape differs.
    #[error("parameter {name} has shape {expected:?}, but the weights have {found:?}")]
    Shape {
        name: String,
        expected: Vec<usize>,
        found: Vec<usize>,
    },
    /// A header so long that no set of weights needs it.
    #[error("its header has {0} bytes, more than {LONGEST_HEADER}")]
    Header(u64),
    /// Not a safetensors file, or a damaged one.
    #[error("not readable as safetensors")]
    Format(#[from] SafeTensorError),
    /// A tensor of another type than 32-bit floats.
    #[error("tensor {0} is not of 32-bit floats")]
    Type(String),
}

/// The dotted name of the parameter being visited.
#[derive(Clone, Debug, Default)]
pub struct Path(Vec<String>);

impl Path {
    pub fn enter(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    pub fn exit(&mut self) {
        self.0.pop();
    }

    pub fn name(&self) -> String {
        self.0.join(".")
    }
}

/// Every parameter of a module, by its name.
pub fn collect<B: Backend, M: Module<B>>(module: &M) -> Weights {
    let mut visitor = Collect {
        path: Path::default(),
        weights: Weights::new(),
    };
    module.visit(&mut visitor);
    visitor.weights
}

struct Collect {
    path: Path,
    weights: Weights,
}

impl<B: Backend> ModuleVisitor<B> for Collect {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.weights
            .insert(self.path.name(), Values::from_data(param.val().to_data()));
    }
}

/// Replaces a module's parameters. `weights` must have each of them with its shape, and may have
/// more.
///
/// # Errors
/// If a parameter is missing or has another shape.
pub fn load<B: Backend, M: Module<B>>(module: M, weights: &Weights) -> Result<M, WeightsError> {
    let mut mapper = Load {
        path: Path::default(),
        weights,
        error: None,
    };
    let module = module.map(&mut mapper);
    mapper.error.map_or(Ok(module), Err)
}

struct Load<'a> {
    path: Path,
    weights: &'a Weights,
    error: Option<WeightsError>,
}

impl Load<'_> {
    fn find(&self, expected: Vec<usize>) -> Result<&Values, WeightsError> {
        let name = self.path.name();
        let values = self
            .weights
            .get(&name)
            .ok_or_else(|| WeightsError::Missing(name.clone()))?;
        if values.shape != expected {
            return Err(WeightsError::Shape {
                name,
                expected,
                found: values.shape.clone(),
            });
        }
        Ok(values)
    }
}

impl<B: Backend> ModuleMapper<B> for Load<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let values = match self.find(param.shape().to_vec()) {
            Ok(values) => values.clone(),
            Err(error) => {
                self.error.get_or_insert(error);
                return param;
            }
        };
        let (tracked, device) = (param.is_require_grad(), param.device());
        param.map(|_| Tensor::from_data(TensorData::new(values.data, values.shape), &device).set_require_grad(tracked))
    }
}

/// Weights and a header of text as a safetensors file's bytes.
///
/// # Errors
/// If the tensors cannot be laid out (never for weights made here).
pub fn to_safetensors(weights: &Weights, header: HashMap<String, String>) -> Result<Vec<u8>, WeightsError> {
    let bytes: Vec<(&String, &Values, Vec<u8>)> = weights
        .iter()
        .map(|(name, values)| (name, values, values.data.iter().flat_map(|x| x.to_le_bytes()).collect()))
        .collect();
    let views = bytes
        .iter()
        .map(|(name, values, bytes)| {
            Ok((
                (*name).clone(),
                TensorView::new(Dtype::F32, values.shape.clone(), bytes)?,
            ))
        })
        .collect::<Result<Vec<_>, SafeTensorError>>()?;
    Ok(safetensors::serialize(views, Some(header))?)
}

/// Weights and header from a safetensors file's bytes.
///
/// # Errors
/// If the bytes are not a safetensors file of 32-bit floats.
pub fn from_safetensors(bytes: &[u8]) -> Result<(Weights, HashMap<String, String>), WeightsError> {
    if let Some(length) = bytes.first_chunk().map(|length| u64::from_le_bytes(*length))
        && length > LONGEST_HEADER
    {
        return Err(WeightsError::Header(length));
    }
    let (_, metadata) = SafeTensors::read_metadata(bytes)?;
    let header = metadata.metadata().clone().unwrap_or_default();
    let mut weights = Weights::new();
    for (name, view) in SafeTensors::deserialize(bytes)?.tensors() {
        if view.dtype() != Dtype::F32 {
            return Err(WeightsError::Type(name));
        }
        let number = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let data = view.data().chunks_exact(4).map(number).collect();
        weights.insert(
            name,
            Values {
                shape: view.shape().to_vec(),
                data,
            },
        );
    }
    Ok((weights, header))
}

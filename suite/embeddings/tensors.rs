//! A safetensors file: a tensor for each sample, or a matrix with a list of names in the header.

use super::npy::{double, half, single};
use super::{Array, LISTS, Vectors, matrix_name};
use burn::tensor::bf16;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, SafeTensorError, TensorView};

/// The vectors of a file with these bytes.
pub(super) fn read(bytes: &[u8]) -> Result<Vectors, String> {
    let damaged = |error: SafeTensorError| format!("it is no whole safetensors file: {error}");
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let header = metadata.metadata().as_ref();
    let list = LISTS.iter().find_map(|list| Some((list, header?.get(*list)?)));
    let Some((list, text)) = list else {
        let arrays = tensors
            .iter()
            .map(|(name, view)| Ok((name.to_owned(), array(name, &view)?)));
        return Vectors::one_each(arrays.collect::<Result<Vec<_>, String>>()?);
    };
    let names: Vec<String> = serde_json::from_str(text)
        .map_err(|error| format!("the entry `{list}` of its header is no list of names in JSON: {error}"))?;
    let matrix = matrix_name(tensors.names().into_iter())?;
    let view = tensors.tensor(matrix).map_err(damaged)?;
    Vectors::rows(array(matrix, &view)?, names)
}

/// The numbers of a tensor of floats.
fn array(name: &str, view: &TensorView<'_>) -> Result<Array, String> {
    let data = view.data();
    let values = match view.dtype() {
        Dtype::F16 => half(data),
        Dtype::BF16 => {
            let numbers = data.chunks_exact(2);
            numbers
                .map(|bytes| bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32())
                .collect()
        }
        Dtype::F32 => single(data),
        Dtype::F64 => double(data),
        other => return Err(format!("tensor `{name}` is of {other:?}, not of floats")),
    };
    Ok(Array {
        shape: view.shape().to_vec(),
        values,
    })
}

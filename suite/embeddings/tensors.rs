//! A safetensors file: a tensor for each sample, or a matrix with a list of names in the header.

use super::npy::{double, half, single, whole};
use super::{Array, Holds, LISTS, Vectors, matrix_name};
use burn::tensor::bf16;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, SafeTensorError, TensorView};

/// The vectors of a file with these bytes.
pub(super) fn read(bytes: &[u8], holds: Holds) -> Result<Vectors, String> {
    let damaged = |error: SafeTensorError| format!("it is no whole safetensors file: {error}");
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let header = metadata.metadata().as_ref();
    let list = LISTS.iter().find_map(|list| Some((list, header?.get(*list)?)));
    let Some((list, text)) = list else {
        let arrays = tensors
            .iter()
            .map(|(name, view)| Ok((name.to_owned(), array(name, &view, holds)?)));
        return Vectors::one_each(arrays.collect::<Result<Vec<_>, String>>()?, holds);
    };
    let names: Vec<String> = serde_json::from_str(text)
        .map_err(|error| format!("the entry `{list}` of its header is no list of names in JSON: {error}"))?;
    let matrix = matrix_name(tensors.names().into_iter(), holds)?;
    let view = tensors.tensor(matrix).map_err(damaged)?;
    Vectors::rows(array(matrix, &view, holds)?, names, holds)
}

/// The numbers of a tensor of floats; of codes, also of whole numbers.
fn array(name: &str, view: &TensorView<'_>, holds: Holds) -> Result<Array, String> {
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
        Dtype::U8 if holds == Holds::Labels => whole(data, u8::from_le_bytes),
        Dtype::U16 if holds == Holds::Labels => whole(data, u16::from_le_bytes),
        Dtype::I32 if holds == Holds::Labels => whole(data, i32::from_le_bytes),
        Dtype::I64 if holds == Holds::Labels => whole(data, i64::from_le_bytes),
        other if holds == Holds::Labels => {
            return Err(format!(
                "tensor `{name}` is of {other:?}, not of U8, U16, I32, I64 or floats"
            ));
        }
        other => return Err(format!("tensor `{name}` is of {other:?}, not of floats")),
    };
    Ok(Array {
        shape: view.shape().to_vec(),
        values,
    })
}

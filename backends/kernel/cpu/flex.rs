//! The fused operations on flex.

use super::slices::Sliced;
use super::threads::Threads;
use crate::kernel::mode::is_plain;
use crate::kernel::plain;
use burn::tensor::{DType, Tensor, TensorData, TensorPrimitive};
use burn_flex::{Flex, FlexTensor};
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Numbers that one thread clears at a time.
const CLEARED: usize = 1 << 18;

/// Cleared by all threads: memory that was freed before and kept is not clear, and new memory is cleared where it is
/// first touched.
fn zeros(count: usize) -> Vec<f32> {
    if count <= CLEARED {
        return vec![0.0; count];
    }
    let mut values = Vec::with_capacity(count);
    let parts = values.spare_capacity_mut()[..count].par_chunks_mut(CLEARED);
    parts.for_each(|part| {
        part.fill(MaybeUninit::new(0.0));
    });
    // SAFETY: all of the first `count` numbers were written
    unsafe { values.set_len(count) };
    values
}

impl Sliced for Flex {
    type Values = FlexTensor;
    const THREADS: Threads = Threads::Rayon;

    fn applies<const D: usize>(tensor: &Tensor<Self, D>) -> bool {
        tensor.dtype() == DType::F32 && tensor.shape().num_elements() > 0 && !is_plain()
    }

    fn read<const D: usize>(tensor: Tensor<Self, D>) -> FlexTensor {
        tensor.into_primitive().tensor().to_contiguous()
    }

    /// [`Sliced::slice_mut`] copies the elements if the tensor is shared.
    fn own<const D: usize>(tensor: Tensor<Self, D>) -> FlexTensor {
        Self::read(tensor)
    }

    fn allocate(count: usize) -> FlexTensor {
        FlexTensor::from_data(TensorData::new(zeros(count), [count]))
    }

    fn slice(values: &FlexTensor) -> &[f32] {
        values.as_slice().expect("a contiguous f32 tensor")
    }

    fn slice_mut(values: &mut FlexTensor) -> &mut [f32] {
        let (start, end) = values.layout().contiguous_offsets().expect("a contiguous tensor");
        &mut values.storage_mut()[start..end]
    }

    fn tensor<const D: usize>(values: FlexTensor, shape: [usize; D]) -> Tensor<Self, D> {
        let flat: Tensor<Self, 1> = Tensor::from_primitive(TensorPrimitive::Float(values));
        flat.reshape(shape)
    }

    fn other_norm_rows(
        rows: Tensor<Self, 2>,
        scale: Tensor<Self, 1>,
        shift: Tensor<Self, 1>,
        epsilon: f64,
    ) -> Tensor<Self, 2> {
        plain::norm_rows(rows, scale, shift, epsilon)
    }
}

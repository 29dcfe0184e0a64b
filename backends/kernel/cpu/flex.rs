//! The fused operations on flex.

use super::slices::Sliced;
use super::threads::Threads;
use crate::kernel::mode::is_plain;
use crate::kernel::plain;
use burn::tensor::{DType, Tensor, TensorData, TensorPrimitive};
use burn_flex::{Flex, FlexTensor};

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
        FlexTensor::from_data(TensorData::new(vec![0.0_f32; count], [count]))
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

//! The fused operations on flex.

use super::sliced::{self, Sliced, ops_on_slices};
use super::team::Team;
use super::{AdamWFactors, AdamWState, LinearGrads, MlpTensors, NormGrads, Ops, is_plain, plain};
use burn::tensor::{DType, Int, Tensor, TensorData, TensorPrimitive};
use burn_flex::{Flex, FlexTensor};

impl Sliced for Flex {
    type Values = FlexTensor;
    const TEAM: Team = Team::Rayon;

    fn applies<const D: usize>(tensor: &Tensor<Self, D>) -> bool {
        tensor.dtype() == DType::F32 && tensor.shape().num_elements() > 0 && !is_plain()
    }

    fn read<const D: usize>(tensor: Tensor<Self, D>) -> FlexTensor {
        tensor.into_primitive().tensor().to_contiguous()
    }

    /// Writing to it makes a copy first where somebody else holds the elements too.
    fn own<const D: usize>(tensor: Tensor<Self, D>) -> FlexTensor {
        Self::read(tensor)
    }

    fn room(count: usize) -> FlexTensor {
        FlexTensor::from_data(TensorData::new(vec![0.0_f32; count], [count]))
    }

    fn slice(values: &FlexTensor) -> &[f32] {
        values
            .as_slice()
            .expect("a contiguous tensor whose type has been checked")
    }

    fn slice_mut(values: &mut FlexTensor) -> &mut [f32] {
        let (start, end) = values
            .layout()
            .contiguous_offsets()
            .expect("a tensor just made contiguous");
        &mut values.storage_mut()[start..end]
    }

    fn tensor<const D: usize>(values: FlexTensor, shape: [usize; D]) -> Tensor<Self, D> {
        let flat: Tensor<Self, 1> = Tensor::from_primitive(TensorPrimitive::Float(values));
        flat.reshape(shape)
    }

    fn norm_otherwise(
        rows: Tensor<Self, 2>,
        scale: Tensor<Self, 1>,
        shift: Tensor<Self, 1>,
        epsilon: f64,
    ) -> Tensor<Self, 2> {
        plain::norm_rows(rows, scale, shift, epsilon)
    }
}

ops_on_slices!(Flex);

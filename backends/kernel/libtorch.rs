//! The fused operations on LibTorch: on its processor in our own form, on its threads.

use super::sliced::{self, Sliced, ops_on_slices};
use super::team::Team;
use super::{AdamWFactors, AdamWState, LinearGrads, MlpTensors, NormGrads, Ops, is_plain, plain};
use burn::tensor::{DType, Int, Tensor, TensorPrimitive};
use burn_tch::{LibTorch, LibTorchDevice, TchTensor};

fn native<const D: usize>(tensor: Tensor<LibTorch, D>) -> tch::Tensor {
    tensor.into_primitive().tensor().tensor
}

fn wrap<const D: usize>(tensor: tch::Tensor) -> Tensor<LibTorch, D> {
    Tensor::from_primitive(TensorPrimitive::Float(TchTensor::new(tensor)))
}

/// The address of the elements, once it is sure that they are f32 in main memory, one after another.
fn address(tensor: &tch::Tensor) -> *mut f32 {
    let in_memory = tensor.device() == tch::Device::Cpu && tensor.kind() == tch::Kind::Float;
    assert!(
        in_memory && tensor.is_contiguous(),
        "a tensor that `applies` was not asked about"
    );
    tensor.data_ptr().cast()
}

impl Sliced for LibTorch {
    type Values = tch::Tensor;
    const TEAM: Team = Team::OpenMp;

    fn applies<const D: usize>(tensor: &Tensor<Self, D>) -> bool {
        let fits = tensor.dtype() == DType::F32 && tensor.shape().num_elements() > 0;
        fits && matches!(tensor.device(), LibTorchDevice::Cpu) && !is_plain()
    }

    fn read<const D: usize>(tensor: Tensor<Self, D>) -> tch::Tensor {
        native(tensor).contiguous()
    }

    fn own<const D: usize>(tensor: Tensor<Self, D>) -> tch::Tensor {
        let tensor: TchTensor = tensor.into_primitive().tensor();
        if tensor.can_mut() && tensor.tensor.is_contiguous() {
            return tensor.tensor;
        }
        tensor.tensor.contiguous().detach_copy()
    }

    fn room(count: usize) -> tch::Tensor {
        tch::Tensor::empty([count as i64], (tch::Kind::Float, tch::Device::Cpu))
    }

    fn slice(values: &tch::Tensor) -> &[f32] {
        // SAFETY: so many f32 lie there, for as long as the tensor is held; nobody writes to what several hold
        unsafe { std::slice::from_raw_parts(address(values), values.numel()) }
    }

    fn slice_mut(values: &mut tch::Tensor) -> &mut [f32] {
        // SAFETY: so many f32 lie there, for as long as the tensor is borrowed, and nobody else holds what `own` or
        // `room` gave
        unsafe { std::slice::from_raw_parts_mut(address(values), values.numel()) }
    }

    fn tensor<const D: usize>(values: tch::Tensor, shape: [usize; D]) -> Tensor<Self, D> {
        wrap(values.view(shape.map(|size| size as i64).as_slice()))
    }

    /// LibTorch's own, on NVIDIA devices.
    fn norm_otherwise(
        rows: Tensor<Self, 2>,
        scale: Tensor<Self, 1>,
        shift: Tensor<Self, 1>,
        epsilon: f64,
    ) -> Tensor<Self, 2> {
        if is_plain() {
            return plain::norm_rows(rows, scale, shift, epsilon);
        }
        let [_, width] = rows.dims();
        let (scale, shift) = (native(scale), native(shift));
        let (out, _, _) = native(rows).native_layer_norm([width as i64], Some(&scale), Some(&shift), epsilon);
        wrap(out)
    }
}

ops_on_slices!(LibTorch);

//! The fused operations on LibTorch: on the processor by our forms on slices, on LibTorch's
//! threads.

use super::slices::Sliced;
use super::threads::Threads;
use crate::kernel::mode::is_plain;
use crate::kernel::plain;
use burn::tensor::{DType, Tensor, TensorPrimitive};
use burn_tch::{LibTorch, LibTorchDevice, TchTensor};

fn native<const D: usize>(tensor: Tensor<LibTorch, D>) -> tch::Tensor {
    tensor.into_primitive().tensor().tensor
}

fn wrap<const D: usize>(tensor: tch::Tensor) -> Tensor<LibTorch, D> {
    Tensor::from_primitive(TensorPrimitive::Float(TchTensor::new(tensor)))
}

/// The address of the elements.
///
/// # Panics
/// If they are not contiguous f32 in main memory.
fn address(tensor: &tch::Tensor) -> *mut f32 {
    let in_memory = tensor.device() == tch::Device::Cpu && tensor.kind() == tch::Kind::Float;
    assert!(
        in_memory && tensor.is_contiguous(),
        "a tensor to which `applies` does not apply"
    );
    tensor.data_ptr().cast()
}

impl Sliced for LibTorch {
    type Values = tch::Tensor;
    const THREADS: Threads = Threads::OpenMp;

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

    fn allocate(count: usize) -> tch::Tensor {
        tch::Tensor::empty([count as i64], (tch::Kind::Float, tch::Device::Cpu))
    }

    fn slice(values: &tch::Tensor) -> &[f32] {
        // SAFETY: `address` checked the type; the elements live as long as the tensor is borrowed, and
        // a shared tensor is never written to
        unsafe { std::slice::from_raw_parts(address(values), values.numel()) }
    }

    fn slice_mut(values: &mut tch::Tensor) -> &mut [f32] {
        // SAFETY: `address` checked the type; the elements live as long as the tensor is borrowed, and
        // what `own` or `allocate` returned is not shared
        unsafe { std::slice::from_raw_parts_mut(address(values), values.numel()) }
    }

    fn tensor<const D: usize>(values: tch::Tensor, shape: [usize; D]) -> Tensor<Self, D> {
        wrap(values.view(shape.map(|size| size as i64).as_slice()))
    }

    /// LibTorch's, on NVIDIA devices.
    fn other_norm_rows(
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

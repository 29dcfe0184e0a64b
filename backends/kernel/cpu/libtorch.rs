//! The fused operations on LibTorch: on the processor by our forms on slices, on LibTorch's
//! threads.

use super::slices::Sliced;
use super::threads::Threads;
use crate::kernel::mode::is_plain;
use crate::kernel::ops::Filled;
use crate::kernel::plain;
use bridle_ranks::nccl::{Buffers, Stream};
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

    fn fill_elsewhere<const D: usize>(values: Tensor<Self, D>, fill: &dyn Fn(Buffers)) -> Filled<Self, D> {
        match values.device() {
            LibTorchDevice::Cuda(number) if values.dtype() == DType::F32 => Ok(wrap(filled(
                &native(values),
                || tch::Cuda::synchronize(number as i64),
                fill,
            ))),
            // as if main memory were a device's, where a stand-in for NCCL sums
            #[cfg(test)]
            LibTorchDevice::Cpu if values.dtype() == DType::F32 => Ok(wrap(filled(&native(values), || (), fill))),
            _ => Err(values),
        }
    }
}

/// A tensor of the same shape that `fill` makes from this one, when `wait` has waited for all work.
fn filled(values: &tch::Tensor, wait: impl FnOnce(), fill: &dyn Fn(Buffers)) -> tch::Tensor {
    let from = values.contiguous();
    let to = from.empty_like();
    // the stream that LibTorch works in would be waited for anyway, but as if that were a part of the sum
    wait();
    fill(Buffers {
        from: from.data_ptr() as usize,
        to: to.data_ptr() as usize,
        count: from.numel(),
        stream: Stream::Default,
    });
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_is_filled_by_addresses_of_contiguous_numbers() {
        let rows = tch::Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]).view([2, 3]);
        let double = |buffers: Buffers| {
            for place in 0..buffers.count {
                // SAFETY: both have so many numbers, in main memory here
                unsafe { *(buffers.to as *mut f32).add(place) = 2.0 * *(buffers.from as *const f32).add(place) };
            }
        };
        let doubled = filled(&rows.tr(), || (), &double);
        assert_eq!((doubled.size(), doubled.is_contiguous()), (vec![3, 2], true));
        assert_eq!(doubled, rows.tr() * 2.0);
        assert_eq!(rows.double_value(&[1, 2]), 6.0);
    }
}

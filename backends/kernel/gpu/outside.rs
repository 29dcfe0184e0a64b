//! What something outside of CubeCL computes with tensors, by their addresses in an NVIDIA device's
//! memory.

use super::launch::{Fused, Inner, native, wrap};
use bridle_ranks::nccl::{Buffers, Stream};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend as _;
use burn_cubecl::cubecl::cuda::CudaRuntime;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{BoolElement, CubeRuntime};
use burn_fusion::NoOp;
use burn_fusion::stream::OperationStreams;
use burn_ir::{BackendIr as _, InitOperationIr, OperationIr};
use std::any::{Any, TypeId};

/// Whether a runtime is that of NVIDIA devices.
pub(super) fn is_cuda<R: CubeRuntime>() -> bool {
    TypeId::of::<R>() == TypeId::of::<CudaRuntime>()
}

/// A tensor of the same shape that `fill` makes from `values`, by the `address` of the elements of
/// both; see [`Ops::filled_on_device`](crate::Ops::filled_on_device).
pub(super) fn filled<R: CubeRuntime, BT: BoolElement, const D: usize>(
    values: Tensor<Fused<R, BT>, D>,
    address: impl Fn(&CubeTensor<R>) -> usize,
    fill: &dyn Fn(Buffers),
) -> Tensor<Fused<R, BT>, D> {
    let (shape, values) = (values.shape(), native(values));
    let client = values.client.clone();
    let from = into_contiguous(client.resolve_tensor_float::<Inner<R, BT>>(values));
    let to = empty_device_contiguous_dtype(from.client.clone(), from.device.clone(), shape.clone(), from.dtype);
    // who asks for an address has this thread's stream wait for whatever works with the elements ...
    let [source, target] = [&from, &to].map(address);
    // ... and this waits for the stream
    Inner::<R, BT>::sync(&from.device).expect("a device that has computed until now still does");
    fill(Buffers {
        from: source,
        to: target,
        count: shape.num_elements(),
        stream: Stream::Own,
    });
    let (dtype, handle) = (from.dtype, Inner::<R, BT>::float_tensor_handle(to));
    let made = InitOperationIr::create(shape, dtype, || client.register_tensor_handle(handle));
    let operation = NoOp::<Inner<R, BT>>::new();
    let mut made = client.register(OperationStreams::default(), OperationIr::Init(made), operation);
    wrap(made.remove(0))
}

/// Where the elements of a tensor are in the memory of an NVIDIA device.
///
/// # Panics
/// If the tensor is of another runtime, or the device has failed.
pub(super) fn cuda_address<R: CubeRuntime>(tensor: &CubeTensor<R>) -> usize {
    let tensor = (tensor as &dyn Any).downcast_ref::<CubeTensor<CudaRuntime>>();
    let tensor = tensor.expect("a tensor on an NVIDIA device");
    let found = tensor.client.get_resource(tensor.handle.clone());
    found.expect("a tensor has memory").resource().ptr as usize
}

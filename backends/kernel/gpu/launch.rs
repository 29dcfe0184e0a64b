//! Launches kernels as custom operations in the stream of burn's fusion.

use crate::kernel::mode::is_plain;
use burn::tensor::{DType, Shape, Tensor, TensorPrimitive};
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::fusion::FusionCubeRuntime;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime};
use burn_fusion::stream::{Operation, OperationStreams};
use burn_fusion::{Fusion, FusionTensor};
use burn_ir::{CustomOpIr, HandleContainer, OperationIr, TensorIr};
use std::fmt;
use std::marker::PhantomData;

/// burn's backend over a CubeCL runtime, without and with fusion.
pub(super) type Inner<R, BT> = CubeBackend<R, f32, i32, BT>;
pub(super) type Fused<R, BT> = Fusion<Inner<R, BT>>;
type Handles<R> = HandleContainer<<FusionCubeRuntime<R> as burn_fusion::FusionRuntime>::FusionHandle>;

/// One launch in the stream.
struct Launch<R, BT, F> {
    tensors: CustomOpIr,
    /// Called with contiguous inputs and outputs.
    launch: F,
    backend: PhantomData<fn() -> (R, BT)>,
}

impl<R, BT, F> fmt::Debug for Launch<R, BT, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.tensors.id)
    }
}

impl<R, BT, F> Operation<FusionCubeRuntime<R>> for Launch<R, BT, F>
where
    R: CubeRuntime,
    BT: BoolElement,
    F: Fn(&[CubeTensor<R>], &[CubeTensor<R>]) + Send + Sync,
{
    fn execute(&self, handles: &mut Handles<R>) {
        let inputs: Vec<CubeTensor<R>> = self
            .tensors
            .inputs
            .iter()
            .map(|input| {
                into_contiguous(if input.dtype.is_float() {
                    handles.get_float_tensor::<Inner<R, BT>>(input)
                } else {
                    handles.get_int_tensor::<Inner<R, BT>>(input)
                })
            })
            .collect();
        let (client, device) = (&inputs[0].client, &inputs[0].device);
        let outputs: Vec<CubeTensor<R>> = self
            .tensors
            .outputs
            .iter()
            .map(|out| empty_device_contiguous_dtype(client.clone(), device.clone(), out.shape.clone(), out.dtype))
            .collect();
        (self.launch)(&inputs, &outputs);
        #[cfg(test)]
        count(&self.tensors.id);
        for (out, tensor) in self.tensors.outputs.iter().zip(outputs) {
            if out.dtype.is_float() {
                handles.register_float_tensor::<Inner<R, BT>>(&out.id, tensor);
            } else {
                handles.register_int_tensor::<Inner<R, BT>>(&out.id, tensor);
            }
        }
    }
}

/// Number of launches of each operation.
#[cfg(test)]
pub(super) static LAUNCHED: std::sync::Mutex<std::collections::BTreeMap<String, usize>> =
    std::sync::Mutex::new(std::collections::BTreeMap::new());

#[cfg(test)]
fn count(name: &str) {
    let mut launched = LAUNCHED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    *launched.entry(name.to_owned()).or_default() += 1;
}

/// Puts a launch into the stream. Returns its outputs, which have the given shapes and types.
pub(super) fn submit<R, BT, const N: usize>(
    name: &'static str,
    inputs: Vec<FusionTensor<FusionCubeRuntime<R>>>,
    outputs: [(Shape, DType); N],
    launch: impl Fn(&[CubeTensor<R>], &[CubeTensor<R>]) + Send + Sync + 'static,
) -> [FusionTensor<FusionCubeRuntime<R>>; N]
where
    R: CubeRuntime,
    BT: BoolElement,
{
    let client = inputs[0].client.clone();
    let streams = OperationStreams::with_inputs(&inputs);
    let inputs: Vec<TensorIr> = inputs.into_iter().map(FusionTensor::into_ir).collect();
    let outputs = outputs.map(|(shape, dtype)| TensorIr::uninit(client.create_empty_handle(), shape, dtype));
    let tensors = CustomOpIr::new(name, &inputs, &outputs);
    let operation = Launch::<R, BT, _> {
        tensors: tensors.clone(),
        launch,
        backend: PhantomData,
    };
    let made = client.register(streams, OperationIr::Custom(tensors), operation);
    made.try_into()
        .unwrap_or_else(|_| unreachable!("an operation returns as many tensors as it declares"))
}

pub(super) fn native<R: CubeRuntime, BT: BoolElement, const D: usize>(
    tensor: Tensor<Fused<R, BT>, D>,
) -> FusionTensor<FusionCubeRuntime<R>> {
    tensor.into_primitive().tensor()
}

pub(super) fn wrap<R: CubeRuntime, BT: BoolElement, const D: usize>(
    tensor: FusionTensor<FusionCubeRuntime<R>>,
) -> Tensor<Fused<R, BT>, D> {
    Tensor::from_primitive(TensorPrimitive::Float(tensor))
}

/// The elements of a tensor as a kernel argument.
pub(super) fn array<R: CubeRuntime>(tensor: &CubeTensor<R>) -> ArrayArg<R> {
    let length = tensor.meta.shape().num_elements();
    // SAFETY: the elements are contiguous, see `Launch::execute`
    unsafe { ArrayArg::from_raw_parts(tensor.handle.clone(), length) }
}

/// Whether our kernels accept the tensor: they index elements with 32 bits.
pub(super) fn applies<R: CubeRuntime, BT: BoolElement, const D: usize>(tensor: &Tensor<Fused<R, BT>, D>) -> bool {
    let count = tensor.shape().num_elements();
    tensor.dtype() == DType::F32 && count > 0 && u32::try_from(count).is_ok() && !is_plain()
}

/// A cube of `count` units.
pub(super) fn units(count: usize) -> CubeDim {
    CubeDim::new_1d(count as u32)
}

/// Cubes for all rows, `each` rows to a cube.
pub(super) fn cubes_of_rows(rows: usize, each: usize) -> CubeCount {
    CubeCount::Static(rows.div_ceil(each) as u32, 1, 1)
}

//! The fused operations on GPUs: kernels in CubeCL for any of its runtimes, NVIDIA's with tensor cores.
//!
//! burn's fusion already joins elementwise chains to each other, to reductions and to matrix products; what it cannot join is
//! written here: attention, the search for codes, norms, cross-entropy. Each kernel is one custom operation of the fusion's stream.

mod attention;
mod codes;
mod cross_entropy;
mod norm;
mod row;
#[cfg(all(test, feature = "gpu-tests"))]
mod tests;
mod tile;

use super::{NormGrads, Ops, Precision, is_plain, plain, precision};
use attention::{Pass, Sizes};
use burn::tensor::{DType, Int, Shape, Tensor, TensorPrimitive};
use burn_cubecl::cubecl::features::MmaConfig;
use burn_cubecl::cubecl::ir::{ElemType, FloatKind};
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

/// burn's backend over a CubeCL runtime, and the same with its fusion.
type Inner<R, BT> = CubeBackend<R, f32, i32, BT>;
type Fused<R, BT> = Fusion<Inner<R, BT>>;
type Handles<R> = HandleContainer<<FusionCubeRuntime<R> as burn_fusion::FusionRuntime>::FusionHandle>;

/// One launch in the fusion's stream.
struct Launch<R, BT, F> {
    tensors: CustomOpIr,
    /// Takes inputs and outputs, all with elements one after another.
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
        note(&self.tensors.id);
        for (out, tensor) in self.tensors.outputs.iter().zip(outputs) {
            if out.dtype.is_float() {
                handles.register_float_tensor::<Inner<R, BT>>(&out.id, tensor);
            } else {
                handles.register_int_tensor::<Inner<R, BT>>(&out.id, tensor);
            }
        }
    }
}

/// How often each operation was launched, by name.
#[cfg(test)]
static LAUNCHED: std::sync::Mutex<std::collections::BTreeMap<String, usize>> =
    std::sync::Mutex::new(std::collections::BTreeMap::new());

#[cfg(test)]
fn note(name: &str) {
    let mut launched = LAUNCHED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    *launched.entry(name.to_owned()).or_default() += 1;
}

/// Puts a launch into the stream. Gives its outputs, which are of these shapes and types.
fn submit<R, BT, const N: usize>(
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
        .unwrap_or_else(|_| unreachable!("an operation makes as many tensors as it says"))
}

fn native<R: CubeRuntime, BT: BoolElement, const D: usize>(
    tensor: Tensor<Fused<R, BT>, D>,
) -> FusionTensor<FusionCubeRuntime<R>> {
    tensor.into_primitive().tensor()
}

fn wrap<R: CubeRuntime, BT: BoolElement, const D: usize>(
    tensor: FusionTensor<FusionCubeRuntime<R>>,
) -> Tensor<Fused<R, BT>, D> {
    Tensor::from_primitive(TensorPrimitive::Float(tensor))
}

/// Elements of a tensor, as a kernel's argument.
fn array<R: CubeRuntime>(tensor: &CubeTensor<R>) -> ArrayArg<R> {
    let length = tensor.meta.shape().num_elements();
    // SAFETY: so many elements lie there, one after another: `Launch::execute` saw to it
    unsafe { ArrayArg::from_raw_parts(tensor.handle.clone(), length) }
}

/// Whether kernels of ours take the tensor: they count elements in 32 bits.
fn applies<R: CubeRuntime, BT: BoolElement, const D: usize>(tensor: &Tensor<Fused<R, BT>, D>) -> bool {
    let count = tensor.shape().num_elements();
    tensor.dtype() == DType::F32 && count > 0 && u32::try_from(count).is_ok() && !is_plain()
}

/// Most cubes of a launch in its second and third direction.
const MOST_CUBES: usize = 65_535;

/// A cube of so many units.
fn units(count: usize) -> CubeDim {
    CubeDim::new_1d(count as u32)
}

/// Tiles for a pass of attention over heads of so many elements; None if there is no kernel for them on this device.
fn tiles<R: CubeRuntime>(device: &R::Device, head: usize, pass: Pass) -> Option<Sizes> {
    let client = R::client(device);
    let properties = client.properties();
    let half = precision() == Precision::Bf16;
    let bf16 = ElemType::Float(FloatKind::BF16).into();
    let cores = MmaConfig {
        a_type: bf16,
        b_type: bf16,
        cd_type: ElemType::Float(FloatKind::F32).into(),
        m: tile::FRAGMENT as u32,
        n: tile::FRAGMENT as u32,
        k: tile::FRAGMENT as u32,
    };
    // CubeCL offers bf16 from compute capability 7.0 on; CUDA has it, and TF32, from 8.0 on
    let tf32 = ElemType::Float(FloatKind::TF32).into();
    let recent = MmaConfig {
        a_type: tf32,
        b_type: tf32,
        k: tile::FRAGMENT as u32 / 2,
        ..cores
    };
    let offered = &properties.features.matmul.cmma;
    if half && !(offered.contains(&cores) && offered.contains(&recent)) {
        return None;
    }
    let shared = properties.hardware.max_shared_memory_size;
    attention::sizes(head, if half { 2 } else { 4 }, shared, pass)
}

/// Cubes that take so many rows each, for all rows.
fn row_of_cubes(rows: usize, each: usize) -> CubeCount {
    CubeCount::Static(rows.div_ceil(each) as u32, 1, 1)
}

/// Cubes of a pass: tiles of tokens, heads, batch.
fn cubes(sizes: Sizes, [batch, tokens, heads]: [usize; 3]) -> CubeCount {
    CubeCount::Static(tokens.div_ceil(sizes.rows) as u32, heads as u32, batch as u32)
}

impl<R: CubeRuntime, BT: BoolElement> Ops for Fusion<CubeBackend<R, f32, i32, BT>> {
    fn self_attention(qkv: Tensor<Self, 3>, heads: usize) -> Tensor<Self, 3> {
        let [batch, tokens, width3] = qkv.dims();
        let (width, head) = (width3 / 3, width3 / 3 / heads);
        let fits = applies(&qkv) && batch.max(heads) <= MOST_CUBES;
        let sizes = tiles::<R>(&qkv.device(), head, Pass::Forward).filter(|_| fits);
        let Some(sizes) = sizes else {
            return plain::self_attention(qkv, heads);
        };
        let shape = Shape::new([batch, tokens, width]);
        let [out] = submit::<R, BT, 1>(
            "attention",
            vec![native(qkv)],
            [(shape, DType::F32)],
            move |inputs, outputs| {
                // SAFETY: the kernel stays within tensors of these sizes; it does not read the gradient forward
                unsafe {
                    attention::attend::launch_unchecked::<R>(
                        &inputs[0].client,
                        cubes(sizes, [batch, tokens, heads]),
                        units(sizes.units()),
                        array(&inputs[0]),
                        array(&inputs[0]),
                        array(&outputs[0]),
                        tokens as u32,
                        heads as u32,
                        (head as f32).powf(-0.5),
                        false,
                        sizes,
                        attention::operand(sizes.bytes),
                    );
                }
            },
        );
        wrap(out)
    }

    fn self_attention_backward(qkv: Tensor<Self, 3>, grad: Tensor<Self, 3>, heads: usize) -> Tensor<Self, 3> {
        let [batch, tokens, width3] = qkv.dims();
        let head = width3 / 3 / heads;
        let device = qkv.device();
        let fits = applies(&qkv) && applies(&grad) && batch.max(heads) <= MOST_CUBES;
        let fit = |pass| tiles::<R>(&device, head, pass).filter(|_| fits);
        let (Some(of_rows), Some(of_queries), Some(of_keys)) =
            (fit(Pass::Forward), fit(Pass::Queries), fit(Pass::Keys))
        else {
            return plain::self_attention_backward(qkv, grad, heads);
        };
        let outputs = [
            (Shape::new([batch, tokens, width3]), DType::F32),
            (Shape::new([2, batch, heads, tokens]), DType::F32),
        ];
        let inputs = vec![native(qkv), native(grad)];
        let [out, _] = submit::<R, BT, 2>("attention backward", inputs, outputs, move |inputs, outputs| {
            let ([qkv, grad], [out, state]) = (inputs, outputs) else {
                unreachable!("two inputs and two outputs were submitted")
            };
            let (client, factor) = (&qkv.client, (head as f32).powf(-0.5));
            let count = |sizes| cubes(sizes, [batch, tokens, heads]);
            let (tokens, heads) = (tokens as u32, heads as u32);
            let operand = attention::operand(of_rows.bytes);
            // SAFETY: the kernels stay within tensors of these sizes
            unsafe {
                attention::attend::launch_unchecked::<R>(
                    client,
                    count(of_rows),
                    units(of_rows.units()),
                    array(qkv),
                    array(grad),
                    array(state),
                    tokens,
                    heads,
                    factor,
                    true,
                    of_rows,
                    operand,
                );
                for (keys, sizes) in [(false, of_queries), (true, of_keys)] {
                    attention::grade::launch_unchecked::<R>(
                        client,
                        count(sizes),
                        units(sizes.units()),
                        array(qkv),
                        array(grad),
                        array(state),
                        array(out),
                        tokens,
                        heads,
                        factor,
                        keys,
                        sizes,
                        operand,
                    );
                }
            }
        });
        wrap(out)
    }

    fn nearest_codes(rows: Tensor<Self, 2>, vectors: Tensor<Self, 2>) -> Tensor<Self, 2, Int> {
        Self::residual_codes(rows, vec![vectors], false)
    }

    fn residual_codes(rows: Tensor<Self, 2>, books: Vec<Tensor<Self, 2>>, unit_lookup: bool) -> Tensor<Self, 2, Int> {
        let [count, width] = rows.dims();
        let alike = books
            .iter()
            .all(|book| book.dims() == [books[0].dims()[0], width] && applies(book));
        if books.is_empty() || !alike || !applies(&rows) {
            return plain::residual_codes(rows, books, unit_lookup);
        }
        let ([codes, _], number) = (books[0].dims(), books.len());
        let books = Tensor::cat(books, 0); // [Q * K, d]
        let halves = books.clone().powi_scalar(2).sum_dim(1).div_scalar(2.0); // [Q * K, 1]
        let search = codes::Search {
            width,
            codes,
            books: number,
            unit: unit_lookup,
        };
        let outputs = [
            (Shape::new([count, width]), DType::F32),
            (Shape::new([count, number]), DType::I32),
        ];
        let inputs = vec![native(rows), native(books), native(halves)];
        let [_, found] = submit::<R, BT, 2>("residual codes", inputs, outputs, move |inputs, outputs| {
            let cubes = row_of_cubes(count, codes::ROWS);
            // SAFETY: the kernel stays within tensors of these sizes
            unsafe {
                codes::residual_codes::launch_unchecked::<R>(
                    &inputs[0].client,
                    cubes,
                    units(tile::UNITS),
                    array(&inputs[0]),
                    array(&inputs[1]),
                    array(&inputs[2]),
                    array(&outputs[0]),
                    array(&outputs[1]),
                    count as u32,
                    search,
                );
            }
        });
        Tensor::from_primitive(found)
    }

    /// By membership, [N, K], and a sum of its columns: burn's scatter into one axis is a single unit's work.
    fn code_counts(codes: Tensor<Self, 1, Int>, count: usize) -> Tensor<Self, 1> {
        if is_plain() {
            return plain::code_counts(codes, count);
        }
        let every = Tensor::<Self, 1, Int>::arange(0..count as i64, &codes.device());
        let members = codes.unsqueeze_dim::<2>(1).equal(every.unsqueeze_dim(0)).float();
        members.sum_dim(0).reshape([count])
    }

    fn cross_entropy_rows(logits: Tensor<Self, 2>, codes: Tensor<Self, 2, Int>) -> Tensor<Self, 1> {
        if !applies(&logits) || codes.dtype() != DType::I32 {
            return plain::cross_entropy_rows(logits, codes);
        }
        let [count, width] = logits.dims();
        let outputs = [(Shape::new([count]), DType::F32)];
        let inputs = vec![native(logits), codes.into_primitive()];
        let [losses] = submit::<R, BT, 1>("cross-entropy", inputs, outputs, move |inputs, outputs| {
            let cubes = row_of_cubes(count, row::ROWS);
            // SAFETY: the kernel stays within tensors of these sizes
            unsafe {
                cross_entropy::losses::launch_unchecked::<R>(
                    &inputs[0].client,
                    cubes,
                    units(tile::UNITS),
                    array(&inputs[0]),
                    array(&inputs[1]),
                    array(&outputs[0]),
                    count as u32,
                    width,
                );
            }
        });
        wrap::<R, BT, 1>(losses).mean()
    }

    fn cross_entropy_rows_backward(
        logits: Tensor<Self, 2>,
        codes: Tensor<Self, 2, Int>,
        grad: Tensor<Self, 1>,
    ) -> Tensor<Self, 2> {
        if !applies(&logits) || codes.dtype() != DType::I32 {
            return plain::cross_entropy_rows_backward(logits, codes, grad);
        }
        let [count, width] = logits.dims();
        let outputs = [(Shape::new([count, width]), DType::F32)];
        let inputs = vec![native(logits), codes.into_primitive(), native(grad)];
        let [out] = submit::<R, BT, 1>("cross-entropy backward", inputs, outputs, move |inputs, outputs| {
            let cubes = row_of_cubes(count, row::ROWS);
            // SAFETY: the kernel stays within tensors of these sizes
            unsafe {
                cross_entropy::losses_backward::launch_unchecked::<R>(
                    &inputs[0].client,
                    cubes,
                    units(tile::UNITS),
                    array(&inputs[0]),
                    array(&inputs[1]),
                    array(&inputs[2]),
                    array(&outputs[0]),
                    count as u32,
                    width,
                );
            }
        });
        wrap(out)
    }

    fn norm_rows(
        rows: Tensor<Self, 2>,
        scale: Tensor<Self, 1>,
        shift: Tensor<Self, 1>,
        epsilon: f64,
    ) -> Tensor<Self, 2> {
        if ![&scale, &shift].into_iter().all(applies) || !applies(&rows) {
            return plain::norm_rows(rows, scale, shift, epsilon);
        }
        let [count, width] = rows.dims();
        let outputs = [(Shape::new([count, width]), DType::F32)];
        let inputs = vec![native(rows), native(scale), native(shift)];
        let [out] = submit::<R, BT, 1>("norm", inputs, outputs, move |inputs, outputs| {
            let cubes = row_of_cubes(count, row::ROWS);
            // SAFETY: the kernel stays within tensors of these sizes
            unsafe {
                norm::norm::launch_unchecked::<R>(
                    &inputs[0].client,
                    cubes,
                    units(tile::UNITS),
                    array(&inputs[0]),
                    array(&inputs[1]),
                    array(&inputs[2]),
                    array(&outputs[0]),
                    count as u32,
                    epsilon as f32,
                    width,
                );
            }
        });
        wrap(out)
    }

    fn norm_rows_backward(
        rows: Tensor<Self, 2>,
        scale: Tensor<Self, 1>,
        grad: Tensor<Self, 2>,
        epsilon: f64,
    ) -> NormGrads<Self> {
        if !applies(&rows) || !applies(&scale) || !applies(&grad) {
            return plain::norm_rows_backward(rows, scale, grad, epsilon);
        }
        let [count, width] = rows.dims();
        let strips = count.div_ceil(norm::STRIP);
        let outputs = [
            (Shape::new([count, width]), DType::F32),
            (Shape::new([strips, 2, width]), DType::F32),
        ];
        let inputs = vec![native(rows), native(scale), native(grad)];
        let [of_rows, sums] = submit::<R, BT, 2>("norm backward", inputs, outputs, move |inputs, outputs| {
            let cubes = row_of_cubes(count, norm::STRIP);
            // SAFETY: the kernel stays within tensors of these sizes
            unsafe {
                norm::norm_backward::launch_unchecked::<R>(
                    &inputs[0].client,
                    cubes,
                    units(tile::UNITS),
                    array(&inputs[0]),
                    array(&inputs[1]),
                    array(&inputs[2]),
                    array(&outputs[0]),
                    array(&outputs[1]),
                    count as u32,
                    epsilon as f32,
                    width,
                );
            }
        });
        let sums: Tensor<Self, 2> = wrap::<R, BT, 3>(sums).sum_dim(0).reshape([2, width]);
        let [scale, shift] = [0, 1].map(|index| sums.clone().narrow(0, index, 1).reshape([width]));
        NormGrads {
            rows: wrap(of_rows),
            scale,
            shift,
        }
    }
}

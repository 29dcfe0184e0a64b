//! The fused operations on GPUs: kernels in CubeCL for all its runtimes, on NVIDIA's with tensor
//! cores.
//!
//! burn's fusion joins elementwise chains with each other, with reductions and with matrix
//! products. Here is what it cannot join: attention, the search for codes, norms, cross-entropy.

mod attention;
mod codes;
mod cross_entropy;
mod launch;
mod norm;
#[cfg(feature = "cuda")]
mod outside;
mod row;
#[cfg(all(test, feature = "gpu-tests"))]
mod tests;
mod tile;

use super::mode::{Precision, is_plain, precision};
use super::ops::Ops;
use super::plain;
use super::tensors::NormGrads;
use attention::{AttentionTiles, Pass};
use burn::tensor::{DType, Int, Shape, Tensor};
use burn_cubecl::cubecl::features::MmaConfig;
use burn_cubecl::cubecl::ir::{ElemType, FloatKind};
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime};
use burn_fusion::Fusion;
use launch::{applies, array, cubes_of_rows, native, submit, units, wrap};

/// Limit of cubes in the second and third direction of a launch.
const MOST_CUBES: usize = 65_535;

/// Tiles for a pass of attention over heads of `head` elements; None if this device has no kernel
/// for them.
fn tiles<R: CubeRuntime>(device: &R::Device, head: usize, pass: Pass) -> Option<AttentionTiles> {
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
    // CubeCL reports bf16 from compute capability 7.0 on, but CUDA has it only from 8.0 on, as TF32
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
    attention::tiles(head, if half { 2 } else { 4 }, shared, pass)
}

/// Cubes of a pass of attention: tiles of tokens, heads, batch.
fn cubes(sizes: AttentionTiles, [batch, tokens, heads]: [usize; 3]) -> CubeCount {
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
                // SAFETY: the kernel stays within tensors of these sizes; the forward pass does not
                // read the gradient
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
                    attention::gradients::launch_unchecked::<R>(
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
        let same_size = books
            .iter()
            .all(|book| book.dims() == [books[0].dims()[0], width] && applies(book));
        if books.is_empty() || !same_size || !applies(&rows) {
            return plain::residual_codes(rows, books, unit_lookup);
        }
        let ([codes, _], number) = (books[0].dims(), books.len());
        let books = Tensor::cat(books, 0); // [Q * K, d]
        let halves = books.clone().powi_scalar(2).sum_dim(1).div_scalar(2.0); // [Q * K, 1]
        let search = codes::CodeSearch {
            width,
            codes,
            books: number,
            unit_lookup,
        };
        let outputs = [
            (Shape::new([count, width]), DType::F32),
            (Shape::new([count, number]), DType::I32),
        ];
        let inputs = vec![native(rows), native(books), native(halves)];
        let [_, found] = submit::<R, BT, 2>("residual codes", inputs, outputs, move |inputs, outputs| {
            let cubes = cubes_of_rows(count, codes::ROWS);
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

    /// As column sums of a membership matrix, [N, K]: burn scatters into one axis with a single
    /// unit.
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
            let cubes = cubes_of_rows(count, row::ROWS);
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
            let cubes = cubes_of_rows(count, row::ROWS);
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
            let cubes = cubes_of_rows(count, row::ROWS);
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
            let cubes = cubes_of_rows(count, norm::STRIP);
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

    #[cfg(feature = "cuda")]
    fn filled_on_device<const D: usize>(
        values: Tensor<Self, D>,
        fill: &dyn Fn(bridle_ranks::nccl::Buffers),
    ) -> super::ops::Filled<Self, D> {
        if !outside::is_cuda::<R>() || values.dtype() != DType::F32 {
            return Err(values);
        }
        Ok(outside::filled(values, outside::cuda_address, fill))
    }
}

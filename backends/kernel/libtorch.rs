//! The fused operations on LibTorch: its own matrix products, attention and layer norm, and between them our loops over
//! slices, on its threads.

use super::team::Team;
use super::{AdamWFactors, AdamWState, MlpTensors, NormGrads, Ops, flex_rows, is_plain, plain};
use burn::tensor::{DType, Tensor, TensorPrimitive};
use burn_tch::{LibTorch, LibTorchDevice, TchTensor};

fn native<const D: usize>(tensor: Tensor<LibTorch, D>) -> tch::Tensor {
    tensor.into_primitive().tensor().tensor
}

fn wrap<const D: usize>(tensor: tch::Tensor) -> Tensor<LibTorch, D> {
    Tensor::from_primitive(TensorPrimitive::Float(TchTensor::new(tensor)))
}

/// Queries, keys and values [B, H, T, D/H] of `qkv` [B, T, 3D], as views.
fn split(qkv: &tch::Tensor, heads: usize) -> [tch::Tensor; 3] {
    let (batch, tokens, width3) = qkv.size3().expect("qkv has three axes");
    let heads = heads as i64;
    let parts = qkv
        .view([batch, tokens, 3, heads, width3 / 3 / heads])
        .permute([2, 0, 3, 1, 4]);
    [0, 1, 2].map(|index| parts.select(0, index))
}

/// The result [B, H, T, D/H] and the logarithm of each query's sum of exponentials.
fn flash([q, k, v]: &[tch::Tensor; 3]) -> (tch::Tensor, tch::Tensor) {
    tch::Tensor::internal_scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, false, None::<tch::Tensor>, None)
}

/// Whether the processor's kernels apply: f32 on the processor, not empty, and not told otherwise.
fn is_fast<const D: usize>(tensor: &Tensor<LibTorch, D>) -> bool {
    let fits = tensor.dtype() == DType::F32 && tensor.shape().num_elements() > 0;
    fits && matches!(tensor.device(), LibTorchDevice::Cpu) && !is_plain()
}

/// The elements of a tensor for which [`is_fast`] holds and that is contiguous.
fn slice(tensor: &tch::Tensor) -> &[f32] {
    assert!(tensor.is_contiguous() && tensor.kind() == tch::Kind::Float && !tensor.device().is_cuda());
    // SAFETY: so many f32 lie there one after another, for as long as the tensor is held
    unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast(), tensor.numel()) }
}

/// The same to be written to. Nobody else may hold the tensor's elements.
fn slice_mut(tensor: &mut tch::Tensor) -> &mut [f32] {
    assert!(tensor.is_contiguous() && tensor.kind() == tch::Kind::Float && !tensor.device().is_cuda());
    // SAFETY: so many f32 lie there one after another; the borrow and the callers' care keep others away
    unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast(), tensor.numel()) }
}

/// A tensor whose elements nobody else holds: its own, or a copy.
fn owned<const D: usize>(tensor: Tensor<LibTorch, D>) -> tch::Tensor {
    let tensor: TchTensor = tensor.into_primitive().tensor();
    if tensor.can_mut() && tensor.tensor.is_contiguous() {
        return tensor.tensor;
    }
    tensor.tensor.detach_copy()
}

/// A vector as a tensor [D].
fn vector(values: &[f32]) -> Tensor<LibTorch, 1> {
    wrap(tch::Tensor::from_slice(values))
}

impl Ops for LibTorch {
    fn self_attention(qkv: Tensor<Self, 3>, heads: usize) -> Tensor<Self, 3> {
        Self::self_attention_with_sums(qkv, heads).0
    }

    fn self_attention_with_sums(qkv: Tensor<Self, 3>, heads: usize) -> (Tensor<Self, 3>, Option<Tensor<Self, 3>>) {
        if !is_fast(&qkv) {
            return (plain::self_attention(qkv, heads), None);
        }
        let [batch, tokens, width3] = qkv.dims();
        let parts = split(&native(qkv).contiguous(), heads);
        let (mixed, sums) = flash(&parts); // [B, H, T, D/H], [B, H, T]
        let mixed = mixed
            .transpose(1, 2)
            .reshape([batch as i64, tokens as i64, width3 as i64 / 3]);
        (wrap(mixed), Some(wrap(sums)))
    }

    fn self_attention_backward(
        qkv: Tensor<Self, 3>,
        result: (Tensor<Self, 3>, Option<Tensor<Self, 3>>),
        grad: Tensor<Self, 3>,
        heads: usize,
    ) -> Tensor<Self, 3> {
        let (mixed, Some(sums)) = result else {
            return plain::self_attention_backward(qkv, grad, heads);
        };
        let shape = grad.dims().map(|size| size as i64);
        let [batch, tokens, width] = shape;
        let parts = split(&native(qkv).contiguous(), heads);
        let by_head = |rows: Tensor<Self, 3>| {
            native(rows)
                .reshape([batch, tokens, heads as i64, width / heads as i64])
                .transpose(1, 2)
        };
        let [q, k, v] = &parts;
        let (q, k, v) = tch::Tensor::internal_scaled_dot_product_flash_attention_for_cpu_backward(
            &by_head(grad),
            q,
            k,
            v,
            &by_head(mixed),
            &native(sums),
            0.0,
            false,
            None::<tch::Tensor>,
            None,
        );
        let joined = [q, k, v].map(|part| part.transpose(1, 2).reshape(shape));
        wrap(tch::Tensor::cat(&joined, 2))
    }

    fn norm_rows(
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

    fn norm_rows_backward(
        rows: Tensor<Self, 2>,
        scale: Tensor<Self, 1>,
        grad: Tensor<Self, 2>,
        epsilon: f64,
    ) -> NormGrads<Self> {
        if !is_fast(&rows) {
            return plain::norm_rows_backward(rows, scale, grad, epsilon);
        }
        let [rows, scale, grad] = [native(rows), native(scale), native(grad)].map(|tensor| tensor.contiguous());
        let mut out = rows.empty_like();
        let (rows, epsilon) = (slice(&rows), epsilon as f32);
        let team = Team::OpenMp;
        let [scale, shift] =
            flex_rows::norm_backward(team, slice_mut(&mut out), rows, slice(&scale), slice(&grad), epsilon);
        NormGrads {
            rows: wrap(out),
            scale: vector(&scale),
            shift: vector(&shift),
        }
    }

    fn mlp_rows_with_hidden(rows: Tensor<Self, 2>, mlp: MlpTensors<Self>) -> (Tensor<Self, 2>, Tensor<Self, 2>) {
        if !is_fast(&rows) {
            return plain::mlp_rows_with_hidden(rows, mlp);
        }
        let hidden = native(mlp.bias1).addmm(&native(rows), &native(mlp.weight1));
        let out = native(mlp.bias2).addmm(&hidden.gelu("none"), &native(mlp.weight2));
        (wrap(out), wrap(hidden))
    }

    fn adamw_step(state: AdamWState<Self>, grad: Tensor<Self, 1>, factors: &AdamWFactors) -> AdamWState<Self> {
        if !is_fast(&grad) {
            return plain::adamw_step(state, grad, factors);
        }
        let grad = native(grad).contiguous();
        let [mut weights, mut first, mut second] = [state.weights, state.first, state.second].map(owned);
        flex_rows::adamw(
            Team::OpenMp,
            slice_mut(&mut weights),
            slice_mut(&mut first),
            slice_mut(&mut second),
            slice(&grad),
            factors.in_order(),
        );
        let [weights, first, second] = [weights, first, second].map(wrap);
        AdamWState { weights, first, second }
    }
}

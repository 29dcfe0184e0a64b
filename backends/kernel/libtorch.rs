//! The fused operations on LibTorch: its own attention and layer norm kernels where they beat the plain form.

use super::{Ops, is_plain, plain};
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

/// Whether the processor's attention kernel applies: f32 on the processor, and not told otherwise.
fn is_fast(qkv: &Tensor<LibTorch, 3>) -> bool {
    qkv.dtype() == DType::F32 && matches!(qkv.device(), LibTorchDevice::Cpu) && !is_plain()
}

impl Ops for LibTorch {
    fn self_attention(qkv: Tensor<Self, 3>, heads: usize) -> Tensor<Self, 3> {
        if !is_fast(&qkv) {
            return plain::self_attention(qkv, heads);
        }
        let [batch, tokens, width3] = qkv.dims();
        let parts = split(&native(qkv).contiguous(), heads);
        let (mixed, _) = flash(&parts); // [B, H, T, D/H]
        wrap(
            mixed
                .transpose(1, 2)
                .reshape([batch as i64, tokens as i64, width3 as i64 / 3]),
        )
    }

    fn self_attention_backward(qkv: Tensor<Self, 3>, grad: Tensor<Self, 3>, heads: usize) -> Tensor<Self, 3> {
        if !is_fast(&qkv) {
            return plain::self_attention_backward(qkv, grad, heads);
        }
        let shape = grad.dims().map(|size| size as i64);
        let [batch, tokens, width] = shape;
        let parts = split(&native(qkv).contiguous(), heads);
        let grad = native(grad)
            .reshape([batch, tokens, heads as i64, width / heads as i64])
            .transpose(1, 2);
        let (mixed, sums) = flash(&parts);
        let [q, k, v] = &parts;
        let (q, k, v) = tch::Tensor::internal_scaled_dot_product_flash_attention_for_cpu_backward(
            &grad,
            q,
            k,
            v,
            &mixed,
            &sums,
            0.0,
            false,
            None::<tch::Tensor>,
            None,
        );
        let joined = [q, k, v].map(|part| part.transpose(1, 2).reshape(shape));
        wrap(tch::Tensor::cat(&joined, 2))
    }

    fn linear_rows(rows: Tensor<Self, 2>, weight: Tensor<Self, 2>, bias: Tensor<Self, 1>) -> Tensor<Self, 2> {
        if is_plain() {
            return plain::linear_rows(rows, weight, bias);
        }
        wrap(native(bias).addmm(&native(rows), &native(weight)))
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
}

//! Fused operations with gradients: one graph node each, whose backward step is the inner backend's own.

use super::{MlpTensors, Ops, is_plain, plain};
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{self, Backward, OpsKind};
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorPrimitive};

fn wrap<B: Backend, const D: usize>(primitive: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

fn float<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

#[derive(Debug)]
struct SelfAttention;

impl<B: Ops> Backward<B, 1> for SelfAttention {
    /// qkv, the result with its sums, heads.
    type State = (FloatTensor<B>, FloatTensor<B>, Option<FloatTensor<B>>, usize);

    fn backward(self, ops: ops::Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let (qkv, result, sums, heads) = ops.state;
        let result = (wrap(result), sums.map(wrap));
        ops::unary::<B, _>(ops.parents, ops.node, grads, |grad| {
            float(B::self_attention_backward(wrap(qkv), result, wrap(grad), heads))
        });
    }
}

#[derive(Debug)]
struct NormRows;

impl<B: Ops> Backward<B, 3> for NormRows {
    /// Rows, scale, epsilon.
    type State = (FloatTensor<B>, FloatTensor<B>, f64);

    fn backward(self, ops: ops::Ops<Self::State, 3>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (rows, scale, epsilon) = ops.state;
        let found = B::norm_rows_backward(wrap(rows), wrap(scale), wrap(grad), epsilon);
        for (parent, grad) in ops
            .parents
            .into_iter()
            .zip([float(found.rows), float(found.scale), float(found.shift)])
        {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, grad);
            }
        }
    }
}

#[derive(Debug)]
struct MlpRows;

impl<B: Ops> Backward<B, 5> for MlpRows {
    /// Rows, parameters, hidden rows before the GELU.
    type State = (FloatTensor<B>, MlpTensors<B>, FloatTensor<B>);

    fn backward(self, ops: ops::Ops<Self::State, 5>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (rows, mlp, hidden) = ops.state;
        let (rows, mlp) = B::mlp_rows_backward(wrap(rows), mlp, wrap(hidden), wrap(grad));
        let found = [
            float(rows),
            float(mlp.weight1),
            float(mlp.bias1),
            float(mlp.weight2),
            float(mlp.bias2),
        ];
        for (parent, grad) in ops.parents.into_iter().zip(found) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, grad);
            }
        }
    }
}

impl<B: Ops, C: CheckpointStrategy> Ops for Autodiff<B, C> {
    fn self_attention(qkv: Tensor<Self, 3>, heads: usize) -> Tensor<Self, 3> {
        if is_plain() {
            return plain::self_attention(qkv, heads);
        }
        let qkv = float(qkv);
        wrap(
            match Backward::<B, 1>::prepare::<C>(SelfAttention, [qkv.node])
                .compute_bound()
                .stateful()
            {
                OpsKind::Tracked(prep) => {
                    let (output, sums) = B::self_attention_with_sums(wrap(qkv.primitive.clone()), heads);
                    let output = float(output);
                    prep.finish((qkv.primitive, output.clone(), sums.map(float), heads), output)
                }
                OpsKind::UnTracked(prep) => prep.finish(float(B::self_attention(wrap(qkv.primitive), heads))),
            },
        )
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
        let (rows, scale, shift) = (float(rows), float(scale), float(shift));
        let output = B::norm_rows(
            wrap(rows.primitive.clone()),
            wrap(scale.primitive.clone()),
            wrap(shift.primitive),
            epsilon,
        );
        let nodes = [rows.node, scale.node, shift.node];
        wrap(
            match Backward::<B, 3>::prepare::<C>(NormRows, nodes)
                .compute_bound()
                .stateful()
            {
                OpsKind::Tracked(prep) => prep.finish((rows.primitive, scale.primitive, epsilon), float(output)),
                OpsKind::UnTracked(prep) => prep.finish(float(output)),
            },
        )
    }

    fn mlp_rows(rows: Tensor<Self, 2>, mlp: MlpTensors<Self>) -> Tensor<Self, 2> {
        if is_plain() {
            return plain::mlp_rows_with_hidden(rows, mlp).0;
        }
        let rows = float(rows);
        let (weight1, bias1) = (float(mlp.weight1), float(mlp.bias1));
        let (weight2, bias2) = (float(mlp.weight2), float(mlp.bias2));
        let mlp = MlpTensors {
            weight1: wrap(weight1.primitive),
            bias1: wrap(bias1.primitive),
            weight2: wrap(weight2.primitive),
            bias2: wrap(bias2.primitive),
        };
        let nodes = [rows.node, weight1.node, bias1.node, weight2.node, bias2.node];
        wrap(
            match Backward::<B, 5>::prepare::<C>(MlpRows, nodes)
                .compute_bound()
                .stateful()
            {
                OpsKind::Tracked(prep) => {
                    let (output, hidden) = B::mlp_rows_with_hidden(wrap(rows.primitive.clone()), mlp.clone());
                    prep.finish((rows.primitive, mlp, float(hidden)), float(output))
                }
                OpsKind::UnTracked(prep) => prep.finish(float(B::mlp_rows(wrap(rows.primitive), mlp))),
            },
        )
    }
}

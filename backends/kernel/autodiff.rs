//! Fused operations with gradients: one graph node each, whose backward step is the inner
//! backend's.

use super::graph::{float, node, register, wrap};
use super::mode::is_plain;
use super::ops::{Filled, Ops, block_chain};
use super::tensors::{BlockSizes, BlockTensors, MlpTensors, Selection};
use super::{checkpoint, plain};
use bridle_ranks::nccl::Buffers;
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{self, Backward, OpsKind};
use burn::tensor::ops::{FloatTensor, IntTensor};
use burn::tensor::{Int, Tensor};

#[derive(Debug)]
struct SelfAttention;

impl<B: Ops> Backward<B, 1> for SelfAttention {
    /// qkv, heads.
    type State = (FloatTensor<B>, usize);

    fn backward(self, ops: ops::Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let (qkv, heads) = ops.state;
        ops::unary::<B, _>(ops.parents, ops.node, grads, |grad| {
            float(B::self_attention_backward(wrap(qkv), wrap(grad), heads))
        });
    }
}

#[derive(Debug)]
struct BiasedAttention;

impl<B: Ops> Backward<B, 2> for BiasedAttention {
    /// qkv, bias, heads.
    type State = (FloatTensor<B>, FloatTensor<B>, usize);

    fn backward(self, ops: ops::Ops<Self::State, 2>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let parents = ops.parents.map(|parent| parent.map(|node| node.id));
        let (qkv, bias, heads) = ops.state;
        let wants_bias = parents[1].is_some();
        let (qkv, bias) = B::biased_attention_backward(wrap(qkv), wrap(bias), wrap(grad), heads, wants_bias);
        register::<B, 2>(parents, [Some(float(qkv)), bias.map(float)], grads);
    }
}

#[derive(Debug)]
struct GeluRows;

impl<B: Ops> Backward<B, 1> for GeluRows {
    type State = FloatTensor<B>;

    fn backward(self, ops: ops::Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let rows = ops.state;
        ops::unary::<B, _>(ops.parents, ops.node, grads, |grad| {
            float(B::gelu_rows_backward(wrap(rows), wrap(grad)))
        });
    }
}

#[derive(Debug)]
struct LinearRows;

impl<B: Ops> Backward<B, 3> for LinearRows {
    /// Rows, weight.
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: ops::Ops<Self::State, 3>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let parents = ops.parents.map(|parent| parent.map(|node| node.id));
        let (rows, weight) = ops.state;
        let wants_rows = parents[0].is_some();
        let found = B::linear_rows_backward(wrap(rows), wrap(weight), wrap(grad), wants_rows);
        let found = [
            found.rows.map(float),
            Some(float(found.weight)),
            Some(float(found.bias)),
        ];
        register::<B, 3>(parents, found, grads);
    }
}

#[derive(Debug)]
struct SelectRows;

impl<B: Ops> Backward<B, 1> for SelectRows {
    type State = Selection<B>;

    fn backward(self, ops: ops::Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        ops::unary::<B, _>(ops.parents, ops.node, grads, |grad| {
            float(B::select_rows_backward(wrap(grad), ops.state))
        });
    }
}

#[derive(Debug)]
struct CrossEntropyRows;

impl<B: Ops> Backward<B, 1> for CrossEntropyRows {
    /// Logits, codes.
    type State = (FloatTensor<B>, IntTensor<B>);

    fn backward(self, ops: ops::Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let (logits, codes) = ops.state;
        ops::unary::<B, _>(ops.parents, ops.node, grads, |grad| {
            let codes = Tensor::from_primitive(codes);
            float(B::cross_entropy_rows_backward(wrap(logits), codes, wrap(grad)))
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
        let parents = ops.parents.map(|parent| parent.map(|node| node.id));
        let (rows, scale, epsilon) = ops.state;
        let found = B::norm_rows_backward(wrap(rows), wrap(scale), wrap(grad), epsilon);
        let found = [float(found.rows), float(found.scale), float(found.shift)];
        register::<B, 3>(parents, found.map(Some), grads);
    }
}

#[derive(Debug)]
struct MlpRows;

impl<B: Ops> Backward<B, 5> for MlpRows {
    /// Rows, parameters, hidden rows before the GELU.
    type State = (FloatTensor<B>, MlpTensors<B>, FloatTensor<B>);

    fn backward(self, ops: ops::Ops<Self::State, 5>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let parents = ops.parents.map(|parent| parent.map(|node| node.id));
        let (rows, mlp, hidden) = ops.state;
        let (rows, mlp) = B::mlp_rows_backward(wrap(rows), mlp, wrap(hidden), wrap(grad));
        let found = [
            float(rows),
            float(mlp.weight1),
            float(mlp.bias1),
            float(mlp.weight2),
            float(mlp.bias2),
        ];
        register::<B, 5>(parents, found.map(Some), grads);
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
                    let output = float(B::self_attention(wrap(qkv.primitive.clone()), heads));
                    prep.finish((qkv.primitive, heads), output)
                }
                OpsKind::UnTracked(prep) => prep.finish(float(B::self_attention(wrap(qkv.primitive), heads))),
            },
        )
    }

    fn biased_attention(qkv: Tensor<Self, 3>, bias: Tensor<Self, 4>, heads: usize) -> Tensor<Self, 3> {
        if is_plain() {
            return plain::biased_attention(qkv, bias, heads);
        }
        let (qkv, bias) = (float(qkv), float(bias));
        let output = B::biased_attention(wrap(qkv.primitive.clone()), wrap(bias.primitive.clone()), heads);
        let prepared = Backward::<B, 2>::prepare::<C>(BiasedAttention, [qkv.node, bias.node]);
        node(prepared, (qkv.primitive, bias.primitive, heads), output)
    }

    fn gelu_rows(rows: Tensor<Self, 2>) -> Tensor<Self, 2> {
        if is_plain() {
            return plain::gelu_rows(rows);
        }
        let rows = float(rows);
        let output = B::gelu_rows(wrap(rows.primitive.clone()));
        let prepared = Backward::<B, 1>::prepare::<C>(GeluRows, [rows.node]);
        node(prepared, rows.primitive, output)
    }

    fn linear_rows(rows: Tensor<Self, 2>, weight: Tensor<Self, 2>, bias: Tensor<Self, 1>) -> Tensor<Self, 2> {
        if is_plain() {
            return plain::linear_rows(rows, weight, bias);
        }
        let (rows, weight, bias) = (float(rows), float(weight), float(bias));
        let output = B::linear_rows(
            wrap(rows.primitive.clone()),
            wrap(weight.primitive.clone()),
            wrap(bias.primitive),
        );
        let nodes = [rows.node, weight.node, bias.node];
        let prepared = Backward::<B, 3>::prepare::<C>(LinearRows, nodes);
        node(prepared, (rows.primitive, weight.primitive), output)
    }

    fn nearest_codes(rows: Tensor<Self, 2>, vectors: Tensor<Self, 2>) -> Tensor<Self, 2, Int> {
        Tensor::from_inner(B::nearest_codes(rows.inner(), vectors.inner()))
    }

    fn most_similar_codes(rows: Tensor<Self, 2>, vectors: Tensor<Self, 2>) -> Tensor<Self, 2, Int> {
        Tensor::from_inner(B::most_similar_codes(rows.inner(), vectors.inner()))
    }

    fn dot_products(rows: Tensor<Self, 2>, vectors: Tensor<Self, 2>) -> Tensor<Self, 2> {
        Tensor::from_inner(B::dot_products(rows.inner(), vectors.inner()))
    }

    fn residual_codes(rows: Tensor<Self, 2>, books: Vec<Tensor<Self, 2>>, unit_lookup: bool) -> Tensor<Self, 2, Int> {
        let books = books.into_iter().map(Tensor::inner).collect();
        Tensor::from_inner(B::residual_codes(rows.inner(), books, unit_lookup))
    }

    fn code_counts(codes: Tensor<Self, 1, Int>, count: usize) -> Tensor<Self, 1> {
        Tensor::from_inner(B::code_counts(codes.inner(), count))
    }

    fn code_sums(rows: Tensor<Self, 2>, codes: Tensor<Self, 2, Int>, count: usize) -> Tensor<Self, 2> {
        Tensor::from_inner(B::code_sums(rows.inner(), codes.inner(), count))
    }

    fn filled_on_device<const D: usize>(values: Tensor<Self, D>, fill: &dyn Fn(Buffers)) -> Filled<Self, D> {
        let filled = B::filled_on_device(values.inner(), fill);
        filled.map(Tensor::from_inner).map_err(Tensor::from_inner)
    }

    fn select_rows(rows: Tensor<Self, 2>, selection: Selection<Self>) -> Tensor<Self, 2> {
        if is_plain() {
            return plain::select_rows(rows, selection);
        }
        let (rows, selection) = (float(rows), selection.inner());
        let output = B::select_rows(wrap(rows.primitive), selection.clone());
        node(
            Backward::<B, 1>::prepare::<C>(SelectRows, [rows.node]),
            selection,
            output,
        )
    }

    fn cross_entropy_rows(logits: Tensor<Self, 2>, codes: Tensor<Self, 2, Int>) -> Tensor<Self, 1> {
        if is_plain() {
            return plain::cross_entropy_rows(logits, codes);
        }
        let (logits, codes) = (float(logits), codes.inner());
        let output = B::cross_entropy_rows(wrap(logits.primitive.clone()), codes.clone());
        let prepared = Backward::<B, 1>::prepare::<C>(CrossEntropyRows, [logits.node]);
        node(prepared, (logits.primitive, codes.into_primitive()), output)
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
        let prepared = Backward::<B, 3>::prepare::<C>(NormRows, nodes);
        node(prepared, (rows.primitive, scale.primitive, epsilon), output)
    }

    fn block_rows(rows: Tensor<Self, 2>, block: BlockTensors<Self>, sizes: BlockSizes) -> Tensor<Self, 2> {
        if is_plain() {
            return block_chain(rows, &block, sizes);
        }
        checkpoint::block_node(rows, block, sizes)
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

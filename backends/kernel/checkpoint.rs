//! A transformer block as one node that keeps only its input, and computes the rest again for
//! gradients.
//!
//! burn locks its graph during a backward pass, so that no second one can run within. The backward
//! pass of the block is therefore put together from those of the fused operations.

use super::graph::{float, node, register, wrap};
use super::ops::{BlockAttention, Ops, block_attention, block_chain, block_stream};
use super::tensors::{BlockSizes, BlockTensors, MlpTensors};
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{self, Backward};
use burn::tensor::Tensor;
use burn::tensor::ops::FloatTensor;

/// Gradients of the rows and of the parameters, from that of the result.
fn backward<B: Ops>(
    rows: Tensor<B, 2>,
    block: BlockTensors<B>,
    sizes: BlockSizes,
    grad: Tensor<B, 2>,
) -> (Tensor<B, 2>, BlockTensors<B>) {
    let epsilon = sizes.epsilon;
    let BlockAttention { normed, qkv, mixed } = block_attention(rows.clone(), &block, sizes);
    let (stream, normed2) = block_stream(rows.clone(), mixed.clone(), &block, epsilon);
    let hidden = B::linear_rows(normed2.clone(), block.mlp.weight1.clone(), block.mlp.bias1.clone());
    let (grad2, mlp) = B::mlp_rows_backward(normed2, block.mlp, hidden, grad.clone());
    let [scale, _] = block.norm2;
    let norm2 = B::norm_rows_backward(stream, scale, grad2, epsilon);
    let grad = grad + norm2.rows;
    let proj = B::linear_rows_backward(mixed, block.proj.0, grad.clone(), true);
    let ([batch, tokens, _], [_, dim]) = (qkv.dims(), rows.dims());
    let wanted = "the gradient of the rows was requested";
    let grad_mixed = proj.rows.expect(wanted).reshape([batch, tokens, dim]);
    let grad_qkv = B::self_attention_backward(qkv, grad_mixed, sizes.heads).reshape([batch * tokens, 3 * dim]);
    let qkv = B::linear_rows_backward(normed, block.qkv.0, grad_qkv, true);
    let [scale, _] = block.norm1;
    let norm1 = B::norm_rows_backward(rows, scale, qkv.rows.expect(wanted), epsilon);
    let grads = BlockTensors {
        norm1: [norm1.scale, norm1.shift],
        qkv: (qkv.weight, qkv.bias),
        proj: (proj.weight, proj.bias),
        norm2: [norm2.scale, norm2.shift],
        mlp,
    };
    (grad + norm1.rows, grads)
}

/// A block's parameters.
const PARAMETERS: usize = 12;

impl<B: Ops> BlockTensors<B> {
    fn floats(self) -> [FloatTensor<B>; PARAMETERS] {
        let Self {
            norm1: [scale1, shift1],
            qkv,
            proj,
            norm2: [scale2, shift2],
            mlp,
        } = self;
        [
            float(scale1),
            float(shift1),
            float(qkv.0),
            float(qkv.1),
            float(proj.0),
            float(proj.1),
            float(scale2),
            float(shift2),
            float(mlp.weight1),
            float(mlp.bias1),
            float(mlp.weight2),
            float(mlp.bias2),
        ]
    }

    fn from_floats(floats: [FloatTensor<B>; PARAMETERS]) -> Self {
        let [
            scale1,
            shift1,
            qkv,
            qkv_bias,
            proj,
            proj_bias,
            scale2,
            shift2,
            fc1,
            bias1,
            fc2,
            bias2,
        ] = floats;
        Self {
            norm1: [wrap(scale1), wrap(shift1)],
            qkv: (wrap(qkv), wrap(qkv_bias)),
            proj: (wrap(proj), wrap(proj_bias)),
            norm2: [wrap(scale2), wrap(shift2)],
            mlp: MlpTensors {
                weight1: wrap(fc1),
                bias1: wrap(bias1),
                weight2: wrap(fc2),
                bias2: wrap(bias2),
            },
        }
    }
}

#[derive(Debug)]
struct BlockRows;

impl<B: Ops> Backward<B, { PARAMETERS + 1 }> for BlockRows {
    /// Rows, parameters, sizes.
    type State = (FloatTensor<B>, BlockTensors<B>, BlockSizes);

    fn backward(
        self,
        ops: ops::Ops<Self::State, { PARAMETERS + 1 }>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        let parents = ops.parents.map(|parent| parent.map(|node| node.id));
        let (rows, block, sizes) = ops.state;
        let (rows, block) = backward::<B>(wrap(rows), block, sizes, wrap(grad));
        let [a, b, c, d, e, f, g, h, i, j, k, l] = block.floats();
        let found = [float(rows), a, b, c, d, e, f, g, h, i, j, k, l];
        register::<B, { PARAMETERS + 1 }>(parents, found.map(Some), grads);
    }
}

/// [`Ops::block_rows`] as one node of the graph.
pub(super) fn block_node<B: Ops, C: CheckpointStrategy>(
    rows: Tensor<Autodiff<B, C>, 2>,
    block: BlockTensors<Autodiff<B, C>>,
    sizes: BlockSizes,
) -> Tensor<Autodiff<B, C>, 2> {
    let (rows, parameters) = (float(rows), block.floats());
    let [a, b, c, d, e, f, g, h, i, j, k, l] = parameters.each_ref().map(|parameter| parameter.node.clone());
    let nodes = [rows.node, a, b, c, d, e, f, g, h, i, j, k, l];
    let block = BlockTensors::from_floats(parameters.map(|parameter| parameter.primitive));
    let output = block_chain::<B>(wrap(rows.primitive.clone()), &block, sizes);
    let prepared = Backward::<B, { PARAMETERS + 1 }>::prepare::<C>(BlockRows, nodes);
    node(prepared, (rows.primitive, block, sizes), output)
}

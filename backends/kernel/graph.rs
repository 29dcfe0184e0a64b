//! Nodes of burn's autodiff graph: from tensors to primitives and back, and gradients to parents.

use burn::backend::Autodiff;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, OpsKind, OpsPrep};
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorPrimitive};

pub(super) fn wrap<B: Backend, const D: usize>(primitive: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

pub(super) fn float<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

/// Makes `output` the result of a prepared node, which keeps `state` only if it is tracked.
pub(super) fn node<B, C, S, const N: usize, const D: usize>(
    prepared: OpsPrep<S, B, S::State, C, N>,
    state: S::State,
    output: Tensor<B, D>,
) -> Tensor<Autodiff<B, C>, D>
where
    B: Backend,
    C: CheckpointStrategy,
    S: Backward<B, N>,
{
    wrap(match prepared.compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(state, float(output)),
        OpsKind::UnTracked(prepared) => prepared.finish(float(output)),
    })
}

/// Registers the gradient of each parent that is tracked.
pub(super) fn register<B: Backend, const N: usize>(
    parents: [Option<NodeId>; N],
    found: [Option<FloatTensor<B>>; N],
    grads: &mut Gradients,
) {
    for (parent, grad) in parents.into_iter().zip(found) {
        if let (Some(parent), Some(grad)) = (parent, grad) {
            grads.register::<B>(parent, grad);
        }
    }
}

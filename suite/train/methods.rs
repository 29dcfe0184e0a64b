//! The methods of pretraining, a file each.
//!
//! A new method is a file here with a `mod` line and a line of [`pretrain`], and an entry with what
//! it declares in the list of [`crate::plan::method`]. An algorithm that stands on its own is better
//! a file of `baselines/`.

mod best_rq;
mod birq;
pub mod bridle;
mod bridle_speech;
mod masked;
mod refine;
mod relabel;

use super::phases::{self, Pretrained};
use super::{Context, PretrainState, TrainError};
use crate::plan::Method;
use ::bridle::weights::Weights;
use bridle_backends::TrainBackend;

/// Pretrains by the plan's method, from the start or from a checkpoint. Panics if it pretrains
/// nothing.
///
/// # Errors
/// If training diverges, is interrupted, cannot read a sample, or cannot write; if the checkpoint
/// does not fit.
pub fn pretrain<B: TrainBackend, D: bridle::HasBridle>(
    context: &Context<'_, D>,
    saved: Option<(Weights, PretrainState)>,
    device: &B::Device,
) -> Result<Pretrained<D::Encoder<B>>, TrainError> {
    match context.plan.method {
        Method::Bridle | Method::BridleJoint => phases::run::<B, D, D::Bridle<B>>(context, saved, device),
        Method::BestRq => phases::run::<B, D, best_rq::BestRqMethod<B, D>>(context, saved, device),
        Method::Birq => phases::run::<B, D, birq::BirqMethod<B, D>>(context, saved, device),
        Method::Relabel => phases::run::<B, D, relabel::RelabelMethod<B, D>>(context, saved, device),
        method @ (Method::RandomInit | Method::Scratch | Method::Init | Method::Embeddings) => {
            unreachable!("`{method}` pretrains nothing")
        }
    }
}

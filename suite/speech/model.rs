//! From the plan's values to the models of speech.

use crate::plan::Plan;
use crate::quantizers::FrameTeacher;
use bridle::init::Init;
use bridle::speech::conformer::ConformerConfig;
use bridle::standardizer::Standardizer;
use bridle_backends::Ops;
use burn::tensor::backend::Backend;

/// Sizes of the encoder (and of the tokenizer's body).
pub fn encoder(plan: &Plan) -> ConformerConfig {
    let sizes = plan.conformer();
    ConformerConfig {
        inputs: plan.width(),
        dim: sizes.dim,
        depth: sizes.depth,
        heads: sizes.heads,
        ff_ratio: sizes.ff_ratio,
        kernel: sizes.kernel,
    }
}

/// Inputs are standardised as they are read, each mel band by itself, so that nothing is left to do.
pub fn standard<B: Backend>(plan: &Plan, init: &Init<B>) -> Standardizer<B> {
    Standardizer::none(plan.width(), init)
}

/// Tokenizer and estimator; None where the plan trains none.
pub fn teacher<B: Ops>(plan: &Plan, init: &Init<B>) -> Option<FrameTeacher<B>> {
    let depth = plan.conformer().estimator_depth?;
    let quantizer = plan.quantizer.as_ref()?;
    Some(FrameTeacher::new(
        &encoder(plan),
        depth,
        standard(plan, init),
        quantizer,
        init,
    ))
}

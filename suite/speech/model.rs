//! From the plan's values to the models of speech.

use crate::plan::Plan;
use bridle::speech::conformer::ConformerConfig;

/// Sizes of the encoder, and of the tokenizer's body.
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

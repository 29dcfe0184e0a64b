//! Values of the plan that are words. The model crate declares those that configure the model.

pub use crate::quantizers::QuantizerKind;
pub use bridle::codebook::{SoftPick, Start};
pub use bridle::config::{AudioRows, DecoderKind};
pub use bridle::rq::{Restart, Space};
pub use bridle_values::ChoiceError;
pub(crate) use bridle_values::choices;

choices! {
    /// A named set of values for what the authors' code does oddly.
    "recipe" Recipe {
        /// what the authors' code computes, oddities included
        Authors = "authors",
        /// the same with each plain slip mended; none of the changes is assumed to help
        Corrected = "corrected",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Method;

    #[test]
    fn words_read_back_as_the_value_that_wrote_them() {
        for &method in Method::ALL {
            assert_eq!(method.word().parse(), Ok(method));
        }
        for quantizer in QuantizerKind::all() {
            assert_eq!(quantizer.word().parse(), Ok(quantizer));
            assert_eq!(format!("{quantizer:>8}|"), format!("{:>8}|", quantizer.word()));
        }
        assert_eq!(
            Method::RandomInit.about(),
            "no training: the frozen random encoder, a control"
        );
    }

    #[test]
    fn known_words_are_told_from_unknown_ones() {
        let later = "fp16"
            .parse::<crate::request::Dtype>()
            .map_err(|error| error.to_string());
        assert_eq!(
            later,
            Err("dtype `fp16` is known but not available in this version; available: fp32, bf16".to_owned())
        );
        assert_eq!(
            "author".parse::<Recipe>().map_err(|error| error.to_string()),
            Err("unknown recipe `author`; did you mean `authors`? (known: authors, corrected)".to_owned())
        );
    }
}

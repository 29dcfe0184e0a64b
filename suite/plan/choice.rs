//! Values of the plan that are words, except for those that the model crate declares beside what they configure.

pub use crate::quantizers::QuantizerKind;
pub use bridle::codebook::{SoftPick, Start};
pub use bridle::config::{AudioRows, DecoderKind};
pub use bridle::rq::{Restart, Space};
pub use bridle_values::ChoiceError;
pub(crate) use bridle_values::choices;

choices! {
    /// What trains the encoder.
    "method" Method {
        /// encoder and tokenizer phases in turn, each trained on what the other learnt
        Bridle = "bridle",
        /// encoder and tokenizer trained in the same steps
        BridleJoint = "bridle-joint",
        /// no training: the frozen random encoder, a control
        RandomInit = "random-init",
        /// no pretraining: fine-tuning from random weights, a control
        Scratch = "scratch",
        /// masked prediction of fixed random labels of the input (arXiv 2202.01855)
        BestRq = "best-rq",
        /// the same, with labels that the encoder's own layers improve (arXiv 2509.15430)
        Birq = "birq",
        /// two rounds: fixed random labels, then k-means labels from a layer of that encoder (speech)
        Relabel = "relabel",
        /// no pretraining here: the weights given with --init, whatever made them
        Init = "init",
    }
}

impl Method {
    /// Whether it trains an encoder before any class is seen.
    pub fn pretrains(self) -> bool {
        matches!(self, Self::Bridle | Self::BridleJoint) || self.masks_frames()
    }

    /// Whether it hides frames in its input, rather than leaving tokens out, and predicts their labels without a decoder.
    pub fn masks_frames(self) -> bool {
        matches!(self, Self::BestRq | Self::Birq | Self::Relabel)
    }

    /// The quantizer that it has unless another is named.
    pub fn usual_quantizer(self) -> &'static str {
        if self.masks_frames() { "random" } else { "rq" }
    }

    /// The protocols that can judge its encoder, the usual one first.
    pub fn protocols(self) -> &'static [Protocol] {
        match self {
            Self::Bridle | Self::BridleJoint | Self::BestRq | Self::Birq | Self::Relabel | Self::Init => Protocol::ALL,
            // fine-tuning random weights is the other control, by its own name
            Self::RandomInit => &[Protocol::LinearProbe, Protocol::Knn],
            Self::Scratch => &[Protocol::Finetune],
        }
    }
}

choices! {
    /// How a trained encoder is judged.
    "protocol" Protocol {
        /// a linear classifier on frozen, mean-pooled features
        LinearProbe = "linear-probe",
        /// the classes of the nearest training samples, by cosine of the same features
        Knn = "knn",
        /// the whole encoder and a head, trained on the classes
        Finetune = "finetune",
    }
}

choices! {
    /// A named set of values for what the authors' code does oddly.
    "recipe" Recipe {
        /// what the authors' code computes, oddities included
        Authors = "authors",
        /// the same with each plain slip mended; none of the changes is assumed to help
        Corrected = "corrected",
    }
}

choices! {
    /// The shape of the mask.
    "mask" MaskKind {
        /// single tokens
        Random = "random",
        /// the same places in all frames
        Tube = "tube",
        /// spans of tokens in their order, with noise in their place
        Span = "span",
    }
}

choices! {
    /// Whether cold-start labels see the tokens' positions.
    "cold-start position" ColdStartPosition {
        /// position is added before the label is made
        InLabel = "in-label",
        /// labels from content alone
        Out = "out",
    }
}

choices! {
    /// Rolling the waveform in time.
    "roll" Roll {
        /// the waveform stays as it is
        Never = "never",
        /// by any number of frames, anew at every step
        Uniform = "uniform",
    }
}

choices! {
    /// Which rows of a longer position table a shorter ESC-50 clip takes.
    "position crop" Esc50Crop {
        /// token j takes the row of token j + 127
        OffByOne = "off-by-one",
        /// token j takes the row of token j + 128, which is 16 whole time steps later
        ByTime = "by-time",
    }
}

choices! {
    /// The loss of fine-tuning.
    "loss" FinetuneLoss {
        /// one softmax over all classes
        CrossEntropy = "cross-entropy",
        /// each class by itself, for samples of several classes
        Binary = "binary",
    }
}

choices! {
    /// Which training samples an epoch of fine-tuning shows.
    "sampler" Sampler {
        /// every sample once, in a new order
        Shuffle = "shuffle",
        /// drawn with replacement, samples of rare classes more often
        Weighted = "weighted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

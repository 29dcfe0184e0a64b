//! Values of the plan that are names: each list has the names that work and the names that are only known yet.
//!
//! To add a value, move or add its line in the list; the compiler then points at every place that must answer it.

use crate::error::{Failure, UnknownName};
use crate::exit::Exit;
use crate::quantizers::QUANTIZERS;
use bridle::quantizer::QuantizerInfo;

/// A name that is not among the working values of a list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// The word is in no list.
    #[error(transparent)]
    Unknown(#[from] UnknownName),
    /// The word is right but nothing stands behind it in this version.
    #[error("{kind} `{name}` is known but not available in this version; available: {}", available.join(", "))]
    NotAvailable {
        /// What it is a value of.
        kind: &'static str,
        /// The word.
        name: String,
        /// The words that work.
        available: Vec<&'static str>,
    },
}

impl From<ChoiceError> for Failure {
    fn from(error: ChoiceError) -> Self {
        Failure::new(Exit::WrongUse, error)
    }
}

/// Lets a list's values be written and read as their words.
macro_rules! as_words {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
                let word = <String as serde::Deserialize>::deserialize(deserializer)?;
                word.parse().map_err(<D::Error as serde::de::Error>::custom)
            }
        }
    };
}
pub(crate) use as_words;

/// Declares the enum of a list of names, its words, and its reading and writing.
macro_rules! choices {
    ($(#[$about:meta])* $kind:literal $name:ident { $($(#[doc = $doc:literal])* $variant:ident = $word:literal,)+ }
     known: [$($later:literal),*]) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[doc = $doc])* $variant,)+ }

        impl $name {
            /// All working values, in the order of the list.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word for it, in plans, records and options.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// What it means, in a line.
            pub fn about(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),*).trim_ascii()),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.word())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::plan::choice::ChoiceError;

            fn from_str(word: &str) -> std::result::Result<Self, $crate::plan::choice::ChoiceError> {
                let later: &[&str] = &[$($later),*];
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ if later.contains(&word) => Err($crate::plan::choice::ChoiceError::NotAvailable {
                        kind: $kind,
                        name: word.to_owned(),
                        available: vec![$($word),+],
                    }),
                    _ => Err($crate::error::UnknownName::new($kind, word, [$($word),+]).into()),
                }
            }
        }

        $crate::plan::choice::as_words!($name);
    };
}
pub(crate) use choices;

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
    known: []
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

/// What makes the labels: an entry of the method's own list, which is the only place that names quantizers.
#[derive(Clone, Copy, Debug)]
pub struct QuantizerKind(&'static QuantizerInfo);

impl QuantizerKind {
    /// All quantizers, in the order of the method's list.
    pub fn all() -> impl Iterator<Item = Self> {
        QUANTIZERS.iter().map(Self)
    }

    /// The word for it, in plans, records and options.
    pub fn word(self) -> &'static str {
        self.0.name
    }

    /// What it is, in a line.
    pub fn about(self) -> &'static str {
        self.0.summary
    }

    /// Whether it takes several codebooks.
    pub fn has_levels(self) -> bool {
        self.0.several_codebooks
    }

    /// Whether its codebooks learn.
    pub fn learns(self) -> bool {
        self.0.learns
    }
}

impl PartialEq for QuantizerKind {
    fn eq(&self, other: &Self) -> bool {
        self.word() == other.word()
    }
}

impl std::fmt::Display for QuantizerKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

impl std::str::FromStr for QuantizerKind {
    type Err = ChoiceError;

    fn from_str(word: &str) -> Result<Self, ChoiceError> {
        let unknown = || UnknownName::new("quantizer", word, Self::all().map(Self::word));
        Ok(Self::all().find(|kind| kind.word() == word).ok_or_else(unknown)?)
    }
}

as_words!(QuantizerKind);

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
    known: []
}

choices! {
    /// A named set of values for what the authors' code does oddly.
    "recipe" Recipe {
        /// what the authors' code computes, oddities included
        Authors = "authors",
        /// the same with each plain slip mended; none of the changes is assumed to help
        Corrected = "corrected",
    }
    known: []
}

choices! {
    /// The decoder's attention.
    "decoder" DecoderKind {
        /// every token sees every token
        Global = "global",
        /// shifted windows of 4 x 4 tokens
        Swin = "swin",
    }
    known: []
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
    known: []
}

choices! {
    /// Where the first code vectors come from.
    "codebook start" Start {
        /// k-means on the first batch
        Kmeans = "kmeans",
        /// uniform random vectors
        Uniform = "uniform",
    }
    known: []
}

choices! {
    /// Which codes are chosen when there are several per level.
    "soft pick" SoftPick {
        /// the farthest codes
        Farthest = "farthest",
        /// the nearest codes
        Nearest = "nearest",
    }
    known: []
}

choices! {
    /// When unused codes take new vectors.
    "restart" Restart {
        /// in the first forward only, judged on that batch
        FirstForward = "first-forward",
        /// every 100 steps, codes whose average usage is below a tenth of the even share
        ByUsage = "by-usage",
    }
    known: []
}

choices! {
    /// The space in which residuals are quantized.
    "quantizer space" Space {
        /// unit length for lookup and EMA, raw residual carried on
        UnitLookup = "unit-lookup",
        /// one space for lookup, EMA, residual and loss; latents are standardised once
        Raw = "raw",
    }
    known: []
}

choices! {
    /// Order of the position table's rows over the tokens of a spectrogram.
    "order of rows" AudioRows {
        /// the table of a (mel, time) grid read by tokens in (time, mel) order
        Scrambled = "scrambled",
        /// each token gets the row of its own place
        TokenOrder = "token-order",
    }
    known: []
}

choices! {
    /// Whether cold-start labels see the tokens' positions.
    "cold-start position" ColdStartPosition {
        /// position is added before the label is made
        InLabel = "in-label",
        /// labels from content alone
        Out = "out",
    }
    known: []
}

choices! {
    /// Rolling the waveform in time.
    "roll" Roll {
        /// the waveform stays as it is
        Never = "never",
        /// by any number of frames, anew at every step
        Uniform = "uniform",
    }
    known: []
}

choices! {
    /// Which rows of a longer position table a shorter ESC-50 clip takes.
    "position crop" Esc50Crop {
        /// token j takes the row of token j + 127
        OffByOne = "off-by-one",
        /// token j takes the row of token j + 128, which is 16 whole time steps later
        ByTime = "by-time",
    }
    known: []
}

choices! {
    /// The loss of fine-tuning.
    "loss" FinetuneLoss {
        /// one softmax over all classes
        CrossEntropy = "cross-entropy",
        /// each class by itself, for samples of several classes
        Binary = "binary",
    }
    known: []
}

choices! {
    /// Which training samples an epoch of fine-tuning shows.
    "sampler" Sampler {
        /// every sample once, in a new order
        Shuffle = "shuffle",
        /// drawn with replacement, samples of rare classes more often
        Weighted = "weighted",
    }
    known: []
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

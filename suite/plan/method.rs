//! The list of methods, with what a plan must know of each: the data that it takes, what makes its
//! labels, which values of the plan it uses, and which protocols fit. What they do is in
//! [`crate::train::methods`].

use crate::quantizers::QuantizerKind;
use bridle_values::{UnknownName, as_words};

/// The data that a method takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Inputs of one shape, and utterances.
    Any,
    /// Inputs of one shape: sounds, images, videos.
    Fixed,
    /// Utterances of any length.
    Speech,
}

/// What makes a method's labels.
#[derive(Clone, Copy, Debug)]
pub enum LabelsFrom {
    /// No labels: it pretrains nothing.
    Nothing,
    /// A tokenizer with any quantizer; this is the default.
    Tokenizer(&'static str),
    /// Code of the method, which implements only these quantizers; the first is the default.
    Own(&'static [&'static str]),
}

/// Which protocols fit a method's encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JudgedBy {
    /// All.
    Any,
    /// Those that freeze the encoder.
    Frozen,
    /// Those that train the encoder.
    Trained,
    /// Those that need nothing but a vector of each sample.
    Vectors,
}

/// What a phase of pretraining trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseKind {
    /// Encoder and decoder; the tokenizer is frozen.
    Encoder,
    /// Tokenizer and estimator; the encoder is frozen.
    Tokenizer,
    /// All of them in turns of steps.
    Joint,
    /// An encoder and a head, on input with hidden frames.
    Masked,
}

/// What a method declares.
#[derive(Debug)]
pub struct MethodInfo {
    /// The word for it, in plans, records and options.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// The data that it takes.
    pub takes: Takes,
    /// What makes its labels.
    pub labels: LabelsFrom,
    /// What its encoder phases train; None where nothing is pretrained. On speech they always hide
    /// frames.
    pub phase: Option<PhaseKind>,
    /// Sections and values of the plan that it uses, except for those that every method uses.
    pub uses: &'static [&'static str],
    /// Which protocols fit its encoder.
    pub judged_by: JudgedBy,
}

/// Declares the methods.
macro_rules! methods {
    ($($variant:ident: $info:expr;)+) => {
        /// What trains the encoder.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Method { $($variant,)+ }

        impl Method {
            /// All methods, in the order of the list.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// What it declares.
            pub const fn info(self) -> &'static MethodInfo {
                match self { $(Self::$variant => &$info),+ }
            }
        }
    };
}

methods! {
    Bridle: MethodInfo {
        name: "bridle",
        about: "encoder and tokenizer phases in turn, each trained on what the other learnt",
        takes: Takes::Any,
        labels: LabelsFrom::Tokenizer("rq"),
        phase: Some(PhaseKind::Encoder),
        uses: &[
            "quantizer",
            "mask",
            "mask.ratio",
            "pretrain",
            "pretrain.rounds",
            "pretrain.relabel",
            "pretrain.tokenizer",
            "model.decoder",
            "model.estimator",
            "model.estimator_depth",
            "cold_start",
            "labels",
        ],
        judged_by: JudgedBy::Any,
    };
    BridleJoint: MethodInfo {
        name: "bridle-joint",
        about: "encoder and tokenizer trained in the same steps",
        takes: Takes::Fixed,
        labels: LabelsFrom::Tokenizer("rq"),
        phase: Some(PhaseKind::Joint),
        uses: &[
            "quantizer",
            "mask",
            "mask.ratio",
            "pretrain",
            "model.decoder",
            "model.estimator",
            "cold_start",
            "joint",
        ],
        judged_by: JudgedBy::Any,
    };
    RandomInit: MethodInfo {
        name: "random-init",
        about: "no training: the frozen random encoder, a control",
        takes: Takes::Any,
        labels: LabelsFrom::Nothing,
        phase: None,
        uses: &[],
        // fine-tuning random weights is the other control, by its own name
        judged_by: JudgedBy::Frozen,
    };
    Scratch: MethodInfo {
        name: "scratch",
        about: "no pretraining: fine-tuning from random weights, a control",
        takes: Takes::Any,
        labels: LabelsFrom::Nothing,
        phase: None,
        uses: &[],
        judged_by: JudgedBy::Trained,
    };
    BestRq: MethodInfo {
        name: "best-rq",
        about: "masked prediction of fixed random labels of the input (arXiv 2202.01855)",
        takes: Takes::Any,
        labels: LabelsFrom::Own(&["random"]),
        phase: Some(PhaseKind::Masked),
        uses: &["quantizer", "mask", "pretrain", "refine"],
        judged_by: JudgedBy::Any,
    };
    Birq: MethodInfo {
        name: "birq",
        about: "the same, with labels that the encoder's own layers improve (arXiv 2509.15430)",
        takes: Takes::Any,
        labels: LabelsFrom::Own(&["random"]),
        phase: Some(PhaseKind::Masked),
        uses: &["quantizer", "mask", "pretrain", "birq"],
        judged_by: JudgedBy::Any,
    };
    Relabel: MethodInfo {
        name: "relabel",
        about: "two rounds: fixed random labels, then k-means labels from a layer of that encoder (speech)",
        takes: Takes::Speech,
        labels: LabelsFrom::Own(&["random"]),
        phase: Some(PhaseKind::Masked),
        uses: &["quantizer", "mask", "pretrain", "pretrain.rounds", "refine", "relabel"],
        judged_by: JudgedBy::Any,
    };
    Init: MethodInfo {
        name: "init",
        about: "no pretraining here: the weights given with --init, whatever made them",
        takes: Takes::Fixed,
        labels: LabelsFrom::Nothing,
        phase: None,
        uses: &[],
        judged_by: JudgedBy::Any,
    };
    Embeddings: MethodInfo {
        name: "embeddings",
        about: "no encoder here: the vectors given to `judge`, whatever made them",
        takes: Takes::Fixed,
        labels: LabelsFrom::Nothing,
        phase: None,
        uses: &["embeddings"],
        judged_by: JudgedBy::Vectors,
    };
}

impl Method {
    /// The word for it, in plans, records and options.
    pub const fn word(self) -> &'static str {
        self.info().name
    }

    /// What it does, in a line.
    pub const fn about(self) -> &'static str {
        self.info().about
    }

    /// Whether it trains an encoder without classes.
    pub const fn pretrains(self) -> bool {
        self.info().phase.is_some()
    }

    /// Whether it replaces spans of its input with noise and predicts their labels without a
    /// decoder.
    pub fn masks_frames(self) -> bool {
        self.info().phase == Some(PhaseKind::Masked)
    }

    /// Whether it takes this kind of data.
    pub fn takes(self, speech: bool) -> bool {
        match self.info().takes {
            Takes::Any => true,
            Takes::Fixed => !speech,
            Takes::Speech => speech,
        }
    }

    /// The default quantizer.
    pub fn usual_quantizer(self) -> &'static str {
        match self.info().labels {
            LabelsFrom::Tokenizer(usual) => usual,
            LabelsFrom::Own(quantizers) => quantizers[0],
            // it records none
            LabelsFrom::Nothing => "rq",
        }
    }

    /// Whether this quantizer can make its labels. A method with labels of its own would silently
    /// run another quantizer as one of those that it names.
    pub fn fits(self, quantizer: QuantizerKind) -> bool {
        match self.info().labels {
            LabelsFrom::Own(quantizers) => quantizers.contains(&quantizer.word()),
            LabelsFrom::Tokenizer(_) | LabelsFrom::Nothing => true,
        }
    }
}

/// Sections and values that not every method uses.
pub(super) fn used_by_some() -> impl Iterator<Item = &'static str> {
    let mut all: Vec<&str> = Vec::new();
    for key in Method::ALL.iter().flat_map(|method| method.info().uses) {
        if !all.contains(key) {
            all.push(key);
        }
    }
    all.into_iter()
}

/// Names of the methods that use this section or value.
pub(super) fn users(key: &str) -> Vec<&'static str> {
    let uses = |method: &&Method| method.info().uses.contains(&key);
    Method::ALL.iter().filter(uses).map(|method| method.word()).collect()
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

impl std::str::FromStr for Method {
    type Err = UnknownName;

    fn from_str(word: &str) -> Result<Self, UnknownName> {
        let words = Self::ALL.iter().map(|method| method.word());
        let found = Self::ALL.iter().find(|method| method.word() == word);
        found.copied().ok_or_else(|| UnknownName::new("method", word, words))
    }
}

as_words!(Method);

//! What a method declares: the data that it takes, what makes its labels, which values of the plan
//! it uses, and which protocols fit. The methods themselves are listed in
//! [`crate::train::method::registry`].

pub use crate::train::method::registry::Method;

use super::phase::PhaseKind;
use crate::protocol::Protocol;
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

    /// The protocols that fit its encoder.
    pub fn protocols(self) -> impl Iterator<Item = Protocol> {
        let judged_by = self.info().judged_by;
        Protocol::ALL.iter().copied().filter(move |protocol| match judged_by {
            JudgedBy::Any => true,
            JudgedBy::Frozen => !protocol.trains_encoder(),
            JudgedBy::Trained => protocol.trains_encoder(),
        })
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

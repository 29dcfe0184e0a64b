//! The registry of quantizers: one line for each.
//!
//! BRIDLE's own lives in the crate `bridle`, those it is compared with in `baselines/`, further
//! ones in `quantizers/`. A quantizer's file has its name, the values of the plan's section
//! `quantizer` with defaults and checks, and the module. Nothing else names a quantizer, except for
//! methods that make their labels with one kind only.

pub mod fsq;

use bridle::codebook::{Codebook, Picks};
use bridle::init::Init;
use bridle::quantizer::{Mode, Quantized, Quantizer, QuantizerInfo, QuantizerValues};
use bridle::rq;
use bridle_backends::Ops;
use bridle_baselines::{random, vq};
use bridle_values::check::Checked;
use bridle_values::{UnknownName, as_words};
use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// One line per quantizer: its module, its type and the type of its values.
macro_rules! quantizers {
    ($($module:ident::{$variant:ident, $config:ident}),+ $(,)?) => {
        /// Any quantizer.
        #[derive(Module, Debug)]
        pub enum AnyQuantizer<B: Backend> {
            $($variant($module::$variant<B>),)+
        }

        /// The plan's section `quantizer`: a kind, and the values that quantizers of this kind
        /// have.
        #[derive(Clone, Debug, PartialEq)]
        pub enum QuantizerConfig {
            $($variant($module::$config),)+
        }

        /// Every quantizer, in the order of the list.
        const QUANTIZERS: &[QuantizerInfo] = &[$($module::INFO),+];

        impl QuantizerKind {
            /// The values of a quantizer of this kind that nobody set.
            pub fn defaults(self) -> QuantizerConfig {
                match self.word() {
                    $(word if word == $module::INFO.name => $module::$config::default().into(),)+
                    word => unreachable!("`{word}` is in the list"),
                }
            }
        }

        $(impl From<$module::$config> for QuantizerConfig {
            fn from(config: $module::$config) -> Self {
                Self::$variant(config)
            }
        }

        /// Fails with the kind that it is.
        impl TryFrom<&QuantizerConfig> for $module::$config {
            type Error = QuantizerKind;

            fn try_from(config: &QuantizerConfig) -> Result<Self, QuantizerKind> {
                match config {
                    QuantizerConfig::$variant(config) => Ok(config.clone()),
                    other => Err(other.kind()),
                }
            }
        })+

        impl QuantizerConfig {
            /// The values without the kind.
            fn values(&self) -> serde_json::Result<Value> {
                match self { $(Self::$variant(config) => serde_json::to_value(config)),+ }
            }

            fn read(kind: QuantizerKind, values: Value) -> serde_json::Result<Self> {
                Ok(match kind.defaults() { $(Self::$variant(_) => Self::$variant(serde_json::from_value(values)?)),+ })
            }
        }

        impl QuantizerValues for QuantizerConfig {
            fn info(&self) -> &'static QuantizerInfo {
                match self { $(Self::$variant(config) => config.info()),+ }
            }
            fn check(&self) -> Checked {
                match self { $(Self::$variant(config) => config.check()),+ }
            }
            fn codebooks(&self) -> usize {
                match self { $(Self::$variant(config) => QuantizerValues::codebooks(config)),+ }
            }
            fn codebook_size(&self) -> usize {
                match self { $(Self::$variant(config) => QuantizerValues::codebook_size(config)),+ }
            }
            fn code_dim(&self) -> usize {
                match self { $(Self::$variant(config) => QuantizerValues::code_dim(config)),+ }
            }
            fn label_codes(&self) -> usize {
                match self { $(Self::$variant(config) => config.label_codes()),+ }
            }
        }

        impl<B: Ops> Quantizer<B> for AnyQuantizer<B> {
            type Config = QuantizerConfig;

            fn new(config: &QuantizerConfig, init: &Init<B>) -> Self {
                match config { $(QuantizerConfig::$variant(config) => Self::$variant(Quantizer::new(config, init))),+ }
            }
            fn forward(&mut self, latents: Tensor<B, 3>, mode: Mode, picks: &mut dyn Picks) -> Quantized<B> {
                match self { $(Self::$variant(quantizer) => quantizer.forward(latents, mode, picks)),+ }
            }
            fn codes(&mut self, latents: Tensor<B, 3>, picks: &mut dyn Picks) -> Tensor<B, 3, Int> {
                match self { $(Self::$variant(quantizer) => quantizer.codes(latents, picks)),+ }
            }
            fn decode(&self, codes: Tensor<B, 3, Int>) -> Tensor<B, 3> {
                match self { $(Self::$variant(quantizer) => quantizer.decode(codes)),+ }
            }
            fn codebooks(&self) -> &[Codebook<B>] {
                match self { $(Self::$variant(quantizer) => Quantizer::codebooks(quantizer)),+ }
            }
            fn sizes(&self) -> [usize; 2] {
                match self { $(Self::$variant(quantizer) => quantizer.sizes()),+ }
            }
            fn is_started(&self) -> bool {
                match self { $(Self::$variant(quantizer) => quantizer.is_started()),+ }
            }
            fn set_started(&mut self, started: bool) {
                match self { $(Self::$variant(quantizer) => quantizer.set_started(started)),+ }
            }
        }
    };
}

quantizers! {
    rq::{ResidualQuantizer, RqConfig},
    vq::{VectorQuantizer, VqConfig},
    random::{RandomProjectionQuantizer, RandomConfig},
    fsq::{FiniteScalarQuantizer, FsqConfig},
}

/// The model's parts with any quantizer of the registry.
pub type ModelConfig = bridle::config::ModelConfig<QuantizerConfig>;
pub type Tokenizer<B> = bridle::tokenizer::Tokenizer<B, AnyQuantizer<B>>;
pub type Teacher<B> = bridle::pretrain::Teacher<B, AnyQuantizer<B>>;
pub type FrameTeacher<B> = bridle::speech::tokenizer::FrameTeacher<B, AnyQuantizer<B>>;

/// A kind of quantizer: an entry of the list.
#[derive(Clone, Copy, Debug)]
pub struct QuantizerKind(&'static QuantizerInfo);

impl QuantizerKind {
    /// All kinds, in the order of the list.
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

    /// Whether it has a value of this name.
    pub fn has(self, value: &str) -> bool {
        self.names().iter().any(|name| name == value)
    }

    /// Values that plans need not write, and what they are then.
    pub fn unwritten(self) -> &'static [(&'static str, &'static str)] {
        self.0.unwritten
    }

    /// The names of its values, within the section.
    fn names(self) -> Vec<String> {
        let unwritten = self.0.unwritten.iter().map(|(name, _)| (*name).to_owned());
        match self.defaults().values() {
            Ok(Value::Object(values)) => values.into_iter().map(|(name, _)| name).chain(unwritten).collect(),
            other => unreachable!("the values of `{self}` are {other:?}"),
        }
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
    type Err = UnknownName;

    fn from_str(word: &str) -> Result<Self, UnknownName> {
        let unknown = || UnknownName::new("quantizer", word, Self::all().map(Self::word));
        Self::all().find(|kind| kind.word() == word).ok_or_else(unknown)
    }
}

as_words!(QuantizerKind);

/// A kind, then its values: the form of the section in a plan.
const KIND: &str = "kind";

impl QuantizerConfig {
    pub fn kind(&self) -> QuantizerKind {
        QuantizerKind(self.info())
    }

    /// The section for this kind: its defaults, over them the preset's values for all quantizers as
    /// far as this one has them, and over those the preset's section of the kind's name. The values
    /// of other kinds are in the section too, to be left out with a reason ([`Self::left_out`]).
    pub(crate) fn section(kind: QuantizerKind, preset: Value) -> Value {
        let Value::Object(mut preset) = preset else {
            return Self::section(kind, Value::Object(Map::new()));
        };
        let others = QuantizerKind::all().filter(|other| *other != kind);
        let mut section = Map::from_iter([(KIND.to_owned(), kind.word().into())]);
        for other in others {
            let unwritten = other.0.unwritten.iter();
            section.extend(unwritten.map(|(name, _)| ((*name).to_owned(), Value::Null)));
            if let Ok(Value::Object(values)) = other.defaults().values() {
                section.extend(values);
            }
        }
        for (name, _) in kind.0.unwritten {
            section.remove(*name);
        }
        if let Ok(Value::Object(values)) = kind.defaults().values() {
            section.extend(values);
        }
        let own = preset.remove(kind.word());
        if !kind.0.several_codebooks {
            preset.remove("levels");
        }
        section.extend(preset.into_iter().filter(|(_, value)| !value.is_object()));
        if let Some(Value::Object(own)) = own {
            section.extend(own);
        }
        Value::Object(section)
    }

    /// Names of values that only other kinds have, and why plans with this kind leave them out.
    pub(crate) fn left_out(kind: QuantizerKind) -> Vec<(String, String)> {
        let own = kind.names();
        let others: Vec<_> = QuantizerKind::all().map(|other| (other, other.names())).collect();
        let mut left_out: Vec<(String, String)> = Vec::new();
        for name in others.iter().flat_map(|(_, names)| names) {
            if own.contains(name) || left_out.iter().any(|(known, _)| known == name) {
                continue;
            }
            let users = others.iter().filter(|(_, names)| names.contains(name));
            let users: Vec<_> = users.map(|(user, _)| user.word()).collect();
            let why = format!("quantizer `{kind}` does not use it; {} would", users.join(", "));
            left_out.push((name.clone(), why));
        }
        left_out
    }

    /// Its value of this name; None if it has none.
    pub(crate) fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_value(self.values().ok()?.get(name)?.clone()).ok()
    }

    /// The same with these values in place of its own. Values of other kinds are left aside.
    ///
    /// # Panics
    /// If a value is of another type than the quantizer's own.
    #[must_use]
    pub(crate) fn with(&self, values: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        let Ok(Value::Object(mut own)) = self.values() else {
            unreachable!("a quantizer's values are a map");
        };
        for (name, value) in values {
            own.get_mut(name).into_iter().for_each(|own| *own = value.clone());
        }
        Self::read(self.kind(), Value::Object(own)).expect("values of their own type")
    }

    /// A quantizer of this kind with these sizes, as far as it has them, and defaults otherwise.
    ///
    /// # Errors
    /// Names the first size that is impossible.
    pub fn sized(kind: QuantizerKind, levels: usize, codes: usize, code_dim: usize) -> Result<Self, String> {
        let section = Self::section(
            kind,
            serde_json::json!({"levels": levels, "codes": codes, "code_dim": code_dim}),
        );
        let config: Self = serde_json::from_value(section).map_err(|error| error.to_string())?;
        config.check().map_err(|impossible| impossible.to_string())?;
        Ok(config)
    }
}

impl Serialize for QuantizerConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut section = Map::from_iter([(KIND.to_owned(), self.kind().word().into())]);
        if let Value::Object(values) = self.values().map_err(serde::ser::Error::custom)? {
            section.extend(values);
        }
        section.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for QuantizerConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut section = Map::deserialize(deserializer)?;
        let kind = section.remove(KIND).ok_or_else(|| D::Error::missing_field(KIND))?;
        let kind: QuantizerKind = serde_json::from_value(kind).map_err(D::Error::custom)?;
        Self::read(kind, Value::Object(section)).map_err(D::Error::custom)
    }
}

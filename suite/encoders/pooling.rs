//! How an encoder's tokens become one vector.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How tokens become one vector. Its words are those of records and of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Pooling {
    /// The cls token.
    Cls,
    /// Half the sum of cls and distillation token.
    TwoTokens,
    /// The mean of all tokens but those in front.
    Mean,
    /// The same, and a norm of it.
    MeanNorm,
    /// The cls token and the mean, one behind the other.
    ClsAndMean,
    /// The cls token after the last blocks, each through the last norm; then the mean, if wanted.
    LastCls { blocks: usize, mean: bool },
    /// transformers' pooler: tanh of a linear map of the cls token.
    Pooler,
}

impl fmt::Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Cls => f.write_str("cls"),
            Self::TwoTokens => f.write_str("two-tokens"),
            Self::Mean => f.write_str("mean"),
            Self::MeanNorm => f.write_str("mean-norm"),
            Self::ClsAndMean => f.write_str("cls+mean"),
            Self::LastCls { blocks, mean: false } => write!(f, "last-{blocks}-cls"),
            Self::LastCls { blocks, mean: true } => write!(f, "last-{blocks}-cls+mean"),
            Self::Pooler => f.write_str("pooler"),
        }
    }
}

/// Not the word of a pooling.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{0}` is no pooling: cls, two-tokens, mean, mean-norm, cls+mean, last-4-cls, last-4-cls+mean or pooler")]
pub struct PoolingError(String);

impl FromStr for Pooling {
    type Err = PoolingError;

    fn from_str(word: &str) -> Result<Self, PoolingError> {
        let simple = [
            Self::Cls,
            Self::TwoTokens,
            Self::Mean,
            Self::MeanNorm,
            Self::ClsAndMean,
            Self::Pooler,
        ];
        if let Some(known) = simple.into_iter().find(|known| known.to_string() == word) {
            return Ok(known);
        }
        let last = || {
            let (blocks, rest) = word.strip_prefix("last-")?.split_once('-')?;
            let mean = match rest {
                "cls" => false,
                "cls+mean" => true,
                _ => return None,
            };
            let blocks = blocks.parse().ok().filter(|blocks| *blocks > 0)?;
            Some(Self::LastCls { blocks, mean })
        };
        last().ok_or_else(|| PoolingError(word.to_owned()))
    }
}

impl From<Pooling> for String {
    fn from(pooling: Pooling) -> Self {
        pooling.to_string()
    }
}

impl TryFrom<String> for Pooling {
    type Error = PoolingError;

    fn try_from(word: String) -> Result<Self, PoolingError> {
        word.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_poolings_are_read_again() {
        let last = |blocks, mean| Pooling::LastCls { blocks, mean };
        for pooling in [
            Pooling::Cls,
            Pooling::ClsAndMean,
            Pooling::MeanNorm,
            last(4, false),
            last(12, true),
        ] {
            let word = pooling.to_string();
            assert_eq!(word.parse::<Pooling>().expect("its own word"), pooling, "{word}");
        }
        for word in ["", "last-0-cls", "last-x-cls", "last-4-mean", "Cls"] {
            assert!(word.parse::<Pooling>().is_err(), "{word}");
        }
    }
}

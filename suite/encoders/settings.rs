//! Settings that lie beside weights, held against the weights and against what this program knows.

use crate::names::EncoderError;
use serde_json::Value;
use std::fmt::Display;

/// No model has a larger size; products of two do not overflow.
const LARGEST: usize = 1 << 24;

/// Values by key, such as `config.json` has them.
#[derive(Clone, Copy)]
pub struct Settings<'a>(pub &'a Value);

/// The error that a setting is not what it must be.
pub fn refuse(key: &str, value: impl Display, reason: impl Into<String>) -> EncoderError {
    EncoderError::Setting {
        key: key.to_owned(),
        value: value.to_string(),
        reason: reason.into(),
    }
}

fn size(value: &Value) -> Option<usize> {
    let size = usize::try_from(value.as_u64()?).ok();
    size.filter(|size| *size <= LARGEST)
}

impl<'a> Settings<'a> {
    /// The value of a key, if there is one that is not null.
    pub fn get(self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// The settings under a key.
    pub fn under(self, key: &str) -> Self {
        Self(self.0.get(key).unwrap_or(&Value::Null))
    }

    fn typed<T>(self, key: &str, kind: &str, read: impl Fn(&'a Value) -> Option<T>) -> Result<Option<T>, EncoderError> {
        let typed = |value| read(value).ok_or_else(|| refuse(key, value, format!("it is not {kind}")));
        self.get(key).map(typed).transpose()
    }

    pub fn size(self, key: &str) -> Result<Option<usize>, EncoderError> {
        self.typed(key, "a size", size)
    }

    pub fn number(self, key: &str) -> Result<Option<f64>, EncoderError> {
        self.typed(key, "a number", Value::as_f64)
    }

    /// What keeps a variance of 0 from being divided by, from 0 to 1.
    pub fn epsilon(self, key: &str) -> Result<Option<f64>, EncoderError> {
        match self.number(key)? {
            Some(epsilon) if !(0.0..1.0).contains(&epsilon) => Err(refuse(key, epsilon, "it is not between 0 and 1")),
            other => Ok(other),
        }
    }

    pub fn flag(self, key: &str) -> Result<Option<bool>, EncoderError> {
        self.typed(key, "true or false", Value::as_bool)
    }

    pub fn word(self, key: &str) -> Result<Option<&'a str>, EncoderError> {
        self.typed(key, "a word", Value::as_str)
    }

    /// Two sizes, of which one stands for both.
    pub fn pair(self, key: &str) -> Result<Option<[usize; 2]>, EncoderError> {
        let read = |value: &Value| match value.as_array().map(Vec::as_slice) {
            Some([first, second]) => Some([size(first)?, size(second)?]),
            Some(_) => None,
            None => size(value).map(|size| [size, size]),
        };
        self.typed(key, "one size or two", read)
    }

    /// A setting without which nothing can be computed.
    ///
    /// # Errors
    /// If it is not there.
    pub fn required<T>(self, key: &str, value: Option<T>) -> Result<T, EncoderError> {
        value.ok_or_else(|| refuse(key, "not there", "the encoder cannot be computed without it"))
    }

    /// A size that, if it is given, must be that of the weights.
    ///
    /// # Errors
    /// If it is another, or no size.
    pub fn agrees(self, key: &str, found: usize, what: &str) -> Result<(), EncoderError> {
        match self.size(key)? {
            Some(size) if size != found => Err(refuse(key, size, format!("{what} of the weights is {found}"))),
            _ => Ok(()),
        }
    }

    /// A setting that, if it is given, must be this one.
    ///
    /// # Errors
    /// If it is another.
    pub fn only(self, key: &str, supported: impl Into<Value>) -> Result<(), EncoderError> {
        let supported = supported.into();
        match self.get(key) {
            Some(value) if *value != supported => {
                Err(refuse(key, value, format!("this program supports {supported} alone")))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_error_names_key_and_value() {
        let config = json!({"hidden_size": 24, "hidden_act": "relu", "patch_size": [4, 5], "depth": "two", "epsilon": -1.0, "none": null});
        let settings = Settings(&config);
        let text = |result: Result<(), EncoderError>| result.map_or_else(|error| error.to_string(), |()| String::new());
        assert_eq!(text(settings.agrees("hidden_size", 24, "the width")), "");
        assert_eq!(text(settings.agrees("other", 24, "the width")), "");
        assert_eq!(
            text(settings.agrees("hidden_size", 32, "the width")),
            "`hidden_size` is 24: the width of the weights is 32"
        );
        assert_eq!(
            text(settings.only("hidden_act", "gelu")),
            "`hidden_act` is \"relu\": this program supports \"gelu\" alone"
        );
        assert_eq!(
            text(settings.size("depth").map(drop)),
            "`depth` is \"two\": it is not a size"
        );
        assert_eq!(
            text(settings.epsilon("epsilon").map(drop)),
            "`epsilon` is -1: it is not between 0 and 1"
        );
        assert_eq!(settings.pair("patch_size").expect("two sizes"), Some([4, 5]));
        assert_eq!(settings.size("none").expect("null is no value"), None);
    }
}

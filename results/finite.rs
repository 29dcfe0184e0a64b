//! Serialisation of f64 that refuses NaN and infinity, which JSON would turn into a null without meaning.

use serde::ser::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

fn checked<E: Error>(value: f64) -> Result<f64, E> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(E::custom(format!("the number {value} has no form in JSON")))
    }
}

pub(crate) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(checked(*value)?)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    f64::deserialize(deserializer)
}

/// The same for a number that may be absent.
pub(crate) mod option {
    use super::{Deserialize, Deserializer, Serializer, checked};

    pub(crate) fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.serialize_some(&checked(*value)?),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        Option::deserialize(deserializer)
    }
}

/// The same for one number per channel.
pub(crate) mod list {
    use super::{Deserialize, Deserializer, Serialize, Serializer, checked};

    pub(crate) fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        values
            .iter()
            .map(|value| checked(*value))
            .collect::<Result<Vec<f64>, _>>()?
            .serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        Vec::deserialize(deserializer)
    }
}

/// The same for numbers any of which may be absent.
pub(crate) mod options {
    use super::{Deserialize, Deserializer, Serialize, Serializer, checked};

    pub(crate) fn serialize<S: Serializer>(values: &[Option<f64>], serializer: S) -> Result<S::Ok, S::Error> {
        values
            .iter()
            .map(|value| value.map(checked).transpose())
            .collect::<Result<Vec<Option<f64>>, _>>()?
            .serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Option<f64>>, D::Error> {
        Vec::deserialize(deserializer)
    }
}

/// The same for named numbers, kept in order of name.
pub(crate) mod map {
    use super::{Deserialize, Deserializer, Serialize, Serializer, checked};
    use std::collections::BTreeMap;

    pub(crate) fn serialize<S: Serializer>(map: &BTreeMap<String, f64>, serializer: S) -> Result<S::Ok, S::Error> {
        map.iter()
            .map(|(name, value)| Ok((name, checked(*value)?)))
            .collect::<Result<BTreeMap<_, _>, S::Error>>()?
            .serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
        BTreeMap::deserialize(deserializer)
    }
}

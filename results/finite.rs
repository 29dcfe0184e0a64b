//! Serialises f64 and refuses NaN and infinity, which JSON would turn into a null.

use serde::ser::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// A number, or a container of numbers.
pub(crate) trait Numbers {
    /// The first NaN or infinity among them.
    fn not_finite(&self) -> Option<f64>;
}

impl Numbers for f64 {
    fn not_finite(&self) -> Option<f64> {
        (!self.is_finite()).then_some(*self)
    }
}

impl<T: Numbers> Numbers for Option<T> {
    fn not_finite(&self) -> Option<f64> {
        self.as_ref().and_then(T::not_finite)
    }
}

impl<T: Numbers> Numbers for Vec<T> {
    fn not_finite(&self) -> Option<f64> {
        self.iter().find_map(T::not_finite)
    }
}

impl<T: Numbers> Numbers for BTreeMap<String, T> {
    fn not_finite(&self) -> Option<f64> {
        self.values().find_map(T::not_finite)
    }
}

pub(crate) fn serialize<T: Numbers + Serialize, S: Serializer>(numbers: &T, serializer: S) -> Result<S::Ok, S::Error> {
    match numbers.not_finite() {
        Some(value) => Err(S::Error::custom(format!("JSON cannot represent the number {value}"))),
        None => numbers.serialize(serializer),
    }
}

pub(crate) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::deserialize(deserializer)
}

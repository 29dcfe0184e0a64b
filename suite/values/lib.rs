//! What all values of a plan share: checks of single values ([`check`]), and the macro [`choices!`]
//! for values that are words. It declares an enum with its words, their reading and their writing:
//!
//! ```text
//! choices! {
//!     /// What the value decides.
//!     "kind of value" Name {
//!         /// what the word means, in a line
//!         Variant = "word",
//!     }
//!     known: ["word that this version does not offer yet"]
//! }
//! ```
//!
//! Each word is written once. The compiler points at every `match` that a new word must be added
//! to.

pub mod check;
mod unknown;

pub use unknown::{UnknownName, closest};

#[doc(hidden)]
pub use serde;

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

/// Lets a list's values be written and read as their words.
#[macro_export]
macro_rules! as_words {
    ($name:ident) => {
        impl $crate::serde::Serialize for $name {
            fn serialize<S: $crate::serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }

        impl<'de> $crate::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> std::result::Result<Self, D::Error> {
                let word = <String as $crate::serde::Deserialize>::deserialize(deserializer)?;
                word.parse()
                    .map_err(<D::Error as $crate::serde::de::Error>::custom)
            }
        }
    };
}

/// Declares the enum of a list of names, its words, and its reading and writing.
#[macro_export]
macro_rules! choices {
    ($(#[$about:meta])* $kind:literal $name:ident { $($(#[doc = $doc:literal])* $variant:ident = $word:literal,)+ }
     $(known: [$($later:literal),+])?) => {
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
            type Err = $crate::ChoiceError;

            fn from_str(word: &str) -> std::result::Result<Self, $crate::ChoiceError> {
                let later: &[&str] = &[$($($later),+)?];
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ if later.contains(&word) => Err($crate::ChoiceError::NotAvailable {
                        kind: $kind,
                        name: word.to_owned(),
                        available: vec![$($word),+],
                    }),
                    _ => Err($crate::UnknownName::new($kind, word, [$($word),+]).into()),
                }
            }
        }

        $crate::as_words!($name);
    };
}

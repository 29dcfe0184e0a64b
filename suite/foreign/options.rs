//! What the user says of an encoder of others where its file does not: `--set foreign.KEY=VALUE`.

use crate::cli::error::{Failure, Result};
use bridle_encoders::Options;
use bridle_values::UnknownName;
use serde_json::{Map, Value, json};

/// What all such names begin with.
const SECTION: &str = "foreign.";
/// What can be said. The rest of the section is what the file says.
const KEYS: [&str; 7] = ["family", "heads", "pooling", "frames", "mels", "strides", "size"];

/// Takes the options out of assignments of `--set`.
///
/// # Errors
/// An unknown name, or a value of the wrong kind.
pub fn options(set: &mut Vec<String>) -> Result<Options> {
    let (ours, others): (Vec<String>, Vec<String>) = std::mem::take(set)
        .into_iter()
        .partition(|assignment| assignment.trim_start().starts_with(SECTION));
    *set = others;
    let mut values = Map::new();
    for assignment in ours {
        let Some((key, text)) = assignment.split_once('=') else {
            let message = format!("`--set {assignment}` is not of the form key=value");
            return Err(Failure::wrong_use(message).with_hint("--set foreign.heads=12"));
        };
        let key = key.trim().trim_start_matches(SECTION);
        if !KEYS.contains(&key) {
            return Err(UnknownName::new("value of `foreign` to set", key, KEYS).into());
        }
        values.insert(key.to_owned(), value(key, text.trim()));
    }
    serde_json::from_value(Value::Object(values))
        .map_err(|error| Failure::wrong_use(format!("`--set foreign`: {error}")))
}

/// Words for words, and numbers for all else; a list of them for strides.
fn value(key: &str, text: &str) -> Value {
    let number = |text: &str| {
        text.trim()
            .parse::<u64>()
            .map_or_else(|_| json!(text), |number| json!(number))
    };
    match key {
        "family" | "pooling" => json!(text),
        "strides" => text.trim_matches(['[', ']']).split(',').map(number).collect(),
        _ => number(text),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test
    use super::*;

    #[test]
    fn what_is_said_of_an_encoder_is_taken_out_of_the_other_values() {
        let of = |set: &[&str]| {
            let mut set: Vec<String> = set.iter().map(|&set| set.to_owned()).collect();
            options(&mut set)
                .map(|options| (options, set))
                .map_err(|error| error.message())
        };
        let (found, rest) = of(&[
            "probe.epochs=3",
            "foreign.heads=12",
            "foreign.strides=[10, 10]",
            "foreign.pooling=cls",
        ])
        .unwrap();
        assert_eq!((found.heads, found.strides), (Some(12), Some([10, 10])));
        assert_eq!(found.pooling.unwrap().to_string(), "cls");
        assert_eq!(rest, ["probe.epochs=3"]);
        assert_eq!(of(&[]).unwrap().0, Options::default());
        assert!(of(&["foreign.head=12"]).unwrap_err().contains("heads"));
        assert!(of(&["foreign.heads=many"]).is_err() && of(&["foreign.heads"]).is_err());
    }
}

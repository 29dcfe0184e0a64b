//! The table of explanations against the plans of all presets, tasks, methods, quantizers and protocols.

use super::*;
use crate::plan::survey::Survey;
use std::collections::BTreeSet;

/// Values that plans have only with weights, an encoder of others, labels or a language model, or not at once.
const GIVEN: [&str; 11] = [
    "init.name",
    "init.sha256",
    "init.frames",
    "init.transductive",
    "decoding.lm",
    "decoding.lm_sha256",
    "data.variant",
    "finetune.freeze_front",
    "labels.name",
    "labels.sha256",
    "labels.transductive",
];

#[test]
fn every_value_that_a_plan_can_have_is_explained_and_nothing_else() {
    let explained: BTreeSet<String> = explain::keys().map(str::to_owned).collect();
    assert_eq!(explained.len(), explain::keys().count(), "a value is explained twice");
    let mut there = Survey::of_all().keys();
    assert!(there.len() > 100, "{}", there.len());
    there.extend(GIVEN.map(str::to_owned));
    let missing: Vec<&String> = there.difference(&explained).collect();
    let stale: Vec<&String> = explained.difference(&there).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "missing {missing:?}, stale {stale:?}"
    );
}

#[test]
fn every_explanation_says_what_the_value_may_be() {
    for key in explain::keys().filter(|key| !key.starts_with("data.") && !GIVEN.contains(key)) {
        let explanation = explain::find(key).unwrap();
        let words = explain::words(key);
        let ranged = explanation.range.is_some();
        assert!(ranged == words.is_empty(), "{key} has either a range or words");
        assert!(explanation.meaning.ends_with('.'), "{key}: {}", explanation.meaning);
    }
}

#[test]
fn every_default_is_one_of_the_words_that_a_value_may_be() {
    let survey = Survey::of_all();
    for key in explain::keys().filter(|key| *key != "protocols") {
        let words = explain::words(key);
        for (preset, defaults) in survey.defaults(key) {
            assert!(!defaults.is_empty() && defaults[0].only.is_empty(), "{key} of {preset}");
            for default in defaults {
                let word = default.value.as_str().unwrap_or_default();
                let known =
                    words.is_empty() || default.value.is_null() || words.iter().any(|(known, _)| *known == word);
                assert!(known, "{key} of {preset} is {word}");
            }
        }
    }
}

#[test]
fn defaults_say_where_they_hold() {
    let survey = Survey::of_all();
    let of = |key: &str, preset: &str| {
        let found = survey.defaults(key).into_iter().find(|(name, _)| *name == preset);
        let defaults = found.unwrap().1.into_iter();
        defaults
            .map(|default| (default.value.to_string(), default.only.join(", ")))
            .collect::<Vec<_>>()
    };
    let rounds = of("pretrain.rounds", "smoke");
    assert_eq!(rounds[0], ("2".to_owned(), String::new()));
    assert_eq!(
        rounds[1],
        ("1".to_owned(), "on synthetic-image, on synthetic-video".to_owned())
    );
    let kind = of("mask.kind", "mini");
    assert_eq!(kind[0], ("\"random\"".to_owned(), String::new()));
    assert!(
        kind.iter()
            .any(|(value, only)| value == "\"tube\"" && only.starts_with("on kinetics")),
        "{kind:?}"
    );
    assert!(
        kind.iter()
            .any(|(value, only)| value == "\"span\"" && only.contains("with best-rq")),
        "{kind:?}"
    );
}

#[test]
fn every_value_of_the_authors_scripts_and_of_the_recipe_is_explained() {
    let of_scripts = explain::scripts().iter().flat_map(|script| &script.values);
    let keys = of_scripts
        .map(|value| &value.key[..])
        .chain(recipe::ODDITIES.iter().map(|oddity| oddity.key));
    for key in keys {
        assert!(explain::find(key).is_ok(), "{key}");
    }
}

//! `explain`: what values of the plan mean, where they come from, what they may be, and their defaults.

use crate::cli::error::{Failure, Result};
use crate::cli::{ExplainArgs, Format, terminal};
use crate::plan::explain::{self, Explanation};
use crate::plan::survey::{PresetDefault, Survey};
use crate::plan::{Recipe, Stage, decides, display_value};
use serde_json::{Value, json};
use std::cell::LazyCell;

/// Prints what was asked for: values in full, sections and the whole list in a line each.
///
/// # Errors
/// If a name is neither a value nor a section; if stdout cannot be written.
pub fn perform(args: &ExplainArgs) -> Result<()> {
    let all: Vec<&'static str> = explain::keys().collect();
    let survey = LazyCell::new(Survey::of_all);
    let mut parts = Vec::new();
    let mut keys = Vec::new();
    for word in &args.keys {
        let word = word.trim_end_matches('.');
        let below = || {
            all.iter()
                .copied()
                .filter(|key| key.strip_prefix(word).is_some_and(|rest| rest.starts_with('.')))
        };
        let value = all.iter().copied().find(|key| *key == word);
        if value.is_none() && below().next().is_none() {
            let unknown = explain::find(word).err().map(Failure::from);
            return Err(unknown.expect("it is no value"));
        }
        keys.extend(value.into_iter().chain(below()));
        if args.format == Format::Terminal {
            parts.extend(value.map(|key| Explained::of(key, &survey).text()));
            parts.extend(below().next().map(|_| lines(below())));
        }
    }
    if args.keys.is_empty() {
        parts.push(lines(all.iter().copied()));
        keys.clone_from(&all);
    }
    match args.format {
        Format::Terminal => terminal::print(&parts.join("\n")),
        Format::Json => {
            let all = keys.into_iter().map(|key| Explained::of(key, &survey).json());
            terminal::print_json(&all.collect())
        }
    }
}

/// Names and meanings in two columns.
fn lines(keys: impl Iterator<Item = &'static str>) -> String {
    let keys: Vec<&str> = keys.collect();
    let width = keys.iter().map(|key| key.len()).max().unwrap_or(0);
    let meaning = |key: &str| explain::find(key).map_or("", |found| found.meaning.as_str());
    let lines = keys.iter().map(|key| format!("{key:width$}  {}\n", meaning(key)));
    lines.collect()
}

/// All that is known of a value.
struct Explained {
    key: &'static str,
    explanation: &'static Explanation,
    defaults: Vec<(&'static str, Vec<PresetDefault>)>,
}

impl Explained {
    fn of(key: &'static str, survey: &Survey) -> Self {
        Self {
            key,
            explanation: explain::find(key).expect("a key of the table"),
            defaults: survey.defaults(key),
        }
    }

    /// The authors' value and that of the corrected recipe, where the value is one of the recipe's.
    fn recipes(&self) -> Option<[Value; 2]> {
        let oddity = explain::oddity(self.key)?;
        Some([Recipe::Authors, Recipe::Corrected].map(|recipe| oddity.value(recipe)))
    }

    /// What the authors' scripts have: names of the plan, value, file and line.
    fn scripts(&self) -> impl Iterator<Item = (&'static str, &'static Value, &'static str)> {
        let key = self.key;
        explain::scripts().iter().flat_map(move |script| {
            let values = script.values.iter().filter(move |value| value.key == key);
            values.map(|value| (script.names.as_str(), &value.value, value.source.as_str()))
        })
    }

    fn decides(&self) -> &'static str {
        match decides(self.key) {
            None => "nothing: it is a mere name",
            Some(Stage::Pretraining) => "the pretrained weights, and with them every score",
            Some(Stage::Judging) => "the scores, and not the pretrained weights",
        }
    }

    /// `topic  fact` below the name, topics in a column.
    fn text(&self) -> String {
        let mut lines: Vec<(&str, String)> = vec![("meaning", self.explanation.meaning.clone())];
        lines.extend(self.explanation.range.iter().map(|range| ("range", range.clone())));
        let words = explain::words(self.key);
        let width = words.iter().map(|(word, _)| word.len()).max().unwrap_or(0);
        lines.extend(
            words
                .iter()
                .map(|(word, about)| ("word", format!("{word:width$}  {about}"))),
        );
        for (preset, defaults) in &self.defaults {
            let all: Vec<String> = defaults.iter().map(in_words).collect();
            lines.push(("default", format!("{preset:5}  {}", all.join("; "))));
        }
        lines.extend(self.recipes().map(|[authors, corrected]| {
            let (authors, corrected) = (display_value(&authors), display_value(&corrected));
            ("recipe", format!("authors {authors}, corrected {corrected}"))
        }));
        lines.extend(
            self.scripts()
                .map(|(names, value, source)| ("authors", format!("{} in {source} ({names})", display_value(value)))),
        );
        lines.extend(self.explanation.source.iter().map(|source| ("source", source.clone())));
        lines.push(("decides", self.decides().to_owned()));
        let mut text = format!("{}\n", self.key);
        let mut last = "";
        for (topic, fact) in lines {
            let shown = if topic == last { "" } else { topic };
            text.push_str(&format!("  {shown:8} {fact}\n"));
            last = topic;
        }
        text
    }

    fn json(&self) -> Value {
        let default = |default: &PresetDefault| json!({"value": default.value, "only": default.only});
        let words = explain::words(self.key).into_iter();
        json!({
            "key": self.key,
            "meaning": self.explanation.meaning,
            "range": self.explanation.range,
            "words": words.map(|(word, about)| json!({"word": word, "meaning": about})).collect::<Vec<_>>(),
            "source": self.explanation.source,
            "defaults": self.defaults.iter()
                .map(|(preset, all)| ((*preset).to_owned(), all.iter().map(default).collect()))
                .collect::<serde_json::Map<_, _>>(),
            "recipes": self.recipes().map(|[authors, corrected]| json!({"authors": authors, "corrected": corrected})),
            "authors": self.scripts()
                .map(|(names, value, source)| json!({"plan": names, "value": value, "source": source}))
                .collect::<Vec<_>>(),
            "decides": decides(self.key).map(|stage| match stage {
                Stage::Pretraining => "pretraining",
                Stage::Judging => "judging",
            }),
        })
    }
}

/// `10`, or `50 on kinetics`.
fn in_words(default: &PresetDefault) -> String {
    let value = display_value(&default.value);
    if default.only.is_empty() {
        return value;
    }
    // `on a, on b and with c` as `on a, b and with c`
    let mut text = value;
    let mut last = "";
    for only in &default.only {
        let (word, name) = only.split_once(' ').unwrap_or(("", only));
        text.push_str(&match last {
            "" => format!(" {word} {name}"),
            last if last == word => format!(", {name}"),
            _ => format!(" and {word} {name}"),
        });
        last = word;
    }
    text
}

//! A whole plan that was written earlier, by a record or by `check --format toml`: what makes it
//! again, value by value.
//!
//! Its values replace the preset's. Names that the request gives itself come first, and with another
//! method, quantizer or task the values that belong to the old one are left aside.

use super::flat::{Flat, flatten, unwritten};
use super::hash::decides;
use super::sections::Choices;
use super::set::{LeftOut, no_such_value};
use super::{Difference, PlanError, PlanRequest, difference, method, preset, section_of};
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// The name of the data's variant, which nobody knows until the data is opened.
pub const VARIANT: &str = "data.variant";
/// Part of the data, which `--subset` gives too.
const SUBSET: &str = "data.subset";
/// What TOML, which has no null, says in its place.
const NONE: &str = "none";

/// A plan that was written earlier.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// Where it was read, for messages.
    place: String,
    values: Flat,
}

impl Written {
    /// The plan of a record at `place`.
    pub fn of_record(place: String, values: Flat) -> Self {
        Self { place, values }
    }

    /// The plan in the text of a file at `place`, in the form of [`to_toml`].
    ///
    /// # Errors
    /// If the text is no TOML, or names no task.
    pub fn from_toml(place: String, text: &str) -> Result<Self, PlanError> {
        let wrong = |why: String| PlanError::NoPlan {
            place: place.clone(),
            why,
        };
        let table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| wrong(error.to_string()))?;
        let mut tree = serde_json::to_value(table).map_err(|error| wrong(error.to_string()))?;
        preset::without_none(&mut tree);
        let values = flatten(&tree);
        if !values.get("task").is_some_and(Value::is_string) {
            return Err(wrong("it names no `task`".to_owned()));
        }
        Ok(Self { place, values })
    }

    /// Where it was read.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The word of a name, such as the method's.
    pub fn word(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.as_str()
    }

    /// The variant of the data, where it is known.
    pub fn variant(&self) -> Option<&str> {
        self.word(VARIANT)
    }

    /// The request with this plan's names where it gives none.
    pub(super) fn names(&self, mut request: PlanRequest) -> PlanRequest {
        let named = |given: &mut Option<String>, name: &str| {
            *given = given.take().or_else(|| self.word(name).map(str::to_owned));
        };
        if request.task.is_empty() {
            request.task = self.word("task").unwrap_or_default().to_owned();
        }
        let method = request.method.clone();
        named(&mut request.method, "method");
        // another method makes its labels with another quantizer
        if method.is_none_or(|method| self.word("method") == Some(&method)) {
            named(&mut request.quantizer, "quantizer");
        }
        named(&mut request.recipe, "recipe");
        // its values are all here, so that any preset will do for what the plan is older than
        let known = self.word("preset").filter(|name| preset::is_known(name));
        request.preset = request.preset.or(known.map(str::to_owned));
        if request.protocols.is_empty() {
            let words = self.values.get("protocols").and_then(Value::as_array);
            let words = words.into_iter().flatten().filter_map(Value::as_str);
            request.protocols = words.map(str::to_owned).collect();
        }
        request
    }

    /// Lays the values over those of a plan with these choices, `bare`. Values that are unwritten
    /// stay unwritten; those that the plan is older than are the preset's.
    ///
    /// # Errors
    /// Names a value that no such plan has, or a fact that is another one here.
    pub(super) fn over(
        &self,
        mut bare: Flat,
        choices: &Choices<'_>,
        subset: Option<usize>,
        left_out: &[LeftOut],
    ) -> Result<Flat, PlanError> {
        let is_other = self.others(&bare);
        let whole = !is_other.iter().any(|(_, other)| *other);
        let aside = |key: &str| {
            is_other
                .iter()
                .any(|(paths, other)| *other && paths.iter().any(|path| is_in(key, path)))
        };
        for (key, value) in self.values.iter().filter(|(key, _)| !is_name(key) && !aside(key)) {
            let fact = section_of(key).and_then(|(section, value)| (section.fact)(value, choices));
            match (bare.get(key), fact) {
                (_, Some(_)) if key == VARIANT => {}
                (_, None) if key == SUBSET && subset.is_some() => {}
                (Some(here), Some(of)) if here != value => {
                    return Err(PlanError::OtherFact {
                        key: key.clone(),
                        of,
                        here: super::display_value(here),
                        written: super::display_value(value),
                        place: self.place.clone(),
                    });
                }
                (None, _) if whole && unwritten(&bare, key).is_none() => {
                    return Err(no_such_value(key, &bare, left_out).in_file(&self.place));
                }
                (None, _) if !whole => {}
                _ => drop(bare.insert(key.clone(), value.clone())),
            }
        }
        if whole {
            bare.retain(|key, _| self.values.contains_key(key) || unwritten(&self.values, key).is_none());
        }
        // the names that its values came from
        for name in ["preset", "recipe"] {
            let word = self.values.get(name).filter(|_| bare.contains_key(name));
            word.cloned()
                .into_iter()
                .for_each(|word| drop(bare.insert(name.to_owned(), word)));
        }
        Ok(bare)
    }

    /// The parts of a plan that go with a name, and whether `bare` has another name than this plan.
    fn others(&self, bare: &Flat) -> [(Vec<&'static str>, bool); 3] {
        let differs = |name: &str| bare.get(name) != self.values.get(name);
        [
            (method::used_by_some().collect(), differs("method")),
            (vec!["quantizer"], differs("quantizer")),
            (vec!["data"], differs("task")),
        ]
    }

    /// The values in which a plan that was made from it differs: its own first. Mere names and the
    /// data's variant are left out.
    pub fn changes(&self, plan: &Flat) -> Vec<Difference> {
        let mut changes = difference(&self.values, plan);
        changes.retain(|change| decides(&change.key).is_some() && change.key != VARIANT);
        changes
    }
}

/// Whether a value is one of the names that a request gives in words.
fn is_name(key: &str) -> bool {
    matches!(key, "task" | "method" | "quantizer" | "preset" | "recipe" | "protocols")
}

/// Whether a dotted name is `path` or below it.
fn is_in(key: &str, path: &str) -> bool {
    key.strip_prefix(path)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// A plan as TOML, section by section, for [`Written::from_toml`].
pub fn to_toml(flat: &Flat) -> String {
    let (mut names, mut sections) = (String::new(), Map::new());
    for (key, value) in flat {
        let (section, name) = match key.split_once('.') {
            Some(parts) => parts,
            // the kind stands among the values that it has
            None if key == "quantizer" && !value.is_null() => ("quantizer", "kind"),
            None => ("", key.as_str()),
        };
        let line = format!("{name} = {}\n", toml_value(value));
        if section.is_empty() {
            names.push_str(&line);
            continue;
        }
        let lines = sections.entry(section).or_insert_with(|| Value::String(String::new()));
        if let Value::String(lines) = lines {
            lines.push_str(&line);
        }
    }
    for (section, lines) in &sections {
        write!(names, "\n[{section}]\n{}", lines.as_str().unwrap_or_default()).expect("a string");
    }
    names
}

/// A value of a plan as TOML spells it; null is the word `none`.
fn toml_value(value: &Value) -> String {
    match value {
        Value::Null => toml::Value::from(NONE).to_string(),
        Value::Array(items) => format!("[{}]", items.iter().map(toml_value).collect::<Vec<_>>().join(", ")),
        other => toml::Value::try_from(other).map_or_else(|_| other.to_string(), |value| value.to_string()),
    }
}

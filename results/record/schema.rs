//! The published JSON Schema of records, `results/record.schema.json`, and every record agree: those
//! of this repository have its form, and it names every field that is written.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::SCHEMA;
use crate::fixtures::full_record;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn schema() -> Value {
    serde_json::from_str(include_str!("../record.schema.json")).unwrap()
}

/// What is wrong with a value, by the keywords that the schema uses; a keyword beside these panics.
struct Check<'a> {
    root: &'a Value,
    faults: Vec<String>,
}

impl Check<'_> {
    fn faults(schema: &Value, value: &Value) -> Vec<String> {
        let mut check = Check {
            root: schema,
            faults: Vec::new(),
        };
        check.value(schema, value, "");
        check.faults
    }

    fn value(&mut self, schema: &Value, value: &Value, place: &str) {
        for (keyword, wanted) in schema.as_object().unwrap() {
            let fits = match keyword.as_str() {
                "$schema" | "$defs" | "title" | "description" | "additionalProperties" => true,
                "$ref" => {
                    let pointer = wanted.as_str().unwrap().strip_prefix('#').unwrap();
                    self.value(self.root.pointer(pointer).unwrap(), value, place);
                    true
                }
                "anyOf" => wanted.as_array().unwrap().iter().any(|one| self.fits(one, value)),
                "type" => is_of_type(wanted, value),
                "enum" => wanted.as_array().unwrap().contains(value),
                "minimum" => value.as_f64().is_none_or(|number| number >= wanted.as_f64().unwrap()),
                "maximum" => value.as_f64().is_none_or(|number| number <= wanted.as_f64().unwrap()),
                "exclusiveMinimum" => value.as_f64().is_none_or(|number| number > wanted.as_f64().unwrap()),
                "exclusiveMaximum" => value.as_f64().is_none_or(|number| number < wanted.as_f64().unwrap()),
                "pattern" => {
                    assert_eq!(wanted, "^[0-9a-f]{64}$", "the only pattern");
                    let is_digit = |c: char| matches!(c, '0'..='9' | 'a'..='f');
                    value
                        .as_str()
                        .is_none_or(|text| text.len() == 64 && text.chars().all(is_digit))
                }
                "format" => value
                    .as_str()
                    .is_some_and(|text| text.parse::<super::Timestamp>().is_ok()),
                "required" => {
                    let names = wanted.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
                    value.is_object() && { names }.all(|name| value.get(name).is_some())
                }
                "properties" => {
                    self.fields(schema, value, place);
                    true
                }
                "items" => {
                    for (i, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.value(wanted, item, &format!("{place}/{i}"));
                    }
                    true
                }
                other => panic!("the schema has the unknown keyword {other}"),
            };
            if !fits {
                self.faults.push(format!("{place}: {keyword} {wanted}"));
            }
        }
        if schema.get("properties").is_none() && schema.get("additionalProperties").is_some() {
            self.fields(schema, value, place);
        }
    }

    /// Each field by its own schema, or by that of all others. A field that the schema does not name
    /// is a fault here, so that the schema stays complete.
    fn fields(&mut self, schema: &Value, value: &Value, place: &str) {
        for (name, field) in value.as_object().into_iter().flatten() {
            let place = format!("{place}/{name}");
            let own = schema.get("properties").and_then(|known| known.get(name));
            match own.or_else(|| schema.get("additionalProperties")) {
                Some(own) => self.value(own, field, &place),
                None => self.faults.push(format!("{place}: unknown field")),
            }
        }
    }

    fn fits(&self, schema: &Value, value: &Value) -> bool {
        let mut check = Check {
            root: self.root,
            faults: Vec::new(),
        };
        check.value(schema, value, "");
        check.faults.is_empty()
    }
}

fn is_of_type(wanted: &Value, value: &Value) -> bool {
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        other => panic!("the schema has the unknown type {other}"),
    };
    match wanted {
        Value::Array(names) => names.iter().any(|name| is(name.as_str().unwrap())),
        name => is(name.as_str().unwrap()),
    }
}

fn json_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            json_below(&path, found);
        } else if path.extension().is_some_and(|end| end == "json") {
            found.push(path);
        }
    }
}

#[test]
fn every_record_of_this_repository_has_the_form_of_the_schema() {
    let schema = schema();
    let mut files = Vec::new();
    for folder in ["records", "small-sets", "studies", "ablations", "smoke"] {
        json_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    }
    let past = ["schema-1.json", "schema-2.json", "schema-2-per-class.json"];
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("record");
    files.extend(past.map(|name| own.join(name)));
    assert!(files.len() > 30, "{} records", files.len());
    for file in files {
        let record: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(
            Check::faults(&schema, &record),
            Vec::<String>::new(),
            "{}",
            file.display()
        );
        let words = record["program"]["command"].as_array().into_iter().flatten();
        let paths: Vec<&Value> = words
            .filter(|word| Path::new(word.as_str().unwrap()).is_absolute())
            .collect();
        assert!(paths.is_empty(), "{}: {paths:?} of one machine", file.display());
    }
}

#[test]
fn the_schema_names_every_field_that_is_written() {
    let written = serde_json::to_value(full_record()).unwrap();
    assert_eq!(Check::faults(&schema(), &written), Vec::<String>::new());
    let mut lacking = Vec::new();
    named(&schema(), &schema(), &[&written], "", &mut lacking);
    assert_eq!(
        lacking,
        Vec::<String>::new(),
        "a field of the schema that no record has"
    );
    let versions = (1..=SCHEMA).map(Value::from).collect::<Vec<_>>();
    assert_eq!(schema()["properties"]["schema"]["enum"], Value::from(versions));
}

/// The fields that the schema names and none of these values has.
fn named(root: &Value, schema: &Value, values: &[&Value], place: &str, lacking: &mut Vec<String>) {
    if let Some(pointer) = schema.get("$ref").and_then(Value::as_str) {
        return named(root, root.pointer(&pointer[1..]).unwrap(), values, place, lacking);
    }
    for one in schema.get("anyOf").and_then(Value::as_array).into_iter().flatten() {
        if one.get("type") != Some(&"null".into()) {
            named(root, one, values, place, lacking);
        }
    }
    for (name, own) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let place = format!("{place}/{name}");
        let fields: Vec<&Value> = values.iter().filter_map(|value| value.get(name)).collect();
        if fields.is_empty() {
            lacking.push(place.clone());
        }
        named(root, own, &fields, &place, lacking);
    }
    if let Some(items) = schema.get("items") {
        let items_of: Vec<&Value> = values.iter().filter_map(|value| value.as_array()).flatten().collect();
        named(root, items, &items_of, place, lacking);
    }
    if let Some(others) = schema.get("additionalProperties") {
        let fields: Vec<&Value> = values
            .iter()
            .filter_map(|value| value.as_object())
            .flat_map(|value| value.values())
            .collect();
        named(root, others, &fields, place, lacking);
    }
}

#[test]
fn what_is_no_record_has_not_the_form_of_the_schema() {
    let whole = serde_json::to_value(full_record()).unwrap();
    let cases: [(&str, Value); 6] = [
        ("/seed", "one".into()),
        ("/schema", 3.into()),
        ("/data/manifest_sha256", "ab".into()),
        ("/scores/0/interval/level", 1.into()),
        ("/phases/0/codebooks/0/usage", 1.5.into()),
        ("/started", "yesterday".into()),
    ];
    for (place, value) in cases {
        let mut record = whole.clone();
        *record.pointer_mut(place).unwrap() = value;
        assert!(!Check::faults(&schema(), &record).is_empty(), "{place}");
    }
    let mut record = whole;
    record.as_object_mut().unwrap().remove("plan");
    assert_eq!(Check::faults(&schema(), &record).len(), 1);
}

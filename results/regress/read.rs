//! Reads a baseline file, and reports errors by line and key.

use super::baseline::{Band, Bands, Baseline, BaselineError, Expected, ExpectedNumber, Width};
use super::run::{Quantity, QuantityKind, RunKey};
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

type Result<T> = std::result::Result<T, BaselineError>;

impl Baseline {
    pub fn from_toml(text: &str) -> Result<Self> {
        let file = DeTable::parse(text).map_err(|error| BaselineError::NotToml {
            line: line(text, error.span().map_or(0, |span| span.start)),
            message: error.message().to_owned(),
        })?;
        let file = TomlTable {
            text,
            name: String::new(),
            start: 0,
            fields: file.get_ref(),
        };
        file.knows(&["bands", "run"])?;
        let mut bands = Bands::new(Bands::ABSOLUTE, Bands::RELATIVE);
        if let Some(found) = file.get("bands") {
            let found = found.table()?;
            found.knows(&QuantityKind::ALL.map(QuantityKind::word))?;
            for section in QuantityKind::ALL {
                if let Some(found) = found.get(section.word()) {
                    read_band(&found.table()?, bands.of_mut(section))?;
                }
            }
        }
        let mut runs: Vec<Expected> = Vec::new();
        let mut seen = BTreeSet::new();
        for found in file.get("run").map_or(Ok(Vec::new()), |runs| runs.list())? {
            let run = read_run(&found.table()?)?;
            if !seen.insert(run.key.clone()) {
                return Err(found.wrong("a second entry of one run"));
            }
            runs.push(run);
        }
        runs.sort_by(|a, b| a.key.cmp(&b.key));
        let baseline = Self { bands, runs };
        if baseline.is_empty() {
            return Err(BaselineError::Empty);
        }
        Ok(baseline)
    }
}

fn read_run(run: &TomlTable) -> Result<Expected> {
    const KNOWN: [&str; 10] = [
        "task",
        "method",
        "quantizer",
        "plan_hash",
        "backend",
        "dtype",
        "seed",
        "fold",
        "data",
        "data_identity",
    ];
    run.knows(&[&KNOWN[..], &QuantityKind::ALL.map(QuantityKind::word)].concat())?;
    let word = |name| run.need(name)?.word();
    let optional = |name| run.get(name).map(|value| value.word()).transpose();
    let key = RunKey {
        task: word("task")?,
        method: word("method")?,
        quantizer: optional("quantizer")?,
        plan_hash: word("plan_hash")?,
        backend: word("backend")?,
        dtype: word("dtype")?,
        seed: run.need("seed")?.integer()?,
        fold: run.get("fold").map(|fold| fold.integer()).transpose()?,
        data: optional("data_identity")?,
    };
    let mut entries = Vec::new();
    for section in QuantityKind::ALL {
        if let Some(found) = run.get(section.word()) {
            read_entries(section, &found.table()?, &[], &mut entries)?;
        }
    }
    let data = optional("data")?.unwrap_or_default();
    Ok(Expected { key, data, entries })
}

/// The numbers of a table and of the tables in it, whose names make up a quantity's.
fn read_entries(
    section: QuantityKind,
    table: &TomlTable,
    above: &[String],
    entries: &mut Vec<ExpectedNumber>,
) -> Result<()> {
    for (name, found) in table.each() {
        let path = [above, &[name]].concat();
        let quantity = Quantity { section, path };
        match found.value.get_ref() {
            DeValue::Table(fields) if !fields.keys().any(|key| ENTRY.contains(&key.get_ref().as_ref())) => {
                read_entries(section, &found.table()?, &quantity.path, entries)?;
            }
            DeValue::Table(_) => {
                let table = found.table()?;
                table.knows(&ENTRY)?;
                entries.push(ExpectedNumber {
                    quantity,
                    value: table.need("value")?.number()?,
                    width: read_width(&table)?,
                    two_sided: table.get("two_sided").map(|value| value.truth()).transpose()?,
                });
            }
            _ => entries.push(ExpectedNumber {
                quantity,
                value: found.number()?,
                width: None,
                two_sided: None,
            }),
        }
    }
    Ok(())
}

/// The keys of a number with a band of its own.
const ENTRY: [&str; 4] = ["value", "absolute", "relative", "two_sided"];

fn read_band(table: &TomlTable, band: &mut Band) -> Result<()> {
    table.knows(&ENTRY[1..])?;
    if let Some(width) = read_width(table)? {
        band.width = width;
    }
    if let Some(two_sided) = table.get("two_sided") {
        band.two_sided = two_sided.truth()?;
    }
    Ok(())
}

fn read_width(table: &TomlTable) -> Result<Option<Width>> {
    let width = |name| table.get(name).map(|value| value.width()).transpose();
    match (width("absolute")?, width("relative")?) {
        (Some(_), Some(_)) => Err(table.need("relative")?.wrong("a band is either absolute or relative")),
        (Some(absolute), None) => Ok(Some(Width::Absolute(absolute))),
        (None, relative) => Ok(relative.map(Width::Relative)),
    }
}

/// A table of the file, with its name and place.
struct TomlTable<'t> {
    text: &'t str,
    name: String,
    start: usize,
    fields: &'t DeTable<'t>,
}

/// A value of the file, with its name.
struct Field<'t> {
    text: &'t str,
    name: String,
    value: &'t Spanned<DeValue<'t>>,
}

impl<'t> TomlTable<'t> {
    /// The values with their keys, in the order of the file.
    fn each(&self) -> Vec<(String, Field<'t>)> {
        let mut fields: Vec<_> = self.fields.iter().collect();
        fields.sort_by_key(|(key, _)| key.span().start);
        let field = |(key, value): (&'t Spanned<_>, _)| {
            let key: &std::borrow::Cow<'t, str> = key.get_ref();
            let (text, name) = (self.text, self.name_of(key));
            (key.to_string(), Field { text, name, value })
        };
        fields.into_iter().map(field).collect()
    }

    fn name_of(&self, key: &str) -> String {
        match self.name.as_str() {
            "" => key.to_owned(),
            name => format!("{name}.{key}"),
        }
    }

    fn get(&self, key: &str) -> Option<Field<'t>> {
        let value = self.fields.get(key)?;
        let (text, name) = (self.text, self.name_of(key));
        Some(Field { text, name, value })
    }

    fn need(&self, key: &str) -> Result<Field<'t>> {
        self.get(key).ok_or_else(|| BaselineError::Key {
            line: line(self.text, self.start),
            key: self.name_of(key),
            message: "missing".to_owned(),
        })
    }

    fn knows(&self, known: &[&str]) -> Result<()> {
        match self.fields.keys().find(|key| !known.contains(&key.get_ref().as_ref())) {
            None => Ok(()),
            Some(key) => Err(BaselineError::Key {
                line: line(self.text, key.span().start),
                key: self.name_of(key.get_ref()),
                message: format!("unknown; known: {}", known.join(", ")),
            }),
        }
    }
}

impl<'t> Field<'t> {
    fn wrong(&self, message: &str) -> BaselineError {
        BaselineError::Key {
            line: line(self.text, self.value.span().start),
            key: self.name.clone(),
            message: message.to_owned(),
        }
    }

    fn table(&self) -> Result<TomlTable<'t>> {
        let fields = self
            .value
            .get_ref()
            .as_table()
            .ok_or_else(|| self.wrong("should be a table"))?;
        Ok(TomlTable {
            text: self.text,
            name: self.name.clone(),
            start: self.value.span().start,
            fields,
        })
    }

    fn list(&self) -> Result<Vec<Field<'t>>> {
        let values = self.value.get_ref().as_array();
        let values = values.ok_or_else(|| self.wrong("should be a list of tables: [[run]]"))?;
        let field = |value| Field {
            text: self.text,
            name: self.name.clone(),
            value,
        };
        Ok(values.iter().map(field).collect())
    }

    fn word(&self) -> Result<String> {
        let word = self.value.get_ref().as_str();
        word.map(str::to_owned)
            .ok_or_else(|| self.wrong("should be a word in quotes"))
    }

    fn truth(&self) -> Result<bool> {
        let value = self.value.get_ref().as_bool();
        value.ok_or_else(|| self.wrong("should be true or false"))
    }

    fn integer<T: std::str::FromStr>(&self) -> Result<T> {
        let value = self
            .value
            .get_ref()
            .as_integer()
            .filter(|integer| integer.radix() == 10);
        let value = value.and_then(|integer| integer.as_str().parse().ok());
        value.ok_or_else(|| self.wrong("should be a whole number within its range"))
    }

    fn number(&self) -> Result<f64> {
        let digits = match self.value.get_ref() {
            DeValue::Float(float) => float.as_str(),
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
            _ => return Err(self.wrong("should be a number")),
        };
        let value = digits.parse().ok().filter(|value: &f64| value.is_finite());
        value.ok_or_else(|| self.wrong("should be a finite number"))
    }

    fn width(&self) -> Result<f64> {
        let width = self.number()?;
        if width < 0.0 {
            return Err(self.wrong("a band cannot be narrower than 0"));
        }
        Ok(width)
    }
}

/// The line of this place in a text, counted from 1.
fn line(text: &str, place: usize) -> usize {
    text.bytes().take(place).filter(|&byte| byte == b'\n').count() + 1
}

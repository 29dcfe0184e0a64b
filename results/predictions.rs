//! Predictions for each test sample, as CSV that preserves every number exactly.
//!
//! One row per sample: `id`, `target`, then one score per class in columns named
//! `<protocol>.<class>`. Several protocols of one run share a file, so that every comparison is
//! paired. A target of several classes is written `3;7`. Where the data names the recording that a
//! sample was cut from, a third column `source` holds it. [`Transcripts`] have their own form.

mod transcripts;

pub use transcripts::{Outputs, ProtocolTexts, Transcripts};

use crate::shown::excerpt;

/// Scores of every class for every test sample of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    /// Ids of the samples, `[N]`.
    pub ids: Vec<String>,
    /// Classes of each sample, counted from 0, `[N]`: one in single-label tasks, any number in
    /// others.
    pub targets: Vec<Vec<u32>>,
    /// The source recording of each sample, `[N]`; samples of one source are no independent draws.
    /// None where the data names none.
    pub sources: Option<Vec<String>>,
    pub classes: usize,
    pub protocols: Vec<ProtocolScores>,
}

/// The column of source recordings, the third where there is one.
pub(super) const SOURCE: &str = "source";

#[derive(Clone, Debug, PartialEq)]
pub struct ProtocolScores {
    pub protocol: String,
    /// Scores, row-major `[N, C]`; the larger, the more likely.
    pub scores: Vec<f32>,
}

/// What is wrong with predictions.
#[derive(Debug, thiserror::Error)]
pub enum PredictionsError {
    #[error("{what}: {found} values instead of {expected}")]
    Shape {
        what: String,
        found: usize,
        expected: usize,
    },
    #[error("the {protocol} score of sample `{}` for class {class} is {value}", excerpt(id))]
    NotFinite {
        protocol: String,
        id: String,
        class: usize,
        value: f32,
    },
    #[error(
        "the target {target} of sample `{}` is outside the classes 0..{classes}",
        excerpt(id)
    )]
    Target { id: String, target: u32, classes: usize },
    #[error(
        "not predictions: the columns should be id, target, then <protocol>.<class>, but column {column} is `{}`",
        excerpt(found)
    )]
    Header { column: usize, found: String },
    #[error(
        "not transcripts: the columns should be id, reference, then <protocol>.text, but column {column} is `{}`",
        excerpt(found)
    )]
    TextHeader { column: usize, found: String },
    #[error("line {line}: `{}` is not a {expected}", excerpt(found))]
    Field {
        line: u64,
        found: String,
        expected: &'static str,
    },
    #[error("not a readable CSV file")]
    Csv(#[from] csv::Error),
}

impl Predictions {
    /// Checked predictions: lengths fit, targets are classes, scores are finite.
    pub fn new(
        ids: Vec<String>,
        targets: Vec<Vec<u32>>,
        classes: usize,
        protocols: Vec<ProtocolScores>,
    ) -> Result<Self, PredictionsError> {
        let predictions = Self {
            ids,
            targets,
            sources: None,
            classes,
            protocols,
        };
        predictions.check()?;
        Ok(predictions)
    }

    /// The same with the source recording of each sample, `[N]`.
    pub fn with_sources(mut self, sources: Vec<String>) -> Result<Self, PredictionsError> {
        self.sources = Some(sources);
        self.check()?;
        Ok(self)
    }

    /// The scores of one protocol, row-major `[N, C]`.
    pub fn protocol(&self, name: &str) -> Option<&[f32]> {
        self.protocols
            .iter()
            .find(|scores| scores.protocol == name)
            .map(|scores| &scores.scores[..])
    }

    fn check(&self) -> Result<(), PredictionsError> {
        let n = self.ids.len();
        let fits = |what: &str, found: usize, expected: usize| {
            let what = what.to_string();
            let error = PredictionsError::Shape { what, found, expected };
            if found == expected { Ok(()) } else { Err(error) }
        };
        fits("targets", self.targets.len(), n)?;
        fits("sources", self.sources.as_ref().map_or(n, Vec::len), n)?;
        for (id, targets) in self.ids.iter().zip(&self.targets) {
            if let Some(&target) = targets.iter().find(|&&target| target as usize >= self.classes) {
                return Err(PredictionsError::Target {
                    id: id.clone(),
                    target,
                    classes: self.classes,
                });
            }
        }
        for ProtocolScores { protocol, scores } in &self.protocols {
            fits(&format!("{protocol} scores"), scores.len(), n * self.classes)?;
            if let Some(i) = scores.iter().position(|score| !score.is_finite()) {
                let (id, class) = (self.ids[i / self.classes].clone(), i % self.classes);
                return Err(PredictionsError::NotFinite {
                    protocol: protocol.clone(),
                    id,
                    class,
                    value: scores[i],
                });
            }
        }
        Ok(())
    }

    /// The predictions as CSV. Each score has the shortest form that reads as the same f32.
    pub fn to_csv(&self) -> Result<Vec<u8>, PredictionsError> {
        self.check()?;
        let mut csv = csv::Writer::from_writer(Vec::new());
        let named = self
            .protocols
            .iter()
            .flat_map(|p| (0..self.classes).map(|c| format!("{}.{c}", p.protocol)));
        let lead = ["id", "target"]
            .into_iter()
            .chain(self.sources.as_ref().map(|_| SOURCE));
        csv.write_record(lead.map(String::from).chain(named))?;
        for (i, (id, targets)) in self.ids.iter().zip(&self.targets).enumerate() {
            let target = targets.iter().map(u32::to_string).collect::<Vec<_>>().join(";");
            csv.write_field(id)?;
            csv.write_field(target)?;
            if let Some(sources) = &self.sources {
                csv.write_field(&sources[i])?;
            }
            for scores in &self.protocols {
                for score in &scores.scores[i * self.classes..(i + 1) * self.classes] {
                    csv.write_field(score.to_string())?;
                }
            }
            csv.write_record(None::<&[u8]>)?;
        }
        // only the flush of the underlying writer can fail, and a Vec takes everything
        csv.into_inner()
            .map_err(|error| PredictionsError::Csv(csv::Error::from(error.into_error())))
    }

    pub fn from_csv(text: &[u8]) -> Result<Self, PredictionsError> {
        let mut csv = csv::Reader::from_reader(text);
        let header = csv.headers()?;
        let has_sources = header.get(2) == Some(SOURCE);
        let (protocols, classes) = columns(header, 2 + usize::from(has_sources))?;
        let protocols = protocols
            .into_iter()
            .map(|protocol| ProtocolScores {
                protocol,
                scores: Vec::new(),
            })
            .collect();
        let mut read = Self {
            ids: Vec::new(),
            targets: Vec::new(),
            sources: has_sources.then(Vec::new),
            classes,
            protocols,
        };
        for row in csv.records() {
            let row = row?;
            let line = row.position().map_or(0, csv::Position::line);
            let field = |found: &str, expected| PredictionsError::Field {
                line,
                found: found.into(),
                expected,
            };
            let mut fields = row.iter();
            read.ids.push(fields.next().unwrap_or_default().to_string());
            let targets = fields
                .next()
                .unwrap_or_default()
                .split(';')
                .filter(|target| !target.is_empty());
            let targets = targets.map(|target| target.parse().map_err(|_| field(target, "class")));
            read.targets.push(targets.collect::<Result<_, _>>()?);
            if let Some(sources) = &mut read.sources {
                sources.push(fields.next().unwrap_or_default().to_string());
            }
            for (i, score) in fields.enumerate() {
                read.protocols[i / classes]
                    .scores
                    .push(score.parse().map_err(|_| field(score, "score"))?);
            }
        }
        read.check()?;
        Ok(read)
    }
}

/// The protocols and the number of classes that a header names after its first `lead` columns.
fn columns(header: &csv::StringRecord, lead: usize) -> Result<(Vec<String>, usize), PredictionsError> {
    let wrong = |i: usize| PredictionsError::Header {
        column: i + 1,
        found: header.get(i).unwrap_or_default().to_string(),
    };
    for (i, name) in ["id", "target"].into_iter().enumerate() {
        if header.get(i) != Some(name) {
            return Err(wrong(i));
        }
    }
    let mut found: Vec<(String, usize)> = Vec::new();
    for (i, name) in header.iter().enumerate().skip(lead) {
        let (protocol, class) = name.rsplit_once('.').ok_or_else(|| wrong(i))?;
        let class: usize = class.parse().map_err(|_| wrong(i))?;
        match found.last_mut() {
            Some((last, classes)) if last == protocol && class == *classes => *classes += 1,
            _ if class == 0 => found.push((protocol.to_string(), 1)),
            _ => return Err(wrong(i)),
        }
    }
    let classes = found.first().map_or(0, |(_, classes)| *classes);
    match found.iter().position(|(_, count)| *count != classes) {
        Some(_) => Err(wrong(header.len() - 1)),
        None => Ok((found.into_iter().map(|(protocol, _)| protocol).collect(), classes)),
    }
}

#[cfg(test)]
mod tests;

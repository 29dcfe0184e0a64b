//! Transcripts for each test utterance, as CSV: `id`, `reference`, then the recognised texts in
//! columns named `<protocol>.text`. The second column distinguishes them from class scores. As with
//! class scores, a column `source` may follow it.

use super::{Predictions, PredictionsError, SOURCE};

/// The reference and the recognised texts of every test utterance of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Transcripts {
    /// Ids of the utterances, `[N]`.
    pub ids: Vec<String>,
    /// Reference transcripts, `[N]`.
    pub references: Vec<String>,
    /// The source recording of each utterance, `[N]`. None where the data names none.
    pub sources: Option<Vec<String>>,
    pub protocols: Vec<ProtocolTexts>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ProtocolTexts {
    pub protocol: String,
    /// Recognised texts, `[N]`; a text may be empty.
    pub hypotheses: Vec<String>,
}

const TEXT: &str = ".text";

impl Transcripts {
    /// Checked transcripts: lengths fit.
    pub fn new(
        ids: Vec<String>,
        references: Vec<String>,
        protocols: Vec<ProtocolTexts>,
    ) -> Result<Self, PredictionsError> {
        let n = ids.len();
        let lengths = protocols
            .iter()
            .map(|texts| (format!("{} texts", texts.protocol), texts.hypotheses.len()));
        for (what, found) in [("references".to_owned(), references.len())].into_iter().chain(lengths) {
            if found != n {
                return Err(PredictionsError::Shape {
                    what,
                    found,
                    expected: n,
                });
            }
        }
        Ok(Self {
            ids,
            references,
            sources: None,
            protocols,
        })
    }

    /// The same with the source recording of each utterance, `[N]`.
    pub fn with_sources(mut self, sources: Vec<String>) -> Result<Self, PredictionsError> {
        if sources.len() != self.ids.len() {
            return Err(PredictionsError::Shape {
                what: "sources".into(),
                found: sources.len(),
                expected: self.ids.len(),
            });
        }
        self.sources = Some(sources);
        Ok(self)
    }

    /// The texts that one protocol recognised, `[N]`.
    pub fn protocol(&self, name: &str) -> Option<&[String]> {
        let found = self.protocols.iter().find(|texts| texts.protocol == name);
        found.map(|texts| &texts.hypotheses[..])
    }

    pub fn to_csv(&self) -> Result<Vec<u8>, PredictionsError> {
        let mut csv = csv::Writer::from_writer(Vec::new());
        let named = self.protocols.iter().map(|texts| format!("{}{TEXT}", texts.protocol));
        let lead = ["id", "reference"]
            .into_iter()
            .chain(self.sources.as_ref().map(|_| SOURCE));
        csv.write_record(lead.map(String::from).chain(named))?;
        for (i, (id, reference)) in self.ids.iter().zip(&self.references).enumerate() {
            let source = self.sources.as_ref().map(|sources| &sources[i]);
            let found = self.protocols.iter().map(|texts| &texts.hypotheses[i]);
            csv.write_record([id, reference].into_iter().chain(source).chain(found))?;
        }
        // only the flush of the underlying writer can fail, and a Vec takes everything
        csv.into_inner()
            .map_err(|error| PredictionsError::Csv(csv::Error::from(error.into_error())))
    }

    pub fn from_csv(text: &[u8]) -> Result<Self, PredictionsError> {
        let mut csv = csv::Reader::from_reader(text);
        let header = csv.headers()?.clone();
        let wrong = |column: usize| PredictionsError::TextHeader {
            column: column + 1,
            found: header.get(column).unwrap_or_default().to_owned(),
        };
        for (column, name) in ["id", "reference"].into_iter().enumerate() {
            if header.get(column) != Some(name) {
                return Err(wrong(column));
            }
        }
        let has_sources = header.get(2) == Some(SOURCE);
        let lead = 2 + usize::from(has_sources);
        let protocol = |(column, name): (usize, &str)| match name.strip_suffix(TEXT) {
            Some(protocol) => Ok(ProtocolTexts {
                protocol: protocol.to_owned(),
                hypotheses: Vec::new(),
            }),
            None => Err(wrong(column)),
        };
        let protocols = header.iter().enumerate().skip(lead).map(protocol);
        let mut read = Self {
            ids: Vec::new(),
            references: Vec::new(),
            sources: has_sources.then(Vec::new),
            protocols: protocols.collect::<Result<_, _>>()?,
        };
        for row in csv.records() {
            let row = row?;
            read.ids.push(row[0].to_owned());
            read.references.push(row[1].to_owned());
            if let Some(sources) = &mut read.sources {
                sources.push(row[2].to_owned());
            }
            for (texts, found) in read.protocols.iter_mut().zip(row.iter().skip(lead)) {
                texts.hypotheses.push(found.to_owned());
            }
        }
        Ok(read)
    }
}

/// The predictions of a run: class scores or transcripts.
#[derive(Clone, Debug, PartialEq)]
pub enum Outputs {
    Scores(Predictions),
    Transcripts(Transcripts),
}

impl Outputs {
    /// Reads predictions of either form from CSV.
    pub fn from_csv(text: &[u8]) -> Result<Self, PredictionsError> {
        let is_text = csv::Reader::from_reader(text).headers()?.get(1) == Some("reference");
        if is_text {
            Transcripts::from_csv(text).map(Self::Transcripts)
        } else {
            Predictions::from_csv(text).map(Self::Scores)
        }
    }

    /// The source recording of each sample, `[N]`. None where the data names none.
    pub fn sources(&self) -> Option<&[String]> {
        match self {
            Self::Scores(predictions) => predictions.sources.as_deref(),
            Self::Transcripts(transcripts) => transcripts.sources.as_deref(),
        }
    }

    /// The same predictions with the source recording of each sample, `[N]`.
    ///
    /// # Errors
    /// If there are more or fewer sources than samples.
    pub fn with_sources(self, sources: Vec<String>) -> Result<Self, PredictionsError> {
        Ok(match self {
            Self::Scores(predictions) => Self::Scores(predictions.with_sources(sources)?),
            Self::Transcripts(transcripts) => Self::Transcripts(transcripts.with_sources(sources)?),
        })
    }

    /// Ids of the samples, `[N]`.
    pub fn ids(&self) -> &[String] {
        match self {
            Self::Scores(predictions) => &predictions.ids,
            Self::Transcripts(transcripts) => &transcripts.ids,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use crate::predictions::ProtocolScores;
    use proptest::prelude::*;

    fn texts(n: usize) -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("[a-zA-Z' ,;\"é\n-]{0,9}", n)
    }

    fn transcripts() -> impl Strategy<Value = Transcripts> {
        (0usize..6).prop_flat_map(|n| {
            let all = (texts(n), texts(n), prop::collection::vec(texts(n), 0..3));
            all.prop_map(|(ids, references, found)| {
                let named = found.into_iter().zip(["finetune", "finetune.beam 8"]);
                let protocols = named.map(|(hypotheses, name)| ProtocolTexts {
                    protocol: name.into(),
                    hypotheses,
                });
                Transcripts::new(ids, references, protocols.collect()).unwrap()
            })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn csv_gives_back_the_same_texts(written in transcripts()) {
            let csv = written.to_csv().unwrap();
            prop_assert_eq!(&Transcripts::from_csv(&csv).unwrap(), &written);
            prop_assert_eq!(Outputs::from_csv(&csv).unwrap(), Outputs::Transcripts(written.clone()));
            let sources: Vec<String> = (0..written.ids.len()).map(|i| format!("recording {}", i / 2)).collect();
            let written = Outputs::Transcripts(written).with_sources(sources).unwrap();
            let Outputs::Transcripts(transcripts) = &written else { unreachable!("transcripts") };
            prop_assert_eq!(Outputs::from_csv(&transcripts.to_csv().unwrap()).unwrap(), written);
        }
    }

    #[test]
    fn scores_are_read_as_before() {
        let scores = ProtocolScores {
            protocol: "knn".into(),
            scores: vec![0.5, 0.25],
        };
        let predictions = Predictions::new(vec!["a".into()], vec![vec![1]], 2, vec![scores]).unwrap();
        let read = Outputs::from_csv(&predictions.to_csv().unwrap()).unwrap();
        assert_eq!(
            (read.ids(), &read),
            (&["a".to_owned()][..], &Outputs::Scores(predictions))
        );
    }

    #[test]
    fn what_are_no_transcripts_is_refused() {
        let error = |text: &str| Outputs::from_csv(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            error("id,reference,finetune\na,ONE,ONE\n"),
            "not transcripts: the columns should be id, reference, then <protocol>.text, but column 3 is `finetune`"
        );
        assert!(error("name,reference\n").contains("column 1 is `name`"));
        assert!(error("id,text\n").contains("column 2 is `text`"));
        assert_eq!(error("id,reference,finetune.text\na,ONE\n"), "not a readable CSV file");
        let short = ProtocolTexts {
            protocol: "finetune".into(),
            hypotheses: vec![],
        };
        let error = Transcripts::new(vec!["a".into()], vec!["ONE".into()], vec![short]).unwrap_err();
        assert_eq!(error.to_string(), "finetune texts: 0 values instead of 1");
    }
}

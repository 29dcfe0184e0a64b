//! Published numbers of other methods from `baselines/published.toml`, as tables beside the
//! measured ones.

use crate::metric::Metric;
use crate::record::RunRecord;
use crate::table::{Cell, Heading, Table};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Tasks and the published names of the same benchmark. A name that ends in a hyphen stands for all
/// that begin with it.
const BENCHMARKS: [(&str, &str); 6] = [
    ("audioset", "AudioSet-2M"),
    ("audioset-20k", "AudioSet-20K"),
    ("esc50", "ESC-50"),
    ("imagenet", "ImageNet-1K"),
    ("kinetics", "Kinetics-400"),
    ("librispeech", "LibriSpeech-"),
];

/// Names of metrics in publications and in records.
const METRICS: [(&str, &str); 6] = [
    ("mAP", "map"),
    ("accuracy", "top1"),
    ("top-1", "top1"),
    ("top-5", "top5"),
    ("WER", "wer"),
    ("CER", "cer"),
];

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedNumber {
    /// The method, with its variant.
    pub method: String,
    /// `audio`, `speech`, `image` or `video`.
    pub modality: String,
    /// The benchmark, as publications call it.
    pub benchmark: String,
    /// How the encoder was evaluated: `finetune`, `linear-probe` or `knn`.
    pub protocol: String,
    /// The metric, as publications call it: `mAP`, `accuracy`, `top-1`, `top-5`, `WER`, `CER`.
    pub metric: String,
    /// The value in per cent.
    pub value: f64,
    pub pretraining_data: String,
    /// Whether labels beyond the target task, or a teacher trained with labels, were used.
    pub external_supervision: bool,
    /// Who reports it: `self-reported`, `quoted`, `same-harness`, `third-party-reproduction` or
    /// `ensemble`.
    pub report: String,
    /// Identifier on arXiv, where one was looked up.
    pub arxiv: Option<String>,
    pub note: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Citation {
    /// The text or table that was read.
    pub title: String,
    pub address: String,
}

/// A source with its numbers, as the file has them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CitedNumbers {
    title: String,
    address: String,
    rows: Vec<PublishedNumber>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    source: Vec<CitedNumbers>,
}

static ALL: LazyLock<Vec<(Citation, PublishedNumber)>> = LazyLock::new(|| {
    let file: File =
        toml::from_str(include_str!("../baselines/published.toml")).expect("a test reads the file that is built in");
    let sections = file.source.into_iter();
    let rows = sections.flat_map(|CitedNumbers { title, address, rows }| {
        let source = Citation { title, address };
        rows.into_iter().map(move |row| (source.clone(), row))
    });
    rows.collect()
});

/// Every published number with its source, in the order of the file.
pub fn all() -> &'static [(Citation, PublishedNumber)] {
    &ALL
}

/// Which published numbers are shown beside the measured ones of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shown {
    None,
    /// Those of the measured protocols and metrics: protocols cannot be compared with each other.
    #[default]
    Protocol,
    All,
}

impl PublishedNumber {
    pub fn record_metric(&self) -> &str {
        let known = METRICS.into_iter().find(|(published, _)| *published == self.metric);
        known.map_or(&self.metric, |(_, name)| name)
    }

    /// Whether this number belongs to the task.
    pub fn is_of(&self, task: &str) -> bool {
        BENCHMARKS.iter().any(|(name, benchmark)| {
            let same = match benchmark.strip_suffix('-') {
                Some(_) => self.benchmark.starts_with(benchmark),
                None => self.benchmark == *benchmark,
            };
            *name == task && same
        })
    }

    /// The best first: by benchmark, protocol and metric, then by value.
    fn order(&self, other: &Self) -> std::cmp::Ordering {
        let place = |row: &Self| (row.benchmark.clone(), row.protocol.clone(), row.metric.clone());
        let by_value = if Metric::is_error(self.record_metric()) {
            self.value.total_cmp(&other.value)
        } else {
            other.value.total_cmp(&self.value)
        };
        place(self).cmp(&place(other)).then(by_value)
    }
}

/// One table of published numbers for each task that these records measured, where there are any.
pub fn tables(records: &[RunRecord], shown: Shown) -> Vec<Table> {
    let tasks: BTreeSet<&str> = records
        .iter()
        .filter(|run| !run.scores.is_empty())
        .map(RunRecord::task)
        .collect();
    let of_task = |task: &str| {
        let measured: BTreeSet<(&str, &str)> = records
            .iter()
            .filter(|run| run.task() == task)
            .flat_map(|run| &run.scores)
            .map(|score| (score.protocol.as_str(), score.metric.as_str()))
            .collect();
        let is_shown = |row: &PublishedNumber| match shown {
            Shown::None => false,
            Shown::Protocol => measured.contains(&(row.protocol.as_str(), row.record_metric())),
            Shown::All => true,
        };
        let mut rows: Vec<&(Citation, PublishedNumber)> = all()
            .iter()
            .filter(|(_, row)| row.is_of(task) && is_shown(row))
            .collect();
        rows.sort_by(|(_, a), (_, b)| a.order(b));
        (!rows.is_empty()).then(|| table(task, &rows))
    };
    tasks.into_iter().filter_map(of_task).collect()
}

fn table(task: &str, rows: &[&(Citation, PublishedNumber)]) -> Table {
    let benchmarks: BTreeSet<&str> = rows.iter().map(|(_, row)| row.benchmark.as_str()).collect();
    let several = benchmarks.len() > 1;
    let title = match benchmarks.first() {
        Some(benchmark) if !several => format!("Published numbers: {benchmark}"),
        _ => format!("Published numbers: {task}"),
    };
    let mut references = References::default();
    let cells = |(source, row): &(Citation, PublishedNumber)| {
        let mut cells = references.row(source, row);
        if several {
            cells.insert(1, Cell::word(&row.benchmark));
        }
        cells
    };
    let rows = rows.iter().copied().map(cells).collect();
    let mut notes = vec![
        "not measured here: other models, other data, other probes; numbers of different reports or sources cannot be ranked"
            .to_string(),
        "external supervision: labels beyond the task, or a teacher trained with labels, entered before or during \
         fine-tuning"
            .to_string(),
    ];
    notes.extend(references.notes());
    let mut header = vec![Heading::key("method")];
    header.extend(several.then(|| Heading::key("benchmark")));
    header.extend(["protocol", "metric"].map(Heading::key));
    header.push(Heading::new("value (%)", "value_percent"));
    header.push(Heading::word("report"));
    header.push(Heading::new("external\nsupervision", "external_supervision"));
    header.push(Heading::new("pretraining data", "pretraining_data"));
    header.push(Heading::word("source"));
    Table {
        title,
        header,
        rows,
        notes,
    }
}

/// Sources and remarks, numbered and lettered as rows name them.
#[derive(Default)]
struct References {
    sources: Vec<Citation>,
    remarks: Vec<String>,
}

impl References {
    fn row(&mut self, source: &Citation, row: &PublishedNumber) -> Vec<Cell> {
        let number = place(&mut self.sources, source) + 1;
        let mut cited = format!("[{number}]");
        if let Some(note) = &row.note {
            cited.push(' ');
            cited.push_str(&letters(place(&mut self.remarks, note)));
        }
        let source = json!({
            "title": source.title, "address": source.address, "arxiv": row.arxiv, "note": row.note,
        });
        vec![
            Cell::word(&row.method),
            Cell::word(&row.protocol),
            Cell::word(&row.metric),
            // at least one decimal, and never fewer than the source has
            Cell::new(format!("{:?}", row.value), row.value),
            Cell::word(&row.report),
            Cell::new(
                if row.external_supervision { "yes" } else { "no" },
                row.external_supervision,
            ),
            Cell::word(&row.pretraining_data),
            Cell::new(cited, source),
        ]
    }

    fn notes(&self) -> impl Iterator<Item = String> {
        let sources = self.sources.iter().enumerate();
        let sources = sources.map(|(i, source)| format!("[{}] {} {}", i + 1, source.title, source.address));
        let remarks = self.remarks.iter().enumerate();
        sources.chain(remarks.map(|(i, remark)| format!("{} {remark}", letters(i))))
    }
}

/// The index of an item in a list; a new item is appended.
fn place<T: PartialEq + Clone>(list: &mut Vec<T>, item: &T) -> usize {
    list.iter().position(|known| known == item).unwrap_or_else(|| {
        list.push(item.clone());
        list.len() - 1
    })
}

/// a, b, ... z, aa, ab, ...
fn letters(place: usize) -> String {
    let last = char::from(b'a' + (place % 26) as u8);
    match place / 26 {
        0 => last.to_string(),
        rest => format!("{}{last}", letters(rest - 1)),
    }
}

#[cfg(test)]
mod tests;

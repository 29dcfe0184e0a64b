//! What a bench found, with the peer's keys.

use super::setup::{Kind, Setup};
use super::sums::Sum;
use crate::compute::Dtype;
use crate::run::machine;
use bridle::quantizer::QuantizerValues;
use bridle_backends::Facts;
use bridle_results::record;
use bridle_results::table::{Cell, Heading, Table};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// The numbers of one bench.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What decides the work.
    pub config: Config,
    /// Where and how it was done.
    pub runtime: Runtime,
    /// One row for each kind.
    #[serde(serialize_with = "by_kind")]
    pub results: Vec<(Kind, Row)>,
    /// Sums over ranks by their length, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sums: Vec<Sum>,
}

/// What decides the work, by the peer's names.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // the names of the command line and of `bridle::config`
pub struct Config {
    pub size: String,
    pub dim: usize,
    pub depth: usize,
    pub heads: usize,
    pub decoder: String,
    pub decoder_dim: usize,
    pub decoder_depth: usize,
    pub decoder_heads: usize,
    pub estimator_dim: usize,
    pub estimator_depth: usize,
    pub quantizer: String,
    pub codes: usize,
    pub code_dim: usize,
    pub levels: usize,
    pub input: String,
    pub tokens: usize,
    pub batch: usize,
    pub mask_ratio: f64,
    pub vectors: usize,
    pub encoder_parameters: usize,
    pub tokenizer_parameters: usize,
}

/// Where and how the work was done.
#[derive(Clone, Debug, Serialize)]
pub struct Runtime {
    /// The program's version and commit.
    pub program: String,
    /// The backend's name.
    pub backend: String,
    /// The library that computes.
    pub library: String,
    /// The device in words.
    pub device: String,
    /// Number type.
    pub dtype: String,
    /// How products in bf16 are computed; None in fp32.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bf16: Option<String>,
    /// Threads (None on a GPU).
    pub threads: Option<usize>,
    /// Kind of processor.
    pub machine: String,
    /// The processor's name.
    pub cpu: String,
    /// The GPU, where there is one.
    pub gpu: Option<String>,
    /// Jobs that wanted the processor over the last 1, 5 and 15 minutes; None where the system does not tell.
    pub load_average_before: Option<[f64; 3]>,
    /// The same at the end.
    pub load_average_after: Option<[f64; 3]>,
    /// The most main memory that the process held. With one task it is that of the task and its check.
    pub peak_memory_bytes: Option<u64>,
    /// Runs before the timed ones.
    pub warmup: usize,
    /// Timed runs.
    pub repeats: usize,
    /// Processes that share each step; None where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ranks: Option<record::Ranks>,
}

/// The times of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Median.
    pub median_s: f64,
    /// Least.
    pub min_s: f64,
    /// Most.
    pub max_s: f64,
    /// Timed runs.
    pub runs: usize,
    /// What is counted.
    pub unit: &'static str,
    /// Items over the median.
    pub per_s: f64,
    /// Of the median, seconds in exchanges with other ranks, waiting for slower ones included; the
    /// median of rank 0. None where there is one rank.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sums_s: Option<f64>,
}

impl Row {
    /// From the seconds of the timed runs, of which there is at least one.
    pub fn new(seconds: &[f64], items: usize, unit: &'static str) -> Self {
        let mut sorted = seconds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let runs = sorted.len();
        let median_s = (sorted[(runs - 1) / 2] + sorted[runs / 2]) / 2.0;
        let per_s = items as f64 / median_s;
        Self {
            median_s,
            min_s: sorted[0],
            max_s: sorted[runs - 1],
            runs,
            unit,
            per_s,
            sums_s: None,
        }
    }
}

fn by_kind<S: Serializer>(rows: &[(Kind, Row)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(rows.len()))?;
    for (kind, row) in rows {
        map.serialize_entry(kind.word(), row)?;
    }
    map.end()
}

impl Report {
    /// A report without numbers yet.
    pub fn new(setup: &Setup, facts: &Facts) -> Self {
        let gpu = (facts.device != "cpu").then(|| facts.device.clone());
        Self {
            config: Config::new(setup),
            runtime: Runtime {
                program: machine::VERSION.to_owned(),
                backend: facts.name.to_owned(),
                library: facts.library.clone(),
                device: facts.device.clone(),
                dtype: setup.dtype.word().to_owned(),
                bf16: (setup.dtype == Dtype::Bf16).then(|| facts.bf16.to_owned()),
                threads: facts.threads,
                machine: std::env::consts::ARCH.to_owned(),
                cpu: machine::machine(None).cpu,
                gpu,
                load_average_before: machine::load_average(),
                load_average_after: None,
                peak_memory_bytes: None,
                warmup: setup.warmup,
                repeats: setup.repeats,
                ranks: machine::joined_ranks(),
            },
            results: Vec::new(),
            sums: Vec::new(),
        }
    }

    /// The numbers as a table for people.
    pub fn table(&self) -> Table {
        let row = |(kind, row): &(Kind, Row)| {
            let mut cells = vec![
                Cell::word(kind.word()),
                Cell::new(format!("{:.4}", row.median_s), row.median_s),
                Cell::new(format!("{:.4}", row.min_s), row.min_s),
                Cell::new(format!("{:.4}", row.max_s), row.max_s),
                Cell::new(format!("{:.2} {}", row.per_s, row.unit), row.per_s),
            ];
            cells.extend(row.sums_s.map(|sums| Cell::new(format!("{sums:.4}"), sums)));
            cells
        };
        let Runtime {
            backend,
            dtype,
            bf16,
            repeats,
            warmup,
            ..
        } = &self.runtime;
        let products = bf16.as_ref().map_or(String::new(), |bf16| format!(" ({bf16})"));
        let threads = self
            .runtime
            .threads
            .map_or(String::new(), |threads| format!(", {threads} threads"));
        let ranks = self.runtime.ranks.as_ref();
        let shared = ranks.map_or(String::new(), |ranks| {
            let sums = ranks.tensor_sums.as_ref();
            let sums = sums.map_or(String::new(), |sums| format!(", tensors summed by {sums}"));
            format!(", {} ranks joined by {}{sums}", ranks.count, ranks.engine)
        });
        let Config {
            size,
            input,
            batch,
            quantizer,
            levels,
            codes,
            code_dim,
            ..
        } = &self.config;
        Table {
            title: format!("{size}, {input}, batch {batch}, {quantizer} {levels} x {codes} x {code_dim}{shared}"),
            header: [
                Heading::word("task"),
                Heading::new("median\nseconds", "median_s"),
                Heading::new("least\nseconds", "min_s"),
                Heading::new("most\nseconds", "max_s"),
                Heading::new("per second", "per_s"),
            ]
            .into_iter()
            .chain(ranks.map(|_| Heading::new("in sums\nseconds", "sums_s")))
            .collect(),
            rows: self.results.iter().map(row).collect(),
            notes: vec![
                format!(
                    "{} on {}, {dtype}{products}{threads}; {backend}",
                    self.runtime.library, self.runtime.cpu
                ),
                format!("{repeats} runs after {warmup} that do not count; each task was first held to its plain form"),
            ],
        }
    }
}

impl Config {
    /// The values of a setup, but for what only the model tells.
    pub fn new(setup: &Setup) -> Self {
        let (model, quantizer) = (&setup.model, &setup.model.quantizer);
        let decoder = &model.decoder.stack;
        Self {
            size: setup.size.word().to_owned(),
            dim: model.encoder.dim,
            depth: model.encoder.depth,
            heads: model.encoder.heads,
            decoder: model.decoder.kind.word().to_owned(),
            decoder_dim: decoder.dim,
            decoder_depth: decoder.depth,
            decoder_heads: decoder.heads,
            estimator_dim: model.estimator.dim,
            estimator_depth: model.estimator.depth,
            quantizer: quantizer.kind().to_string(),
            codes: quantizer.codebook_size(),
            code_dim: quantizer.code_dim(),
            levels: quantizer.codebooks(),
            input: setup.input.word().to_owned(),
            tokens: model.geometry.tokens(),
            batch: setup.of,
            mask_ratio: setup.mask_ratio,
            vectors: setup.vectors,
            encoder_parameters: 0,
            tokenizer_parameters: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        let row = Row::new(&[3.0, 1.0, 2.0, 10.0], 5, "samples");
        assert_eq!((row.median_s, row.min_s, row.max_s, row.per_s), (2.5, 1.0, 10.0, 2.0));
        assert_eq!(Row::new(&[4.0, 1.0, 2.0], 5, "samples").median_s, 2.0);
    }
}

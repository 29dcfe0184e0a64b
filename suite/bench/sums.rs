//! What sums over ranks cost: in the fixed order that training uses, and as the MPI library adds.

use super::Report;
use crate::cli::error::Result;
use bridle_ranks::{Patience, Ranks, RanksError};
use bridle_results::table::{Cell, Heading, Table};
use serde::Serialize;
use std::time::Instant;

/// Numbers of a sum: a few losses, the statistics of a codebook of 256 codes, a bucket of gradients,
/// the gradients of a model of 25 million parameters.
const LENGTHS: [usize; 4] = [4, 256 * 257, 25 << 18, 25_000_000];

/// The median times of sums of one length.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sum {
    pub bytes: usize,
    /// In the fixed order.
    pub median_s: f64,
    /// By the library's own sum.
    pub engine_s: f64,
}

/// Sums of every length, both ways in turn; none where there is one rank.
///
/// # Errors
/// If the other ranks do not answer.
pub fn measure(ranks: &Ranks, repeats: usize) -> Result<Vec<Sum>> {
    if ranks.size() == 1 {
        return Ok(Vec::new());
    }
    let of_length = |length: usize| -> std::result::Result<Sum, RanksError> {
        let mut values = vec![1.0f32; length];
        let (mut fixed, mut engine) = (Vec::new(), Vec::new());
        // the first of each, which makes room, does not count
        for _ in 0..=repeats {
            ranks.barrier(Patience::Usual)?;
            let begun = Instant::now();
            ranks.sum(&mut values)?;
            fixed.push(begun.elapsed().as_secs_f64());
            ranks.barrier(Patience::Usual)?;
            let begun = Instant::now();
            ranks.sum_by_engine(&mut values)?;
            engine.push(begun.elapsed().as_secs_f64());
            values.fill(1.0);
        }
        let median = |seconds: &[f64]| super::Row::new(&seconds[1..], 1, "").median_s;
        Ok(Sum {
            bytes: length * size_of::<f32>(),
            median_s: median(&fixed),
            engine_s: median(&engine),
        })
    };
    Ok(LENGTHS
        .into_iter()
        .map(of_length)
        .collect::<std::result::Result<_, _>>()?)
}

/// The sums as a table for people; None where there is one rank.
pub fn table(report: &Report) -> Option<Table> {
    let ranks = report.runtime.ranks.as_ref()?;
    let row = |sum: &Sum| {
        vec![
            Cell::new(format!("{}", sum.bytes), sum.bytes as f64),
            Cell::new(format!("{:.6}", sum.median_s), sum.median_s),
            Cell::new(format!("{:.6}", sum.engine_s), sum.engine_s),
            Cell::new(
                format!("{:.2}", sum.median_s / sum.engine_s),
                sum.median_s / sum.engine_s,
            ),
        ]
    };
    Some(Table {
        title: format!("sums over {} ranks", ranks.count),
        header: vec![
            Heading::new("bytes", "bytes"),
            Heading::new("fixed order\nseconds", "median_s"),
            Heading::new("MPI's own\nseconds", "engine_s"),
            Heading::new("ratio", "ratio"),
        ],
        rows: report.sums.iter().map(row).collect(),
        notes: std::iter::once("fixed order: the same bits in every run, under every library")
            .chain(
                ranks
                    .tensor_sums
                    .as_ref()
                    .map(|_| "both through main memory, not on devices"),
            )
            .map(str::to_owned)
            .collect(),
    })
}

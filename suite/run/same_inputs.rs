//! Whether ranks have the same data: the names of samples say nothing of what is in their files.

use crate::cli::error::Result;
use crate::data::{Batch as _, TrainingData};
use bridle_ranks::{Ranks, RanksError};

/// So many samples are looked at.
const SAMPLES: usize = 16;

/// How far two numbers of one input may be apart, as a share of its size: processors round differently.
const ROUNDING: f64 = 1e-4;

/// Compares the inputs of some of these samples over ranks.
///
/// # Errors
/// If a rank has others than rank 0; if a sample cannot be read; if the other ranks do not answer.
pub fn require<D: TrainingData>(ranks: &Ranks, data: &D, samples: &[usize]) -> Result<()> {
    if ranks.size() == 1 {
        return Ok(());
    }
    let picked =
        (0..SAMPLES.min(samples.len())).map(|place| samples[place * samples.len() / SAMPLES.min(samples.len())]);
    let picked: Vec<usize> = picked.collect();
    let mut mine = Vec::with_capacity(picked.len());
    for &sample in &picked {
        mine.push(signature(data.read(vec![sample])?.values()));
    }
    let all: Vec<[f64; 2]> = ranks.gather_values(mine)?;
    let Some((rank, place)) = first_other(&all, picked.len()) else {
        return Ok(());
    };
    let told = |rank: usize| format!("{:.4}", all[rank * picked.len() + place][0]);
    Err(RanksError::Disagree {
        what: format!("input of sample {}", picked[place]),
        leader: told(0),
        rank,
        theirs: told(rank),
    }
    .into())
}

/// A sum of the values with signs that look random, and their root mean square, both by their number.
fn signature(values: &[f32]) -> [f64; 2] {
    let sign = |place: usize| {
        if (place.wrapping_mul(2_654_435_761) >> 13) & 1 == 0 {
            1.0
        } else {
            -1.0
        }
    };
    let sum: f64 = values
        .iter()
        .enumerate()
        .map(|(place, &value)| sign(place) * f64::from(value))
        .sum();
    let squares: f64 = values.iter().map(|&value| f64::from(value).powi(2)).sum();
    let root = (values.len().max(1) as f64).sqrt();
    [sum / root, squares.sqrt() / root]
}

/// The first rank, and the place of the first sample, whose signature is another than rank 0's; `all`
/// are those of `each` samples of rank 0, of rank 1, and so on.
fn first_other(all: &[[f64; 2]], each: usize) -> Option<(usize, usize)> {
    let rows = all.chunks_exact(each.max(1));
    rows.enumerate().find_map(|(rank, theirs)| {
        let pairs = all.iter().zip(theirs);
        let differs = |(ours, theirs): (&[f64; 2], &[f64; 2])| {
            let size = ours[1].abs().max(f64::MIN_POSITIVE);
            (0..2).any(|part| (ours[part] - theirs[part]).abs() > ROUNDING * size)
        };
        pairs.map(differs).position(|other| other).map(|place| (rank, place))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_values_are_found_and_rounding_is_not() {
        let values: Vec<f32> = (0..1_000).map(|place| (place as f32 * 0.37).sin()).collect();
        let rounded: Vec<f32> = values.iter().map(|value| value * (1.0 + 1e-6)).collect();
        let mut turned = values.clone();
        turned.reverse();
        let of = |row: [&[f32]; 2]| row.map(signature);
        let all = [of([&values, &values]), of([&rounded, &values]), of([&values, &turned])].concat();
        assert_eq!(first_other(&all[..4], 2), None);
        assert_eq!(first_other(&all, 2), Some((2, 1)));
    }
}

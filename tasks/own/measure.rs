//! Input statistics for task files that ask for them.

use rayon::prelude::*;

use super::file::ChannelStatistics;
use crate::data::listing::Listing;
use crate::error::SampleError;
use crate::media::Media;
use crate::{DataError, InputSpec, Sample, Split, cache};

/// Number of training samples to read, evenly spread over the list.
const SAMPLES: usize = 256;

/// Values per channel of one sample, and each channel's sum and sum of squares.
type ChannelSums = (usize, Vec<(f64, f64)>);

/// Mean and standard deviation per channel over a fixed sample of the training data; of sound, one
/// channel three times. Unusable samples are ignored here, and named when the data is opened.
pub(super) fn statistics(
    listing: &Listing<Sample>,
    media: &dyn Media,
    input: &InputSpec,
) -> Result<ChannelStatistics, DataError> {
    let channels = if matches!(input, InputSpec::Audio { .. }) { 1 } else { 3 };
    let training: Vec<usize> = (0..listing.entries.len())
        .filter(|&index| listing.entries[index].sample.split == Split::Train)
        .collect();
    let count = training.len().min(SAMPLES);
    let chosen: Vec<usize> = (0..count)
        .map(|number| training[number * training.len() / count])
        .collect();
    let sums = |&index: &usize| {
        let values = listing.view(media, index)?;
        let sums = |values: &[f32]| {
            values
                .iter()
                .map(|&x| f64::from(x))
                .fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x))
        };
        Ok((
            values.len() / channels,
            values
                .chunks_exact(values.len() / channels)
                .map(sums)
                .collect::<Vec<_>>(),
        ))
    };
    let found: Vec<Result<ChannelSums, SampleError>> =
        cache::pool(0)?.install(|| chosen.par_iter().map(sums).collect());
    let mut first_error = None;
    for (found, &index) in found.iter().zip(&chosen) {
        match found {
            Ok(_) => {}
            Err(SampleError::Broken(reason)) => first_error = first_error.or_else(|| Some(reason.clone())),
            Err(error) => {
                let entry = &listing.entries[index];
                let name = entry.file.as_ref().unwrap_or(&entry.sample.id);
                return Err(error.clone().at(listing.tree.root().join(name)));
            }
        }
    }
    let found: Vec<_> = found.into_iter().flatten().collect();
    if found.is_empty() {
        let (skipped, of) = (count, count);
        let first = chosen
            .first()
            .map_or_else(String::new, |&index| listing.entries[index].sample.id.clone());
        let reason = first_error.unwrap_or_else(|| "there are none".to_owned());
        return Err(DataError::TooManySkipped {
            path: listing.tree.root().to_owned(),
            skipped,
            of,
            first,
            reason,
        });
    }
    let n = found.iter().map(|(n, _)| *n as f64).sum::<f64>();
    let channel = |channel: usize| {
        let add = |total: (f64, f64), one: (f64, f64)| (total.0 + one.0, total.1 + one.1);
        let (sum, squares) = found
            .iter()
            .map(|(_, sums)| sums[channel % channels])
            .fold((0.0, 0.0), add);
        let mean = sum / n;
        (mean, (squares / n - mean * mean).max(0.0).sqrt().max(1e-6))
    };
    let channels = [channel(0), channel(1), channel(2)];
    Ok((channels.map(|(mean, _)| mean), channels.map(|(_, std)| std)))
}

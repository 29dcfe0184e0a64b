//! Resamples any rate to the model's, with one fixed setting, so that no flag changes the numbers.
//!
//! rubato's synchronous Fourier resampler, float32, blocks of at least 8,192 input samples in one
//! piece, Blackman-Harris squared window: from 44.1 to 16 kHz it is flat up to 7.8 kHz.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler, WindowFunction};

/// Raised whenever a change here changes the numbers; part of the key of stored features.
pub const RESAMPLER_VERSION: u32 = 1;

const BLOCK: usize = 8_192;

/// `samples` at `from` hertz as ceil(n * to / from) samples at `to` hertz. Equal rates change
/// nothing. Rates must be above zero.
pub fn resample(samples: Vec<f32>, from: u32, to: u32) -> Vec<f32> {
    if from == to || samples.is_empty() {
        return samples;
    }
    let length = (samples.len() as u64 * u64::from(to)).div_ceil(u64::from(from)) as usize;
    let window = WindowFunction::BlackmanHarris2;
    let mut resampler = Fft::<f32>::new_custom(
        from as usize,
        to as usize,
        block(from, to),
        1,
        1,
        window,
        FixedSync::Both,
    )
    .expect("the rates are above zero and one channel is asked for");
    let input =
        InterleavedSlice::new(&samples, 1, samples.len()).expect("one channel: as many frames as there are samples");
    let mut output = resampler
        .process_all(&input, samples.len(), None)
        .expect("the input has the one channel that the resampler was made for")
        .take_data();
    // rubato rounds in floating point, which can be one sample more
    output.resize(length, 0.0);
    output
}

/// Block length in input samples: an even multiple of the shortest period that both rates share.
/// The filter delays by half a block, and half a sample could not be removed again.
fn block(from: u32, to: u32) -> usize {
    let (mut period, mut rest) = (from, to);
    while rest != 0 {
        (period, rest) = (rest, period % rest);
    }
    let shortest = 2 * (from / period) as usize;
    shortest * BLOCK.div_ceil(shortest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn sine(rate: u32, hertz: f64, samples: usize) -> Vec<f32> {
        (0..samples)
            .map(|n| (0.5 * (TAU * hertz * n as f64 / f64::from(rate)).sin()) as f32)
            .collect()
    }

    #[test]
    fn a_sine_stays_the_same_sine_in_time_and_level() {
        for hertz in [100.0, 1_000.0, 7_000.0] {
            let got = resample(sine(44_100, hertz, 44_100), 44_100, 16_000);
            let expected = sine(16_000, hertz, 16_000);
            assert_eq!(got.len(), expected.len());
            // the ends see the abrupt start and stop of the tone
            let worst = (2_000..14_000)
                .map(|n| (got[n] - expected[n]).abs())
                .fold(0.0, f32::max);
            assert!(worst < 2e-3, "{hertz} Hz is off by {worst}");
        }
    }

    #[test]
    fn what_the_new_rate_cannot_hold_is_gone() {
        let got = resample(sine(44_100, 9_500.0, 44_100), 44_100, 16_000);
        let loudest = got[2_000..14_000].iter().fold(0.0f32, |max, x| max.max(x.abs()));
        assert!(loudest < 1e-3, "9.5 kHz leaves {loudest}");
    }

    #[test]
    fn lengths_are_exact() {
        for (samples, expected) in [(220_500, 80_000), (220_501, 80_001), (1, 1), (441, 160)] {
            assert_eq!(resample(vec![0.1; samples], 44_100, 16_000).len(), expected);
        }
        assert_eq!(resample(vec![0.1; 77], 16_000, 16_000), vec![0.1; 77]);
    }
}

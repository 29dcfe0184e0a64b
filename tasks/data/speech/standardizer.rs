//! Zero mean and unit variance per mel band, over the training utterances.
//!
//! BEST-RQ needs it for its labels: without it, a random projection sees little but the mean
//! energy, and most codes stay unused (Chiu et al. 2022, section 3.2).

use serde::{Deserialize, Serialize};

/// Mean and standard deviation per mel band.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BandStandardizer {
    pub mean: Vec<f64>,
    /// 1 for a band that never varies.
    pub std: Vec<f64>,
}

impl BandStandardizer {
    /// Standardises frames of energies, `[frames, mels]`, in place.
    pub fn apply(&self, energies: &mut [f32]) {
        for frame in energies.chunks_exact_mut(self.mean.len()) {
            for ((x, mean), std) in frame.iter_mut().zip(&self.mean).zip(&self.std) {
                *x = ((f64::from(*x) - mean) / std) as f32;
            }
        }
    }
}

/// Sums over frames, added in one order so that they are rounded alike on any number of threads.
pub(super) struct Sums {
    frames: u64,
    sum: Vec<f64>,
    squares: Vec<f64>,
}

impl Sums {
    pub fn new(mels: usize) -> Self {
        Self {
            frames: 0,
            sum: vec![0.0; mels],
            squares: vec![0.0; mels],
        }
    }

    /// Adds frames, `[frames, mels]`.
    pub fn add(&mut self, energies: &[f32]) {
        for frame in energies.chunks_exact(self.sum.len()) {
            self.frames += 1;
            for ((&x, sum), squares) in frame.iter().zip(&mut self.sum).zip(&mut self.squares) {
                let x = f64::from(x);
                *sum += x;
                *squares += x * x;
            }
        }
    }

    pub fn standardizer(&self) -> BandStandardizer {
        let n = self.frames.max(1) as f64;
        let mean: Vec<f64> = self.sum.iter().map(|sum| sum / n).collect();
        let std = |(squares, mean): (&f64, &f64)| {
            let std = (squares / n - mean * mean).max(0.0).sqrt();
            // energies are at most about 30: smaller values are rounding
            if std > 1e-6 { std } else { 1.0 }
        };
        BandStandardizer {
            std: self.squares.iter().zip(&mean).map(std).collect(),
            mean,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridle_seed::Seed;

    #[test]
    fn standardised_bands_have_zero_mean_and_unit_variance_and_a_constant_band_is_zero() {
        let mut stream = Seed::root(3).stream();
        let frames: Vec<f32> = (0..500)
            .flat_map(|_| [stream.normal() * 3.0 - 7.0, -15.9, stream.normal() * 0.1])
            .collect();
        let mut sums = Sums::new(3);
        frames.chunks(30).for_each(|piece| sums.add(piece));
        let mut standardised = frames.clone();
        sums.standardizer().apply(&mut standardised);
        let mut sums = Sums::new(3);
        sums.add(&standardised);
        let found = sums.standardizer();
        assert!(found.mean.iter().all(|mean| mean.abs() < 1e-6), "{found:?}");
        assert!(found.std.iter().all(|std| (std - 1.0).abs() < 1e-6), "{found:?}");
        assert!(standardised.chunks(3).all(|frame| frame[1].abs() < 1e-5));
    }
}

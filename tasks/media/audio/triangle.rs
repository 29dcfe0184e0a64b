//! One triangle of a filterbank: weights of the bins of a power spectrum.

/// One triangle without its zeros.
pub(super) struct Triangle {
    first_bin: usize,
    weights: Vec<f32>,
}

impl Triangle {
    /// The triangle that has so much `weight` at each of `bins` bins; the bins above 0 are
    /// neighbours.
    pub fn new(bins: usize, weight: impl Fn(usize) -> f32) -> Self {
        let first_bin = (0..bins).find(|&bin| weight(bin) > 0.0).unwrap_or(0);
        let weights = (first_bin..bins).map(weight).take_while(|weight| *weight > 0.0);
        Self {
            first_bin,
            weights: weights.collect(),
        }
    }

    /// The weighted sum of a power spectrum.
    pub fn energy(&self, power: &[f32]) -> f32 {
        let bins = &power[self.first_bin..];
        self.weights.iter().zip(bins).map(|(w, p)| w * p).sum()
    }

    /// Writes the weights into a row of zeros.
    pub fn write(&self, row: &mut [f32]) {
        row[self.first_bin..][..self.weights.len()].copy_from_slice(&self.weights);
    }
}

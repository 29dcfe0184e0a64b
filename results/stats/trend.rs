//! Whether training was long enough: does the learning curve still rise where it ends, and are the training samples
//! learnt?

use super::t_quantile;
use serde::Serialize;

/// The share of a curve that is its end.
const END: f64 = 1.0 / 3.0;
/// Points without which a slope has no noise that is known.
const POINTS: usize = 4;
/// The chance at which a flat curve counts as rising.
const LEVEL: f64 = 0.05;
/// Rise over the end, as a share, below which training longer is not worth it.
const LEAST: f64 = 0.01;
/// The share of its first value that the training loss of a model that has learnt its samples is below.
const LEARNT: f64 = 0.5;

/// Whether a training loss that began and ended so says that the training samples are not learnt yet. A schedule
/// that leads the rate to zero flattens every curve, also that of a model that has hardly begun; its loss tells.
pub fn is_unlearnt(first: f64, last: f64) -> bool {
    last > LEARNT * first
}

/// The straight line through the last third of a learning curve, by least squares.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Trend {
    /// Rise for each unit of the curve's places, such as an epoch.
    pub slope: f64,
    /// Standard error of the slope, from the points' distances to the line.
    pub slope_error: f64,
    /// Rise over the end.
    pub rise: f64,
    /// Points of the end.
    pub points: usize,
}

impl Trend {
    /// Of a curve of places and values, in order. None of fewer than four points in the last third.
    pub fn of_end(curve: &[(f64, f64)]) -> Option<Self> {
        let (last, first) = (curve.last()?.0, curve.first()?.0);
        let from = last - END * (last - first);
        let end: Vec<(f64, f64)> = curve.iter().copied().filter(|(place, _)| *place >= from).collect();
        let count = end.len() as f64;
        if end.len() < POINTS {
            return None;
        }
        let mean = |of: &dyn Fn(&(f64, f64)) -> f64| end.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(&|point| point.0), mean(&|point| point.1));
        let square = end.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>();
        let slope = end.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>() / square;
        let rest = |point: &(f64, f64)| (point.1 - y - slope * (point.0 - x)).powi(2);
        let rest = end.iter().map(rest).sum::<f64>() / (count - 2.0);
        Some(Self {
            slope,
            slope_error: (rest / square).sqrt(),
            rise: slope * (last - end[0].0),
            points: end.len(),
        })
    }

    /// Whether the curve rises: by a hundredth or more over its last third, and by more than noise
    /// (Student's t, one-sided 5 %).
    pub fn rises(&self) -> bool {
        let noise = t_quantile(1.0 - LEVEL, (self.points - 2) as f64) * self.slope_error;
        self.rise >= LEAST && self.slope > noise
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
    use super::*;
    use bridle_seed::{Seed, Stream};

    /// A curve over 24 epochs that rises by `slope` an epoch, with noise.
    fn curve(slope: f64, noise: f64, stream: &mut Stream) -> Vec<(f64, f64)> {
        let value = |epoch: i32| 0.3 + slope * f64::from(epoch) + noise * f64::from(stream.normal());
        (1..=24).map(f64::from).zip((1..=24).map(value)).collect()
    }

    fn rising(slope: f64, noise: f64) -> f64 {
        let mut stream = Seed::root(5).stream();
        let found = (0..2000).filter(|_| Trend::of_end(&curve(slope, noise, &mut stream)).unwrap().rises());
        found.count() as f64 / 2000.0
    }

    #[test]
    fn a_flat_curve_seldom_rises_and_a_steep_one_does() {
        assert!(rising(0.0, 0.01) < 0.06);
        assert!(rising(0.0, 0.05) < 0.06);
        assert!(rising(0.01, 0.01) > 0.98);
        assert!(rising(-0.01, 0.01) < 0.001);
        // a rise of half a point over the last third is not worth it, however sure
        assert!(rising(0.0006, 0.0001) < 0.001);
    }

    /// Classifiers of 50 classes on ESC-50, ten epochs at preset mini: from random weights 13.5 % of test clips were
    /// right and the held-out curve was flat for its last four epochs.
    #[test]
    fn a_loss_near_its_first_value_is_unlearnt_however_flat_the_curve() {
        let curve = [0.0525, 0.065, 0.075, 0.0725, 0.085, 0.115, 0.1125, 0.115, 0.1175, 0.11];
        let curve: Vec<(f64, f64)> = (1..=10).map(f64::from).zip(curve).collect();
        assert!(!Trend::of_end(&curve).unwrap().rises());
        assert!(is_unlearnt(3.912, 3.543) && is_unlearnt(3.912, 2.947));
        assert!(!is_unlearnt(3.912, 1.9) && !is_unlearnt(45.0, 0.3));
    }

    /// Values of numpy.polyfit(x, y, 1, cov=True).
    #[test]
    fn slope_and_error_are_those_of_least_squares() {
        let values = [0.1, 0.2, 0.25, 0.31, 0.3, 0.36, 0.41, 0.4, 0.44, 0.45, 0.43, 0.48];
        let curve: Vec<(f64, f64)> = (1..=12).map(f64::from).zip(values).collect();
        let found = Trend::of_end(&curve).unwrap();
        assert_eq!(found.points, 4);
        assert!(
            (found.slope - 0.01).abs() < 1e-12 && (found.slope_error - 0.009486832980505075).abs() < 1e-12,
            "{found:?}"
        );
        assert!((found.rise - 0.03).abs() < 1e-12 && !found.rises());
        assert_eq!(Trend::of_end(&curve[..6]), None);
    }
}

//! Axes of plots: their range, round marks, and numbers as people write them.

use crate::metric::Metric;
use crate::table::scale;

/// An axis: its label, its range and the values that are marked.
pub(super) struct Axis {
    pub(super) label: String,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) ticks: Vec<f64>,
    /// Decimals of a tick; each its own on an axis of powers.
    decimals: Option<usize>,
}

impl Axis {
    /// The axis over these values, with round numbers at its ends. NaN is ignored.
    pub(super) fn over(label: &str, values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if high - low <= f64::EPSILON * high.abs().max(low.abs()) {
            let half = (low.abs() * 0.05).max(0.5);
            (low, high) = (low - half, high + half);
        }
        let step = round_step((high - low) / 4.0);
        let (first, last) = ((low / step).floor(), (high / step).ceil());
        let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
        Self {
            label: label.to_string(),
            low: first * step,
            high: last * step,
            ticks: (0..=(last - first) as usize)
                .map(|i| (first + i as f64) * step)
                .collect(),
            decimals: Some(decimals),
        }
    }

    /// The axis over values of a metric, whose ends are none that the metric cannot have.
    pub(super) fn of_metric(label: &str, metric: &str, values: impl Iterator<Item = f64>) -> Self {
        let (least, most) = possible(metric);
        Self::over(label, values).within(least, most)
    }

    /// The axis over differences of a metric, with 0.
    pub(super) fn of_differences(label: &str, metric: &str, values: impl Iterator<Item = f64>) -> Self {
        let (least, most) = possible(metric);
        Self::over(label, values.chain([0.0])).within(least - most, most - least)
    }

    fn within(mut self, least: f64, most: f64) -> Self {
        (self.low, self.high) = (self.low.max(least), self.high.min(most));
        self.ticks.retain(|tick| (least..=most).contains(tick));
        self
    }

    /// The axis of places in a list of `count`: its ends are the list's.
    pub(super) fn whole(label: &str, count: f64) -> Self {
        let high = count.max(1.0);
        Self {
            label: label.to_string(),
            low: 0.0,
            high,
            ticks: vec![0.0, high],
            decimals: Some(0),
        }
    }

    /// The axis of powers of ten around these values. Values that are not positive are ignored.
    pub(super) fn of_powers(label: &str, values: impl Iterator<Item = f64>) -> Self {
        let powers = values.filter(|value| *value > 0.0).map(f64::log10);
        let (low, high) = powers.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), power| {
            (low.min(power.floor()), high.max(power.ceil()))
        });
        let (low, high) = if low < high { (low, high) } else { (-1.0, 2.0) };
        Self {
            label: label.to_string(),
            low: 10f64.powf(low),
            high: 10f64.powf(high),
            ticks: (low as i32..=high as i32).map(|power| 10f64.powi(power)).collect(),
            decimals: None,
        }
    }

    /// The position of a value between two positions of the panel; a logarithmic axis shows what it
    /// cannot represent at its low end.
    pub(super) fn place(&self, value: f64, from: f64, to: f64) -> f64 {
        let share = match self.decimals {
            Some(_) => (value - self.low) / (self.high - self.low),
            None => (value.max(self.low) / self.low).ln() / (self.high / self.low).ln(),
        };
        from + share * (to - from)
    }

    pub(super) fn tick(&self, value: f64) -> String {
        let of_power = (-value.log10().round()).clamp(0.0, 9.0);
        number(value, self.decimals.unwrap_or(of_power as usize))
    }
}

/// The least and the largest value that a metric can have, as it is displayed.
fn possible(metric: &str) -> (f64, f64) {
    let (least, most) = Metric::named(metric).map_or((f64::NEG_INFINITY, f64::INFINITY), Metric::range);
    (least * scale(metric), most * scale(metric))
}

/// The next of 1, 2, 5, 10, 20, 50, ... at or above `least`.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power);
    step.into_iter().find(|step| *step >= least * 0.999).unwrap_or(least)
}

/// A number with these decimals, its thousands set apart; without the sign of a negative zero.
pub(super) fn number(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut out = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    let is_zero = text.chars().all(|c| matches!(c, '0' | '.'));
    let sign = if value < 0.0 && !is_zero { "−" } else { "" };
    format!("{sign}{out}{rest}")
}

#[cfg(test)]
mod tests;

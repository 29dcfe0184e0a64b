//! Axes whose marks people can read, and whose ends the metric can have.

use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn an_axis_holds_its_values_between_few_round_marks(
        values in prop::collection::vec(prop::num::f64::NORMAL.prop_map(|v| v % 1e9), 1..20)
    ) {
        let axis = Axis::over("", values.iter().copied());
        prop_assert!(axis.low < axis.high && (2..=8).contains(&axis.ticks.len()), "{:?}", axis.ticks);
        let slack = 1e-6 * (axis.high - axis.low);
        prop_assert!(values.iter().all(|v| (axis.low - slack..=axis.high + slack).contains(v)));
        prop_assert!(values.iter().all(|v| axis.place(*v, 0.0, 100.0).is_finite()));
    }
}

#[test]
fn marks_of_an_axis_are_as_people_write_them() {
    let marks = |values: [f64; 2]| -> Vec<String> {
        let axis = Axis::over("", values.into_iter());
        axis.ticks.iter().map(|tick| axis.tick(*tick)).collect()
    };
    assert_eq!(marks([0.0, 999.0]), ["0", "500", "1,000"]);
    assert_eq!(marks([1.13, 5.6]), ["0", "2", "4", "6"]);
    assert_eq!(marks([-0.01, 0.02]), ["−0.01", "0.00", "0.01", "0.02"]);
}

#[test]
fn an_axis_without_values_or_spread_is_still_one() {
    for values in [vec![], vec![f64::NAN], vec![3.0], vec![0.0, 0.0], vec![-2e5, -2e5]] {
        let axis = Axis::over("", values.iter().copied());
        assert!(axis.low < axis.high, "{values:?}");
    }
}

#[test]
fn powers_of_ten_lie_evenly() {
    let axis = Axis::of_powers("", [0.0, 0.02, 30.0].into_iter());
    let ticks = axis.ticks.iter();
    let places: Vec<(String, f64)> = ticks
        .map(|tick| (axis.tick(*tick), axis.place(*tick, 0.0, 4.0).round()))
        .collect();
    let expected = [("0.01", 0.0), ("0.1", 1.0), ("1", 2.0), ("10", 3.0), ("100", 4.0)];
    assert_eq!(places, expected.map(|(text, place)| (text.to_string(), place)));
    assert_eq!(axis.place(0.0, 0.0, 4.0), 0.0);
}

#[test]
fn an_axis_ends_where_the_metric_ends() {
    let ends = |metric: &str, values: &[f64]| {
        let axis = Axis::of_metric("", metric, values.iter().copied());
        assert!(axis.ticks.iter().all(|tick| (axis.low..=axis.high).contains(tick)));
        (axis.low, axis.high)
    };
    assert_eq!(ends("top1", &[100.0, 100.0]), (95.0, 100.0));
    assert_eq!(ends("map", &[0.0]), (0.0, 0.5));
    assert_eq!(ends("wer", &[100.0]), (95.0, 105.0));
    assert_eq!(ends("wer", &[0.0]).0, 0.0);
    assert_eq!(ends("dprime", &[-1.0, 1.0]), (-1.0, 1.0));
    let differences = Axis::of_differences("", "top1", [99.0, 100.0].into_iter());
    assert_eq!((differences.low, differences.high), (0.0, 100.0));
}

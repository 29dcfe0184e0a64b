//! Methods that can be told apart, and text that fits.

use super::*;

#[test]
fn methods_up_to_three_dozen_look_different() {
    let look = |method| Look { method, part: 0 };
    let looks: std::collections::HashSet<_> = (0..36)
        .map(|method| (look(method).class(), marker(look(method), 0.0, 0.0, 4.0)))
        .collect();
    assert_eq!(looks.len(), 36);
}

#[test]
fn a_name_and_its_numbers_share_a_line_only_where_both_fit() {
    let height = |name: &str| {
        let names = [(name, "41.2 [32.1, 51.1] n=3")].into_iter();
        Panel::of_rows(Axis::over("", [0.0].into_iter()), names).height
    };
    assert!(height("rq") < height("bridle rq, tch fp32, plan 0123456"));
}

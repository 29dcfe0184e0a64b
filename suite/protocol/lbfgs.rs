//! L-BFGS for smooth convex functions: the two-loop recursion over the last steps (Nocedal and
//! Wright 2006, algorithm 7.4), and steps halved until the function falls enough.

use std::collections::VecDeque;

/// Steps that are remembered.
const MEMORY: usize = 10;
/// Share of the fall that the gradient promises which a step must keep (Armijo).
const FALL: f64 = 1e-4;
/// Halvings after which no step is found: the function is flat to its last digit.
const HALVINGS: usize = 40;

/// Where a search ended.
#[derive(Clone, Debug)]
pub struct Minimum {
    /// The place, [N].
    pub at: Vec<f64>,
    /// The largest absolute part of the gradient there.
    pub gradient: f64,
    pub iterations: usize,
}

/// One step and what it did to the gradient.
struct Step {
    by: Vec<f64>,
    change: Vec<f64>,
    /// 1 over their product.
    factor: f64,
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, value| most.max(value.abs()))
}

/// `a + factor * b`.
fn plus(a: &[f64], factor: f64, b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + factor * b).collect()
}

/// Minimises a function that gives its value and gradient, from `start` on, until no part of the
/// gradient exceeds `tolerance`, after `most` iterations at the latest.
pub fn minimise(
    start: Vec<f64>,
    tolerance: f64,
    most: usize,
    mut function: impl FnMut(&[f64]) -> (f64, Vec<f64>),
) -> Minimum {
    let (mut at, mut steps) = (start, VecDeque::<Step>::with_capacity(MEMORY));
    let (mut value, mut gradient) = function(&at);
    let mut iterations = 0;
    while largest(&gradient) > tolerance && iterations < most {
        let mut direction = direction(&gradient, &steps);
        let mut slope = dot(&gradient, &direction);
        if slope >= 0.0 {
            // what is remembered no longer fits
            steps.clear();
            direction = gradient.iter().map(|part| -part).collect();
            slope = -dot(&gradient, &gradient);
        }
        let mut length = if steps.is_empty() {
            largest(&gradient).recip().min(1.0)
        } else {
            1.0
        };
        let found = (0..HALVINGS).find_map(|_| {
            let next = plus(&at, length, &direction);
            let (lower, changed) = function(&next);
            let fell = lower <= value + FALL * length * slope;
            length /= 2.0;
            fell.then_some((next, lower, changed))
        });
        let Some((next, lower, changed)) = found else {
            break;
        };
        let (by, change) = (plus(&next, -1.0, &at), plus(&changed, -1.0, &gradient));
        let product = dot(&by, &change);
        if product > f64::EPSILON * dot(&change, &change) {
            if steps.len() == MEMORY {
                steps.pop_front();
            }
            let factor = product.recip();
            steps.push_back(Step { by, change, factor });
        }
        (at, value, gradient) = (next, lower, changed);
        iterations += 1;
    }
    Minimum {
        gradient: largest(&gradient),
        at,
        iterations,
    }
}

/// Downhill, bent by what the last steps say of the curvature.
fn direction(gradient: &[f64], steps: &VecDeque<Step>) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|part| -part).collect();
    let mut shares = Vec::with_capacity(steps.len());
    for step in steps.iter().rev() {
        let share = step.factor * dot(&step.by, &direction);
        direction = plus(&direction, -share, &step.change);
        shares.push(share);
    }
    if let Some(last) = steps.back() {
        let scale = (last.factor * dot(&last.change, &last.change)).recip();
        direction.iter_mut().for_each(|part| *part *= scale);
    }
    for (step, share) in steps.iter().zip(shares.into_iter().rev()) {
        let back = step.factor * dot(&step.change, &direction);
        direction = plus(&direction, share - back, &step.by);
    }
    direction
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// A bowl of any shape has its lowest point where it was put.
        #[test]
        fn the_lowest_point_of_a_bowl_is_found(
            widths in prop::collection::vec(1e-3f64..1e3, 1..12),
            centre in -10.0f64..10.0,
        ) {
            let found = minimise(vec![0.0; widths.len()], 1e-8, 1_000, |at| {
                let apart: Vec<f64> = at.iter().map(|x| x - centre).collect();
                let gradient: Vec<f64> = apart.iter().zip(&widths).map(|(x, width)| width * x).collect();
                (0.5 * dot(&apart, &gradient), gradient)
            });
            prop_assert!(found.gradient <= 1e-8, "{found:?}");
            for (x, width) in found.at.iter().zip(&widths) {
                prop_assert!((x - centre).abs() <= 1e-8 / width, "{x} is not {centre}");
            }
        }
    }

    /// Rosenbrock's valley is bent: its floor is no straight line.
    #[test]
    fn a_bent_valley_is_followed_to_its_end() {
        let found = minimise(vec![-1.2, 1.0], 1e-9, 1_000, |at| {
            let (x, y) = (at[0], at[1]);
            let (across, along) = (y - x * x, 1.0 - x);
            let gradient = vec![-400.0 * x * across - 2.0 * along, 200.0 * across];
            (100.0 * across * across + along * along, gradient)
        });
        assert!(found.at.iter().all(|x| (x - 1.0).abs() < 1e-6), "{found:?}");
        assert!(found.iterations < 100, "{}", found.iterations);
    }
}

//! One root seed, named sub-streams: every random number of a run, the same on every platform and backend.
//!
//! A [`Seed`] is a place in a tree of names (`root / "mask" / 17`); a [`Stream`] is the sequence of numbers drawn there.
//! Because a step's draws depend only on the step's name, resuming needs no generator state, and two parts of the
//! program can never take each other's numbers.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A place in the tree of random streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// The root of a run's tree, from the number given with `--seed`.
    pub fn root(seed: u64) -> Self {
        Self(
            *blake3::Hasher::new_derive_key("bridle-bench 2026 root seed")
                .update(&seed.to_le_bytes())
                .finalize()
                .as_bytes(),
        )
    }

    /// The sub-seed called `name`.
    pub fn child(&self, name: &str) -> Self {
        Self(*blake3::keyed_hash(&self.0, name.as_bytes()).as_bytes())
    }

    /// The sub-seed number `index` (an epoch, a step, a sample).
    pub fn indexed(&self, index: u64) -> Self {
        // a leading zero byte keeps indices apart from names
        let mut key = [0u8; 9];
        key[1..].copy_from_slice(&index.to_le_bytes());
        Self(*blake3::keyed_hash(&self.0, &key).as_bytes())
    }

    /// The stream of numbers that belongs to this place.
    pub fn stream(&self) -> Stream {
        Stream(ChaCha8Rng::from_seed(self.0))
    }
}

/// A sequence of random numbers: ChaCha8, stable across platforms and releases.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in [0, 1), 24 bits.
    pub fn uniform(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1u32 << 24) as f32
    }

    /// Uniform in [0, 1), 53 bits.
    pub fn uniform_f64(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal (Box and Muller 1958, the cosine branch).
    pub fn normal(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.uniform_f64()).ln()).sqrt();
        (radius * (std::f64::consts::TAU * self.uniform_f64()).cos()) as f32
    }

    /// Uniform in 0..n without bias (Lemire 2019). Panics if n is 0.
    pub fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "a draw from an empty range");
        let n = n as u64;
        loop {
            let product = u128::from(self.bits()) * u128::from(n);
            if product as u64 >= n.wrapping_neg() % n {
                return (product >> 64) as usize;
            }
        }
    }

    /// A random order of the given items (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// A random permutation of 0..n.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_the_same_forever() {
        let mut stream = Seed::root(7).child("mask").indexed(3).stream();
        let first = stream.bits();
        assert_eq!(first, Seed::root(7).child("mask").indexed(3).stream().bits());
        assert_eq!(first, STORED, "changing a stream changes every recorded number");
    }

    const STORED: u64 = 2_982_537_937_627_146_032;

    #[test]
    fn names_and_indices_are_apart() {
        let root = Seed::root(0);
        let places = [
            root,
            root.child("a"),
            root.child("b"),
            root.indexed(0),
            root.indexed(1),
            root.child("a").child("b"),
        ];
        for (i, a) in places.iter().enumerate() {
            assert!(places[i + 1..].iter().all(|b| a != b));
        }
    }

    #[test]
    fn draws_have_their_moments() {
        let mut stream = Seed::root(1).stream();
        let n = 20_000;
        let normals: Vec<f32> = (0..n).map(|_| stream.normal()).collect();
        let mean = normals.iter().sum::<f32>() / n as f32;
        let var = normals.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / n as f32;
        assert!(
            mean.abs() < 0.03 && (var - 1.0).abs() < 0.05,
            "mean {mean}, variance {var}"
        );
        let mut counts = [0usize; 7];
        (0..n).for_each(|_| counts[stream.below(7)] += 1);
        assert!(
            counts.iter().all(|&c| (c as f64 - n as f64 / 7.0).abs() < 250.0),
            "{counts:?}"
        );
        let mut order = stream.permutation(100);
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}

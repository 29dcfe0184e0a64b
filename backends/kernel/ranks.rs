//! Sums over the ranks that train one model together.
//!
//! Which ranks these are is state of the thread, as the number type is: codebooks sum their
//! statistics deep within a model. Tensors on NVIDIA devices are summed there where all ranks can
//! ([`Ranks::open_nccl`]); all others go through main memory.

use super::ops::Ops;
use bridle_ranks::Ranks;
use burn::tensor::{Tensor, TensorData};
use std::cell::RefCell;

/// Numbers that are summed at a time, unless one tensor has more.
const BUCKET: usize = 25 << 18;

thread_local! {
    static RANKS: RefCell<Ranks> = const { RefCell::new(Ranks::Alone) };
}

/// Sets the ranks back when dropped, after a panic too.
struct Restore(Ranks);

impl Drop for Restore {
    fn drop(&mut self) {
        RANKS.replace(std::mem::take(&mut self.0));
    }
}

/// Runs `work` with sums over batches of this thread taken over all ranks, which have to do the
/// same work at the same time.
pub fn with_ranks<T>(ranks: &Ranks, work: impl FnOnce() -> T) -> T {
    let _restore = Restore(RANKS.replace(ranks.clone()));
    work()
}

/// The ranks that this thread works with.
pub fn ranks() -> Ranks {
    RANKS.with_borrow(Clone::clone)
}

/// The sum over ranks; the tensor itself where there is one. No gradient. Ends all processes if it
/// fails: no rank can go on without the others.
pub fn sum_over_ranks<B: Ops, const D: usize>(mut values: Tensor<B, D>) -> Tensor<B, D> {
    let ranks = ranks();
    if matches!(ranks, Ranks::Alone) {
        return values;
    }
    if let Some(devices) = ranks.on_devices() {
        // SAFETY: numbers of the one device that this process works with, which the backend keeps and
        // leaves alone until the sum is over
        let sum = |buffers| ranks.required(unsafe { devices.sum(&buffers) });
        values = match B::filled_on_device(values, &sum) {
            Ok(sums) => return sums,
            Err(values) => values,
        };
    }
    let (shape, device) = (values.shape(), values.device());
    let mut sums: Vec<f32> = values.into_data().iter::<f32>().collect();
    ranks.required(ranks.sum(&mut sums));
    Tensor::from_data(TensorData::new(sums, shape), &device)
}

/// The sums over ranks of several tensors, which have the same shapes on each; the tensors
/// themselves where there is one rank. Ends all processes if it fails.
pub fn sum_all_over_ranks<B: Ops>(tensors: Vec<Tensor<B, 1>>) -> Vec<Tensor<B, 1>> {
    if matches!(ranks(), Ranks::Alone) {
        return tensors;
    }
    let (mut found, mut bucket, mut held) = (Vec::with_capacity(tensors.len()), Vec::new(), 0);
    for tensor in tensors {
        held += tensor.dims()[0];
        bucket.push(tensor);
        if held >= BUCKET {
            found.extend(sum_bucket(std::mem::take(&mut bucket)));
            held = 0;
        }
    }
    found.extend(sum_bucket(bucket));
    found
}

fn sum_bucket<B: Ops>(tensors: Vec<Tensor<B, 1>>) -> Vec<Tensor<B, 1>> {
    if tensors.is_empty() {
        return tensors;
    }
    let lengths: Vec<usize> = tensors.iter().map(|tensor| tensor.dims()[0]).collect();
    sum_over_ranks(Tensor::cat(tensors, 0)).split_with_sizes(lengths, 0)
}

#[cfg(all(test, feature = "tch"))]
mod by_nccl;
#[cfg(all(test, any(feature = "tch", feature = "cuda")))]
mod on_device;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_alone_but_within_with_ranks() {
        assert!(matches!(ranks(), Ranks::Alone));
        assert_eq!(with_ranks(&Ranks::Alone, || ranks().size()), 1);
        assert!(matches!(ranks(), Ranks::Alone));
    }
}

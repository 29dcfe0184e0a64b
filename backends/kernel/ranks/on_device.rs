//! Whether tensors on an NVIDIA device are where their address says: only on one, which `tests/gpus.sh`
//! has.

use crate::kernel::Ops;
use bridle_ranks::nccl::{Buffers, Device};
use burn::tensor::{Int, Tensor, TensorData};

/// Doubles numbers by their address, right after work that is not over yet and right before more.
fn numbers_are_where_their_address_says<B: Ops>(device: &B::Device) {
    let opened = Device::open(0).expect("the backend computes on it");
    let double = |Buffers { from, to, count, .. }: Buffers| {
        // SAFETY: both have so many numbers, with which nothing works now
        let read = unsafe { opened.read(from, count) }.expect("the numbers can be read");
        let doubled: Vec<f32> = read.into_iter().map(|value| 2.0 * value).collect();
        // SAFETY: as before
        unsafe { opened.write(to, &doubled) }.expect("the numbers can be written");
    };
    // whole numbers below 2048, which products in TF32 keep
    let row = Tensor::<B, 1, Int>::arange(0..700, device).float();
    let mut rows = row.reshape([1, 700]).repeat_dim(0, 300);
    for _ in 0..100 {
        let kept = rows.matmul(Tensor::eye(700, device)) + 1.0;
        // not contiguous
        let doubled = B::filled_on_device(kept.clone().swap_dims(0, 1), &double);
        let doubled = doubled.expect("they are on a device").swap_dims(0, 1);
        let apart = (doubled.clone() - kept * 2.0).abs().max();
        apart.into_data().assert_eq(&TensorData::from([0.0f32]), false);
        rows = doubled * 0.5;
    }
}

#[cfg(feature = "cuda")]
#[test]
fn of_cuda() {
    match crate::cuda::probe(0) {
        Ok(()) => numbers_are_where_their_address_says::<burn_cuda::Cuda>(&burn_cuda::CudaDevice::new(0)),
        Err(reason) => eprintln!("skipped: {reason}"),
    }
}

#[cfg(feature = "tch")]
#[test]
fn of_tch() {
    match tch::Cuda::device_count() {
        0 => eprintln!("skipped: LibTorch sees no CUDA device"),
        _ => numbers_are_where_their_address_says::<burn_tch::LibTorch>(&burn_tch::LibTorchDevice::Cuda(0)),
    }
}

//! burn-tch: LibTorch 2.9.0 on the processor or an NVIDIA device.

use crate::backend::{BackendError, Choice, Facts, Job};
use burn::backend::Autodiff;
use burn_tch::{LibTorch, LibTorchDevice};

/// Runs `job` on the processor, or on CUDA device N with `--device N`.
pub(crate) fn run<J: Job>(choice: &Choice, job: J) -> Result<J::Output, BackendError> {
    let device = match choice.device {
        None => LibTorchDevice::Cpu,
        Some(number) if (number as i64) < tch::Cuda::device_count() => LibTorchDevice::Cuda(number),
        Some(number) => {
            return Err(BackendError::Unavailable {
                name: "tch",
                reason: format!(
                    "LibTorch sees {} CUDA devices, so there is no device {number}",
                    tch::Cuda::device_count()
                ),
                how_to_get: "omit --device to compute on the processor, or install an NVIDIA driver".to_owned(),
            });
        }
    };
    if let Some(threads) = choice.threads {
        tch::set_num_threads(threads as i32);
    }
    let on_cpu = matches!(device, LibTorchDevice::Cpu);
    let facts = Facts {
        name: "tch",
        device: if on_cpu {
            "cpu".to_owned()
        } else {
            format!("cuda:{}", choice.device.unwrap_or(0))
        },
        library: "burn-tch 0.21.0, LibTorch 2.9.0".to_owned(),
        threads: on_cpu.then(|| tch::get_num_threads().max(1) as usize),
        // LibTorch's default: only in convolutions
        tf32: false,
    };
    Ok(job.run::<Autodiff<LibTorch>>(device, facts))
}

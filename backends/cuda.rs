//! burn-cuda: NVIDIA devices. Its libraries are loaded at run time, so it is probed before the
//! first tensor.

use crate::backend::{BackendError, Choice, Facts, Job, Name};
use burn::backend::Autodiff;
use burn_cuda::{Cuda, CudaDevice};

/// Runs `job` on CUDA device N (`--device N`, default 0).
pub(crate) fn run<J: Job>(choice: &Choice, job: J) -> Result<J::Output, BackendError> {
    let number = choice.device.unwrap_or(0);
    probe(number).map_err(|reason| BackendError::Unavailable {
        name: "cuda",
        reason,
        how_to_get: Name::Cuda.how_to_get().to_owned(),
    })?;
    let facts = Facts {
        name: "cuda",
        device: format!("cuda:{number}"),
        cuda: Some(number),
        // on tensor cores CubeCL multiplies f32 only as TF32, and autotuning prefers tensor cores
        library: "burn-cuda 0.21.0, fp32 products as TF32 where tuned so".to_owned(),
        threads: None,
        tf32: true,
        bf16: Name::Cuda.bf16(),
    };
    Ok(job.run::<Autodiff<Cuda>>(CudaDevice::new(number), facts))
}

/// Whether the driver and device `number` can be opened.
///
/// The CUDA bindings panic if a library is missing; the panic becomes the reason.
pub(crate) fn probe(number: usize) -> Result<(), String> {
    use burn::tensor::Tensor;
    // silence only this probe
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let opened = std::panic::catch_unwind(|| {
        let device = CudaDevice::new(number);
        Tensor::<Cuda, 1>::ones([1], &device).into_scalar()
    });
    std::panic::set_hook(hook);
    match opened {
        Ok(1.0) => Ok(()),
        Ok(other) => Err(format!("device {number} computes 1 as {other}")),
        Err(cause) => {
            let text = cause.downcast_ref::<String>().cloned();
            let text = text
                .or_else(|| cause.downcast_ref::<&str>().map(|s| (*s).to_owned()))
                .unwrap_or_default();
            Err(format!(
                "no CUDA device {number} ({})",
                text.lines()
                    .map(str::trim)
                    .find(|line| !line.is_empty())
                    .unwrap_or("the driver did not answer")
            ))
        }
    }
}

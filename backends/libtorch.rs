//! burn-tch: LibTorch 2.9.0 on the processor or an NVIDIA device.

use crate::backend::{BackendError, Choice, Facts, Job, Name};
use burn::backend::Autodiff;
use burn_tch::{LibTorch, LibTorchDevice};

/// How often a thread of LibTorch's looks for work before it sleeps, as `GOMP_SPINCOUNT`. GNU's OpenMP looks 300,000
/// times, some milliseconds in which other programs could work; PERFORMANCE.md has what either costs.
#[cfg(target_os = "linux")]
const LOOKS: &str = "1000";

/// Starts the program anew with the same arguments, since GNU's OpenMP reads its settings before the program can make
/// any. Returns at once if the environment has such settings; else only if the program cannot be started.
#[cfg(target_os = "linux")]
pub fn start_with_short_waits() {
    use std::os::unix::process::CommandExt;
    if ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some())
    {
        return;
    }
    let (mut arguments, Ok(program)) = (std::env::args_os(), std::env::current_exe()) else {
        return;
    };
    let mut again = std::process::Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    // waits stay long where this fails
    let _ = again.args(arguments).env("GOMP_SPINCOUNT", LOOKS).exec();
}

/// LibTorch uses other libraries there.
#[cfg(not(target_os = "linux"))]
pub fn start_with_short_waits() {}

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
        cuda: choice.device,
        library: "burn-tch 0.21.0, LibTorch 2.9.0".to_owned(),
        threads: on_cpu.then(|| tch::get_num_threads().max(1) as usize),
        // LibTorch's default: only in convolutions
        tf32: false,
        bf16: if on_cpu { Name::Tch.bf16() } else { "bf16 by LibTorch" },
    };
    Ok(job.run::<Autodiff<LibTorch>>(device, facts))
}

//! The way of LibTorch's tensors through sums on devices, without one: two processes under mpirun, in
//! which `standin.c` is NCCL and driver, and main memory the device's.

#[path = "../../../tests/launchers/mod.rs"]
mod launchers;

use super::*;
use burn::backend::Autodiff;
use burn_tch::{LibTorch, LibTorchDevice};
use launchers::{launchers, make_standin};
use std::path::Path;
use std::time::Duration;

/// The test below, which starts itself under mpirun.
const NAME: &str = "kernel::ranks::by_nccl::tensors_are_summed_where_they_are";
/// Set where it was started so.
const STARTED: &str = "BRIDLE_TEST_BY_NCCL";

#[test]
fn tensors_are_summed_where_they_are() {
    if std::env::var_os(STARTED).is_some() {
        return sum_as_a_rank();
    }
    let Some(launcher) = launchers().into_iter().next() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder can be made");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../suite/ranks/tests/standin.c");
    make_standin(folder.path(), &source);
    let libraries = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let libraries =
        std::env::join_paths(std::iter::once(folder.path().to_owned()).chain(std::env::split_paths(&libraries)));
    let output = launcher
        .start(2)
        .arg(std::env::current_exe().expect("this program has a path"))
        .args(["--exact", NAME, "--nocapture"])
        .env(STARTED, "1")
        // LibTorch has loaded NVIDIA's by its name
        .env("BRIDLE_NCCL", folder.path().join("libnccl.so.2"))
        .env("LD_LIBRARY_PATH", libraries.expect("paths without colons"))
        .env("STANDIN_LOG", folder.path().join("calls"))
        .output()
        .expect("mpirun starts");
    let told = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{told:?}");
    let files = std::fs::read_dir(folder.path()).expect("the folder is there").flatten();
    let calls = files.filter(|file| file.file_name().to_string_lossy().starts_with("calls."));
    let calls: Vec<_> = calls
        .filter_map(|file| std::fs::read_to_string(file.path()).ok())
        .collect();
    assert_eq!(calls.len(), 2, "{told:?}");
    for calls in calls {
        // gradients at once, then rows; those of 64 bits stay with MPI
        let sums: Vec<&str> = calls.lines().filter(|call| call.starts_with("sum ")).skip(1).collect();
        assert_eq!(sums, ["sum 70004", "sum 6"], "{calls}");
    }
}

/// What each of the two processes does.
fn sum_as_a_rank() {
    let ranks = Ranks::join(Duration::from_secs(20)).expect("mpirun started this");
    assert_eq!(ranks.open_nccl(0), Ok(None));
    let (rank, device) = (ranks.rank() as f32, LibTorchDevice::Cpu);
    let all = |value: f32, length: usize| Tensor::<LibTorch, 1>::full([length], value, &device);
    let read = |tensor: Tensor<LibTorch, 1>| tensor.into_data().to_vec::<f32>().expect("numbers are f32");
    with_ranks(&ranks, || {
        let gradients = vec![all(rank + 1.0, 3), all(rank - 5.0, 1), all(0.5, 70_000)];
        let kept = gradients[0].clone();
        let sums = sum_all_over_ranks(gradients).into_iter().map(read);
        let expected = [(3.0, 3), (-9.0, 1), (1.0, 70_000)].map(|(value, length)| vec![value; length]);
        assert_eq!(sums.collect::<Vec<_>>(), expected);
        assert_eq!(read(kept), [rank + 1.0; 3]);
        // not contiguous, and in a graph
        let rows = Tensor::<Autodiff<LibTorch>, 2>::from_data([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], &device);
        let sums = sum_over_ranks((rows + rank).swap_dims(0, 1)).into_data();
        assert_eq!(sums, TensorData::from([[3.0f32, 9.0], [5.0, 11.0], [7.0, 13.0]]));
        let numbers = Tensor::<LibTorch, 1>::from_data(TensorData::from([1.5f64]), (&device, burn::tensor::DType::F64));
        assert_eq!(
            sum_over_ranks(numbers).into_data().iter::<f64>().collect::<Vec<_>>(),
            [3.0]
        );
    });
    ranks.finish().expect("both are here");
}

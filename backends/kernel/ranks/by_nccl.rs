//! The way of LibTorch's tensors through sums on devices, without one: two processes under mpirun, in
//! which `standin.c` is NCCL and driver, and main memory the device's.

use super::*;
use burn::backend::Autodiff;
use burn_tch::{LibTorch, LibTorchDevice};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The test below, which starts itself under mpirun.
const NAME: &str = "kernel::ranks::by_nccl::tensors_are_summed_where_they_are";
/// Set where it was started so.
const STARTED: &str = "BRIDLE_TEST_BY_NCCL";

const LAUNCHERS: [(&str, &[&str]); 2] = [
    (
        "mpirun.openmpi",
        &["--allow-run-as-root", "--oversubscribe", "--bind-to", "none"],
    ),
    ("mpiexec.hydra", &[]),
];

/// The stand-in in this folder, by the names of both libraries.
fn make_standin(folder: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../suite/ranks/tests/standin.c");
    let made = Command::new("cc")
        .args(["-O1", "-shared", "-fPIC", "-o"])
        .args([&folder.join("libnccl.so.2"), &source])
        .status();
    let made = made.expect("no C compiler `cc` for standin.c: apt-get install gcc libc6-dev");
    assert!(made.success());
    std::os::unix::fs::symlink("libnccl.so.2", folder.join("libcuda.so.1")).expect("a link can be made");
}

#[test]
fn tensors_are_summed_where_they_are() {
    if std::env::var_os(STARTED).is_some() {
        return sum_as_a_rank();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = |program: &str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let Some((program, options)) = LAUNCHERS.into_iter().find(|(program, _)| installed(program)) else {
        let required = std::env::var("BRIDLE_REQUIRE_DATA").is_ok_and(|value| value == "1");
        assert!(!required, "neither Open MPI nor MPICH is installed");
        return eprintln!("skipped: neither Open MPI nor MPICH is installed");
    };
    let folder = tempfile::tempdir().expect("a folder can be made");
    make_standin(folder.path());
    let libraries = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let libraries =
        std::env::join_paths(std::iter::once(folder.path().to_owned()).chain(std::env::split_paths(&libraries)));
    let output = Command::new(program)
        .args(options)
        .args(["-n", "2"])
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

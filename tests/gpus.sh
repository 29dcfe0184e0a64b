#!/usr/bin/env bash
# Everything that needs an NVIDIA device, in one go and under ten minutes, on one device or several:
#
#   kernels   GPU kernels against their plain forms, on the device; addresses of tensors there
#   parity    every operation against numbers of the authors' code, on every backend of the build
#   smoke     a whole run
#   speed     steps against the PyTorch peer on the same device (with --peer)
#   ranks     two ranks against one process: the same losses, and samples per second; summed through main
#             memory, and with two devices by NCCL as well
#
#   cargo build --release --features cuda                   or cuda,tch after backends/setup-libtorch
#   tests/gpus.sh OUT [--peer bridle_torch.py] [--features cuda,tch] [--dry-run]
#
# Building is not part of the ten minutes: it is done first. OUT is a new folder for logs, JSON and
# `summary.md`. One part that fails does not stop the others; the exit code is then 1. --dry-run prints
# the commands and runs nothing. With one device both ranks use it, which NCCL refuses: that they fall back to
# main memory is tried then. The loader has to find libnccl.so.2, or BRIDLE_NCCL names it.
set -uo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

usage() {
  sed -n '2,/^set /p' "${BASH_SOURCE[0]}" | sed '$d; s/^# \{0,1\}//' >&2
  exit 2
}

out='' peer='' features=cuda dry=''
while (($#)); do
  case $1 in
    --peer | --features)
      (($# > 1)) || usage
      if [[ $1 == --peer ]]; then peer=$2; else features=$2; fi
      shift
      ;;
    --dry-run) dry=1 ;;
    -*) usage ;;
    *) [[ -z $out ]] || usage && out=$1 ;;
  esac
  shift
done
[[ -n $out ]] || usage

devices() { nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null; }
count=$(devices | wc -l)
if ((count == 0)) && [[ -z $dry ]]; then
  printf 'gpus.sh: nvidia-smi shows no device\ntry: a machine with an NVIDIA driver, or --dry-run\n' >&2
  exit 4
fi
if [[ -n $peer && ! -f $peer ]]; then
  printf 'gpus.sh: there is no %s\n' "$peer" >&2
  exit 2
fi
if [[ -z $dry ]]; then
  if [[ -e $out ]]; then
    printf 'gpus.sh: %s is there already\ntry: a new folder\n' "$out" >&2
    exit 2
  fi
  mkdir -p -- "$out" || exit 1
  out=$(realpath -- "$out")
fi

readonly program=$PWD/target/release/bridle-bench
# seconds in all, for what is timed
readonly most=600
summary=() failed=0 begun=0

# part NAME SECONDS COMMAND...: runs it for at most so long; its words go to OUT/NAME.log.
part() {
  local name=$1 limit=$2 started=$SECONDS left outcome=passed
  shift 2
  if [[ -n $dry ]]; then
    printf '%s (at most %s s): %s\n' "$name" "$limit" "${*@Q}"
    return
  fi
  left=$((most - (SECONDS - begun)))
  if ((begun && left < limit)); then limit=$left; fi
  if ((limit <= 0)); then
    outcome='NOT RUN: the ten minutes are over' failed=1
  else
    timeout --kill-after=5 "$limit" "$@" >"$out/$name.log" 2>&1
    local code=$?
    if ((code == 124)); then outcome="FAILED: not over after $limit s" failed=1
    elif ((code)); then outcome="FAILED with exit code $code" failed=1; fi
  fi
  summary+=("| $name | $((SECONDS - started)) | $outcome |")
  printf '%s\n' "${summary[-1]}"
}

readonly gpu_tests=(cargo test --locked --package bridle-backends --profile quick --features "gpu-tests,$features" --lib)
readonly backends=$([[ ,$features, == *,tch,* ]] && printf 'cuda tch' || printf cuda)
# to_file FILE COMMAND...: results to a file, words to the log
readonly to_file=(bash -c '"$@" >"$0"')
# words that let Open MPI start two ranks anywhere
readonly mpirun=(mpirun --allow-run-as-root --oversubscribe --bind-to none -n 2)

part build 7200 cargo build --locked --release --features "$features"
part build-kernels 7200 "${gpu_tests[@]}" --no-run
part build-parity 7200 cargo test --locked --release --features "$features" --test parity --no-run
begun=$SECONDS
if ((begun == 0)); then begun=1; fi

part kernels 120 "${gpu_tests[@]}" -- kernel::gpu kernel::ranks::on_device
part parity 90 cargo test --locked --release --features "$features" --test parity -- --nocapture
# with one device both ranks use it: the launcher shows each of them that one
sums=('main memory' NCCL)
if ((count == 1)); then
  export CUDA_VISIBLE_DEVICES=0
  sums=('main memory')
  printf 'one device: two ranks on it sum through main memory, NCCL is not tried\n'
fi
for backend in $backends; do
  where=(--backend "$backend")
  if [[ $backend == tch ]]; then where+=(--device 0); fi
  run=("$program" run --task synthetic --quantizer rq --preset smoke "${where[@]}")
  work=(--size base --batch 64 --repeats 5)
  bench=("$program" bench --format json "${work[@]}" "${where[@]}")
  one=$out/$backend/one
  [[ -n $dry ]] || mkdir -p -- "$one"
  part "smoke-$backend" 60 env -C "$one" "${run[@]}"
  part "speed-$backend" 60 "${to_file[@]}" "$out/speed-$backend.json" "${bench[@]}"
  if [[ -n $peer ]]; then
    part "peer-$backend" 60 "${to_file[@]}" "$out/peer.json" python3 "$peer" --device cuda "${work[@]}"
    part "against-peer-$backend" 60 "$program" bench "${work[@]}" "${where[@]}" --against "$out/peer.json"
  fi
  for by in "${sums[@]}"; do
    name=two-ranks-$backend two=$out/$backend/two choice=()
    if [[ $by == NCCL ]]; then
      name+=-nccl two+=-nccl
    elif ((count != 1)); then
      choice=(env BRIDLE_NCCL=off)
    fi
    [[ -n $dry ]] || mkdir -p -- "$two"
    part "$name" 60 env -C "$two" "${choice[@]}" "${mpirun[@]}" "${run[@]}"
    part "summed-$name" 5 grep -rE "\"tensor_sums\": *\"$by" "$two/results/records"
    part "same-losses-$name" 10 tests/same_losses.py "$one" "$two"
    part "speed-$name" 50 "${to_file[@]}" "$out/speed-$name.json" "${choice[@]}" "${mpirun[@]}" "${bench[@]}"
  done
done

if [[ -n $dry ]]; then exit 0; fi
{
  printf '%s device(s):\n\n' "$count"
  devices | sed 's/^/- /'
  printf '\n%s, features %s\n\n| part | seconds | |\n|---|---|---|\n' "$("$program" --version)" "$features"
  printf '%s\n' "${summary[@]}"
} >"$out/summary.md"
printf '\nsummary: %s\n' "$out/summary.md"
exit "$failed"

#!/usr/bin/env bash
# Runs a small benchmark and compares it with a baseline: the part that all forges share.
#
#   bench.sh BASELINE FORGE SUMMARY
#
# BASELINE is the baseline file, which the first run writes. FORGE is github or gitlab: the form in which
# regressions go to stdout. SUMMARY is a file to which the verdict is added as Markdown. BENCH_RUN has
# the options of `run`. Quiet when all is well; the exit code is that of `bridle-bench`, 10 for a
# regression.
set -euo pipefail

readonly baseline=$1 forge=$2 summary=$3
read -ra options <<<"${BENCH_RUN:---task synthetic --quantizer rq --preset smoke --subset 40}"

bridle-bench run --quiet "${options[@]}" --out bench-records --resume >bench-table.txt
if [[ ! -e $baseline ]]; then
  bridle-bench regress --quiet --baseline "$baseline" --write bench-records
  printf '%s was written: commit it\n' "$baseline" >&2
fi
bridle-bench regress --quiet --baseline "$baseline" --format "$forge" --summary "$summary" bench-records

#!/usr/bin/env bash
# rustc for the crates of the workspace when they are fuzzed (RUSTC_WORKSPACE_WRAPPER): optimised, and with the counters of
# LLVM's pass for coverage, which libFuzzer reads. A stable rustc has that pass. Dependencies are as in every test: their
# generic code is a part of ours, and counted.
exec "$@" -Copt-level=2 -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares

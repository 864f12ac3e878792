#!/bin/sh
# Figures of the CPU backend for docs/benchmarks.md: decode against a read loop, prefill against
# OpenBLAS and oneDNN, at the best level of this machine and at AVX2, yardsticks held to the same
# instruction set.
#
#   bench/cpu/run.sh [build folder]      default build/release
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build/release}
[ -x "$build/bench_gemm" ] || { echo "run.sh: $build/bench_gemm is missing; build it first" >&2; exit 1; }
echo "machine: $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2), $(nproc) cores"
echo "commit:  $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
echo "load:    $(cut -d' ' -f1-3 /proc/loadavg) (best round counts; others' load still shows)"
"$build/bench_gemm" --seconds "${SECONDS_EACH:-4}"
OPENBLAS_CORETYPE=Haswell DNNL_MAX_CPU_ISA=AVX2 \
    "$build/bench_gemm" --isa avx2 --seconds "${SECONDS_EACH:-4}"

#!/usr/bin/env bash
# Everything that needs a GPU: kernel tests, compute-sanitizer, the model's golden logits and
# determinism, and benches; one table at the end.
#
#   scripts/gpu-check.sh [--dir build/cuda] [--out FILE] [--seed N] [SECTION ...]
#
# SECTION: tests sanitizer model bench (default: all four, in this order). DIR holds gpu/test_*, the
# pagoda binary beside libpagoda_cuda.so, test_exec_logits and test_determinism; it may be copied to
# a machine without a compiler, as long as this script's tree (configs, tests/golden, bench/model)
# comes with it. Results: bench/results/<date>-<gpu>.txt, or FILE. Exit status 0 when all that ran
# passed.
#
# compute-sanitizer: memcheck on every kernel test with --quick; racecheck on those whose kernels
# use no asynchronous copies, which the tool does not follow (bulk copies and mbarriers: test_linear
# and test_attn are left out there).
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
dir=$root/build/cuda
out=
seed=1
sections=()
while [ $# -gt 0 ]; do
    case $1 in
    --dir) dir=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    --seed) seed=$2; shift 2 ;;
    tests | sanitizer | model | bench) sections+=("$1"); shift ;;
    *) sed -n '2,/^set -u/{/^set -u/d;s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
    esac
done
[ ${#sections[@]} -gt 0 ] || sections=(tests sanitizer model bench)
dir=$(cd "$dir" && pwd) || exit 2
# the toolkit's folder for cuBLASLt, which test_linear --bench has beside our linears
export LD_LIBRARY_PATH=$dir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}:/usr/local/cuda/lib64
tiny=$root/configs/models/pagoda-tiny
llama=$root/bench/model/llama-3.1-8b

gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1)
if [ -z "$gpu" ]; then
    echo "gpu-check: nvidia-smi names no GPU" >&2
    exit 2
fi
name=$(echo "$gpu" | tr 'A-Z ' 'a-z-' | sed 's/^nvidia-//')
[ -n "$out" ] || out=$root/bench/results/$(date -u +%Y-%m-%d)-$name.txt
mkdir -p "$(dirname "$out")"
log=$(mktemp)
table=$(mktemp)
trap 'rm -f "$log" "$table"' EXIT
failed=0

# step NAME COMMAND...: run it, keep its output, add a row.
step() {
    local what=$1 start=$SECONDS code
    shift
    echo "== $what: $*"
    timeout 900 "$@" >"$log" 2>&1
    code=$?
    tail -n 40 "$log"
    grep -a '^BENCH' "$log" | sed 's/^BENCH */  /' >>"$table"
    if [ $code -ne 0 ]; then
        failed=$((failed + 1))
        cp "$log" "$out.$(echo "$what" | tr ' /' '--').log"
    fi
    printf '%-44s %-8s %5d s\n' "$what" "$([ $code -eq 0 ] && echo ok || echo "FAILED $code")" \
        $((SECONDS - start)) >>"$table"
}

tests() {
    local t
    for t in "$dir"/gpu/test_*; do
        step "$(basename "$t")" "$t" --seed "$seed"
    done
}

sanitizer() {
    local t tool
    tool=$(command -v compute-sanitizer || ls "$dir/compute-sanitizer/compute-sanitizer" \
        /usr/local/cuda/bin/compute-sanitizer 2>/dev/null | head -n 1)
    if [ -z "$tool" ]; then
        printf '%-44s %s\n' "compute-sanitizer" "not installed: skipped" >>"$table"
        return
    fi
    for t in "$dir"/gpu/test_*; do
        step "memcheck $(basename "$t")" "$tool" --tool memcheck --error-exitcode 9 "$t" --quick
    done
    for t in "$dir"/gpu/test_*; do
        case $(basename "$t") in test_linear | test_attn) continue ;; esac
        step "racecheck $(basename "$t")" "$tool" --tool racecheck --error-exitcode 9 "$t" --quick
    done
}

model() {
    step "golden logits" "$dir/test_exec_logits" --device cuda --golden "$root/tests/golden/logits"
    step "determinism" "$dir/test_determinism" --device cuda --model "$tiny" --count 100
    step "dummy weights, 8B shapes" "$dir/pagoda" bench latency "$llama" --load-format dummy \
        --device cuda --input-len 128 --output-len 16 --iterations 1 --warmup 0
}

# A measurement of the whole engine; its own table goes to the results.
engine() {
    local what=$1
    step "$@"
    sed 's/^/  /' "$log" >>"$table"
    echo "  ($what)" >>"$table"
}

bench() {
    local t b=("$dir/pagoda" bench) dummy=(--load-format dummy --device cuda)
    for t in "$dir"/gpu/test_*; do
        step "bench $(basename "$t")" "$t" --quick --bench
    done
    engine "decode, batch 1, context 1k" "${b[@]}" latency "$llama" "${dummy[@]}" --batch-size 1 \
        --input-len 1024 --output-len 128 --iterations 3 --warmup 1
    engine "decode, batch 64, context 2k" "${b[@]}" latency "$llama" "${dummy[@]}" --batch-size 64 \
        --input-len 2048 --output-len 64 --iterations 2 --warmup 1
    engine "prefill 8k in one chunk" "${b[@]}" latency "$llama" "${dummy[@]}" --batch-size 1 \
        --input-len 8192 --output-len 2 --max-num-batched-tokens 8192 --iterations 5 --warmup 1
    engine "prefill 8k in chunks of 2k" "${b[@]}" latency "$llama" "${dummy[@]}" --batch-size 1 \
        --input-len 8192 --output-len 2 --max-num-batched-tokens 2048 --iterations 5 --warmup 1
    engine "throughput, 1k in 1k out, 256 streams" "${b[@]}" throughput "$llama" "${dummy[@]}" \
        --input-len 1024 --output-len 1024 --num-requests 1024 --max-num-seqs 256
}

for s in "${sections[@]}"; do "$s"; done
{
    echo "# $(date -u +%Y-%m-%dT%H:%MZ) $gpu, driver $(nvidia-smi --query-gpu=driver_version \
        --format=csv,noheader | head -n 1), $("$dir/pagoda" version 2>/dev/null | head -n 1)," \
        "commit $(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo unknown)," \
        "sections: ${sections[*]}"
    cat "$table"
    echo "failed: $failed"
} >>"$out"
echo
cat "$table"
echo "failed: $failed; written to $out"
[ "$failed" -eq 0 ]

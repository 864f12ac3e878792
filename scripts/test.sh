#!/usr/bin/env bash
# Set up, then run every test. docs/testing.md says what runs where.
#   scripts/test.sh          the run of every change: under 20 minutes on 2 cores
#   scripts/test.sh --full   the long tiers too: both compilers with each sanitizer, clang-tidy,
#                            fuzzing for 10 minutes a target, tests labelled "full"
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

full=no
case "${1:-}" in
"") ;;
--full) full=yes ;;
*)
    echo "test: unknown argument '$1': nothing or --full expected" >&2
    exit 2
    ;;
esac

jobs=$(nproc)
failed=()
step_name=
step_start=0

step() {
    step_name=$1
    step_start=$SECONDS
    printf '\n== %s\n' "$step_name"
}
# A failed step is noted and the run goes on, so that one run shows all that is wrong.
verdict() {
    if [ "$1" -eq 0 ]; then
        printf '== %s: ok, %d s\n' "$step_name" $((SECONDS - step_start))
    else
        printf '== %s: FAILED, %d s\n' "$step_name" $((SECONDS - step_start))
        failed+=("$step_name")
    fi
}

# build <folder> <preset> <compiler> [target]: configure and compile; output only on failure.
build() {
    local folder=$1 preset=$2 compiler=$3 target=${4:-all}
    local log=$folder-build.log launcher=()
    command -v ccache >/dev/null && launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache)
    mkdir -p build
    if { cmake --preset "$preset" -B "$folder" -DCMAKE_C_COMPILER="$compiler" "${launcher[@]}" &&
        cmake --build "$folder" -j "$jobs" --target "$target" -- -k 0; } >"$log" 2>&1; then
        return 0
    fi
    grep -E -A5 'error: |undefined reference|^CMake Error' "$log" | cut -c1-300 | head -n 60
    echo "(all of it: $log)"
    return 1
}

# check <folder> <ctest arguments>
check() {
    local folder=$1
    shift
    ctest --test-dir "$folder" -j "$jobs" --output-on-failure --no-tests=error --timeout 600 "$@"
}

# tier <name> <preset> <compiler> <ctest arguments>: one build and the tests to run in it
tier() {
    local name=$1 preset=$2 compiler=$3
    shift 3
    local folder=build/$preset
    [ "$compiler" = gcc ] || folder=build/$preset-$compiler
    step "$name: $preset build with $compiler"
    if build "$folder" "$preset" "$compiler"; then
        verdict 0
        step "$name: $preset tests with $compiler"
        check "$folder" "$@" && verdict 0 || verdict 1
    else
        verdict 1
    fi
}

fuzz() {
    local seconds=$1 target
    step "fuzz: build"
    if ! build build/fuzz fuzz clang fuzzers; then
        verdict 1
        return
    fi
    verdict 0
    for target in build/fuzz/fuzz_*; do
        [ -x "$target" ] && [ -f "$target" ] || continue
        local name=${target##*/fuzz_}
        local seeds=tests/fuzz/corpus/$name grown=build/fuzz/corpus/$name
        mkdir -p "$grown"
        step "fuzz: $name, $seconds s"
        if "$target" "$grown" "$seeds" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=4096 \
            -artifact_prefix="build/fuzz/$name-" >"build/fuzz/$name.log" 2>&1; then
            tail -n 2 "build/fuzz/$name.log"
            verdict 0
        else
            tail -n 40 "build/fuzz/$name.log"
            verdict 1
        fi
    done
}

# A Python with the official clients, made once.
python_with_client() {
    local venv=build/venv
    $venv/bin/python -c 'import openai, anthropic' 2>/dev/null && return
    rm -rf $venv
    python3 -m venv $venv && $venv/bin/pip install -q -r tests/e2e/requirements.txt
}

# end_to_end <preset> [tests]: real sockets and the official client against build/<preset>/pagoda.
# What a sanitizer has to say of the server goes to files, and any such file is a failure.
end_to_end() {
    local preset=$1 reports=build/$1/e2e-report
    shift
    step "e2e: openai client and raw sockets against build/$preset/pagoda"
    if ! [ -x "build/$preset/pagoda" ]; then
        echo "build/$preset/pagoda was not built"
        verdict 1
        return
    fi
    if ! python_with_client; then
        echo "could not set up build/venv: the e2e tests need PyPI or a pip cache"
        verdict 1
        return
    fi
    rm -f "$reports".*
    local options=log_path=$root/$reports ok=0
    ASAN_OPTIONS=$options UBSAN_OPTIONS=$options:print_stacktrace=1 TSAN_OPTIONS=$options \
        build/venv/bin/python tests/e2e/run.py --binary "build/$preset/pagoda" "$@" || ok=1
    if compgen -G "$reports.*" >/dev/null; then
        head -n 60 "$reports".*
        ok=1
    fi
    verdict $ok
}

scripts/setup.sh test

tier default test gcc -LE full
tier default asan gcc -L 'unit|sim' -LE full
tier default tsan gcc -L threads -LE full
end_to_end test
end_to_end asan
end_to_end tsan test_openai
if [ $full = no ]; then
    fuzz 10
else
    tier full test gcc -L full
    tier full asan gcc -LE 'lint|full'
    tier full tsan gcc -LE 'lint|full'
    for preset in test asan tsan; do
        tier full $preset clang -LE 'lint|full'
    done
    step "full: clang-tidy"
    tests/lint/tidy.sh build/test-clang && verdict 0 || verdict 1
    fuzz 600
    for preset in asan tsan; do
        step "full: soak of build/$preset/pagoda, 15 minutes"
        python3 tests/e2e/soak.py --binary "build/$preset/pagoda" --minutes 15 && verdict 0 || verdict 1
    done
fi

printf '\n'
if [ ${#failed[@]} -gt 0 ]; then
    printf 'test: failed after %d s:\n' "$SECONDS"
    printf 'test:   %s\n' "${failed[@]}"
    exit 1
fi
printf 'test: all passed in %d s\n' "$SECONDS"

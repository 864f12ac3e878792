#!/usr/bin/env bash
# Set up, then run every test. docs/testing.md says what runs where.
#   scripts/test.sh                  the run of every change: under 20 minutes on 2 cores
#   scripts/test.sh --full           every tier: about two hours on 2 cores
#   scripts/test.sh --only TIER...   these tiers, each a function tier_<name> below:
#                                    default, full, clang, tidy, fuzz, soak
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

all_tiers=(default full clang tidy fuzz soak)
usage() {
    echo "test: $1; nothing, --full or --only TIER... expected, tiers: ${all_tiers[*]}" >&2
    exit 2
}
case "${1:-}" in
"") tiers=(default) ;;
--full)
    [ $# -eq 1 ] || usage "unexpected argument '$2'"
    tiers=("${all_tiers[@]}")
    ;;
--only)
    tiers=("${@:2}")
    [ ${#tiers[@]} -gt 0 ] || usage "--only without a tier"
    for name in "${tiers[@]}"; do
        [[ " ${all_tiers[*]} " == *" $name "* ]] || usage "unknown tier '$name'"
    done
    ;;
*) usage "unknown argument '$1'" ;;
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

# build_and_check <tier> <preset> <compiler> <ctest arguments>
build_and_check() {
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

# together <limit> <function> <name>...: the function once a name, <limit> at a time, each in a process
# of its own. Its output goes to build/<function>-<name>.log, the end of which is shown.
together() {
    local limit=$1 run=$2 pid code
    local -A name_of=() start_of=()
    shift 2
    while [ $# -gt 0 ] || [ ${#name_of[@]} -gt 0 ]; do
        if [ $# -gt 0 ] && [ ${#name_of[@]} -lt "$limit" ]; then
            "$run" "$1" >"build/$run-$1.log" 2>&1 &
            name_of[$!]=$1 start_of[$!]=$SECONDS
            shift
            continue
        fi
        code=0
        wait -n -p pid || code=$?
        step "$run: ${name_of[$pid]}"
        step_start=${start_of[$pid]}
        tail -n $((code ? 40 : 2)) "build/$run-${name_of[$pid]}.log"
        verdict $code
        unset "name_of[$pid]"
    done
}

# fuzz_all <seconds a target>
fuzz_all() {
    local names
    seconds=$1
    step "fuzz: build"
    if build build/fuzz fuzz clang fuzzers; then
        verdict 0
        mapfile -t names < <(find build/fuzz -maxdepth 1 -type f -executable -name 'fuzz_*' \
            -printf '%f\n' | sed 's/^fuzz_//' | sort)
        together "$jobs" fuzz "${names[@]}"
    else
        verdict 1
    fi
}
fuzz() {
    local grown=build/fuzz/corpus/$1
    mkdir -p "$grown"
    exec "build/fuzz/fuzz_$1" "$grown" "tests/fuzz/corpus/$1" -max_total_time="$seconds" -timeout=10 \
        -rss_limit_mb=4096 -artifact_prefix="build/fuzz/$1-"
}

soak() {
    exec python3 tests/e2e/soak.py --binary "build/$1/pagoda" --minutes 15
}

# A Python with the official clients, made once.
python_with_client() {
    local venv=build/venv
    $venv/bin/python -c 'import openai, anthropic' 2>/dev/null && return
    rm -rf $venv
    python3 -m venv $venv && $venv/bin/pip install -q -r tests/e2e/requirements.txt
}

# Applications' clients: some hundred MB of packages, so in an environment of their own.
large_clients() {
    local venv=build/venv-clients
    step "e2e: LangChain and LiteLLM against build/test/pagoda"
    if ! $venv/bin/python -c 'import langchain_openai, litellm, mcp' 2>/dev/null; then
        rm -rf $venv
        python3 -m venv $venv && $venv/bin/pip install -q -r tests/e2e/requirements-clients.txt
    fi
    $venv/bin/python tests/e2e/run.py --binary build/test/pagoda test_clients &&
        verdict 0 || verdict 1
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

tier_default() {
    build_and_check default test gcc -LE full
    build_and_check default asan gcc -L 'unit|sim' -LE full
    build_and_check default tsan gcc -L threads -LE full
    end_to_end test
    end_to_end asan
    end_to_end tsan test_openai test_cancel
    # the long fuzzing does all that the short one does
    [[ " ${tiers[*]} " == *" fuzz "* ]] || fuzz_all 10
}

tier_full() {
    build_and_check full test gcc -L full
    build_and_check full asan gcc -LE 'lint|full'
    build_and_check full tsan gcc -LE 'lint|full'
    large_clients
}

tier_clang() {
    build_and_check clang test clang -LE 'lint|full'
    build_and_check clang asan clang -LE 'lint|full'
    build_and_check clang tsan clang -LE 'lint|full'
}

tier_tidy() {
    step "tidy: clang-tidy over src"
    build build/test-clang test clang && tests/lint/tidy.sh build/test-clang && verdict 0 || verdict 1
}

tier_fuzz() {
    fuzz_all 600
}

tier_soak() {
    step "soak: builds"
    build build/asan asan gcc pagoda && build build/tsan tsan gcc pagoda && verdict 0 || verdict 1
    together 2 soak asan tsan
}

scripts/setup.sh test
for name in "${tiers[@]}"; do
    "tier_$name"
done

printf '\n'
if [ ${#failed[@]} -gt 0 ]; then
    printf 'test: failed after %d s:\n' "$SECONDS"
    printf 'test:   %s\n' "${failed[@]}"
    exit 1
fi
printf 'test: all passed in %d s\n' "$SECONDS"

#!/usr/bin/env bash
# clang-tidy over src/ with the compile commands of a build folder: tests/lint/tidy.sh build/test-clang
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
folder=${1:?usage: tidy.sh BUILD_FOLDER}
# --quiet still counts suppressed warnings on stderr; only findings are of interest
# what this machine cannot build (CUDA without its toolkit) has no commands there and is left out
sed -n "s|^ *\"file\": \"$PWD/\(src/.*\.c\)\".*|\1|p" "$folder/compile_commands.json" | sort -u |
    xargs -P "$(nproc)" -n 4 clang-tidy -p "$folder" --quiet 2>/dev/null

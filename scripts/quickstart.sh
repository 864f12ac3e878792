#!/usr/bin/env bash
# From a fresh clone to a chat answer: install what is missing, build, serve the bundled model on
# 127.0.0.1:8000, print a request to try, and wait. Ctrl-C ends the server. Runs from any directory.
set -euo pipefail

say() { printf 'quickstart: %s\n' "$*"; }
die() {
    printf 'quickstart: %s\n' "$*" >&2
    exit 1
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
host=127.0.0.1
port=8000
model=$root/configs/models/pagoda-tiny
binary=$root/build/release/pagoda

if (exec 3<>"/dev/tcp/$host/$port") 2>/dev/null; then
    die "port $port of $host is taken; stop the program that holds it and run this again"
fi

"$root/scripts/setup.sh" build
cuda=OFF # with a GPU its backend is built too, where nvcc is found; that takes minutes
command -v nvidia-smi >/dev/null && cuda=AUTO
say "building (the first time takes a minute or two)"
cd "$root"
log=$root/build/quickstart-build.log
mkdir -p build
if ! { cmake --preset release -DPGD_CUDA=$cuda && cmake --build --preset release --target pagoda; } >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    die "the build failed; all of its output is in $log"
fi

say "starting the server"
"$binary" serve --model "$model" --host "$host" --port "$port" &
server=$!
trap 'kill -TERM "$server" 2>/dev/null || true' INT TERM

for _ in $(seq 300); do
    curl -fs -o /dev/null "http://$host:$port/readyz" && break
    kill -0 "$server" 2>/dev/null || die "the server ended before it was ready; see its log above"
    sleep 0.1
done
curl -fs -o /dev/null "http://$host:$port/readyz" || {
    kill -TERM "$server"
    die "the server was not ready after 30 seconds; see its log above"
}

say "ready. In another terminal:"
cat <<END

  curl -N http://$host:$port/v1/chat/completions -H 'Content-Type: application/json' -d '{
    "model": "pagoda-tiny", "stream": true,
    "messages": [{"role": "user", "content": "What is the capital of France?"}]}'

END
say "Ctrl-C ends the server"
# wait returns early when the trap runs; the second wait collects the server's own end
wait "$server" || true
wait "$server" 2>/dev/null || true

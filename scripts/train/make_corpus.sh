#!/bin/sh
# Builds the corpus on the CPU from Debian packages, in about a minute; the results are 9 MB.
#   make_corpus.sh DIR      writes DIR/words.jsonl.gz and DIR/prose.jsonl.gz
set -eu
dir=${1:?usage: make_corpus.sh DIR}
here=$(cd "$(dirname "$0")" && pwd)
"$here/fetch.sh" "$dir"
python3 "$here/lexicon.py" "$dir/root" --out "$dir/words.jsonl.gz"
python3 "$here/prose.py" "$dir/root" --out "$dir/prose.jsonl.gz"

#!/bin/sh
# Runs the next training stage of the bundled model and scores it. No network. One command:
#   next_stage.sh CORPUS STATE [OUT]
# CORPUS holds words.jsonl.gz and prose.jsonl.gz (make_corpus.sh); STATE keeps the weights and the
# count of stages between calls; OUT, if given, gets the weights in parts below 16 MB and the scores.
# Three stages train the model; the fourth call trains the draft model. A STATE without a model
# goes on from the weights in configs/models and the count of stages in training.json there
# (FRESH=1 starts from nothing instead).
set -eu
corpus=${1:?usage: next_stage.sh CORPUS STATE [OUT]}
state=${2:?usage: next_stage.sh CORPUS STATE [OUT]}
out=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
models=$here/../../configs/models
python=${PYTHON:-python3}
export PYTHONUNBUFFERED=1

publish() { # NAME: the model folder in STATE, with its tokenizer, scored; copies to OUT
    cp "$models/$1/tokenizer.json" "$models/$1/tokenizer_config.json" \
        "$models/$1/generation_config.json" "$state/$1/"
    if [ -n "$out" ]; then
        mkdir -p "$out/$1"
        split -b 15000000 -d -a 1 "$state/$1/model.safetensors" "$out/$1/model.safetensors.part"
        cp "$state/$1/state.json" "$out/$1/"
    fi
    "$python" "$here/evaluate.py" "$state/$1" --out "$state/$1/scores.json" \
        --wrong "$state/$1/wrong.jsonl" || echo "scoring failed"
    if [ -n "$out" ]; then
        cp "$state/$1"/*.json* "$out/$1/" && rm -f "$out/$1"/tokenizer*.json
    fi
}

resume() { # NAME: the state of the committed weights, unless STATE has one
    mkdir -p "$state/$1"
    if [ ! -e "$state/$1/state.json" ] && [ -e "$models/$1/training.json" ] && [ -z "${FRESH:-}" ]; then
        cp "$models/$1/model.safetensors" "$state/$1/"
        cp "$models/$1/training.json" "$state/$1/state.json"
    fi
}

train() { # NAME
    "$python" "$here/train.py" --shape "$1" --state "$state/$1" --corpus "$corpus" \
        --tokenizer "$models/$1/tokenizer.json" ${TRAIN_FLAGS:-}
    publish "$1"
}

resume pagoda-tiny
if grep -q '"done": 3' "$state/pagoda-tiny/state.json" 2>/dev/null; then
    mkdir -p "$state/pagoda-tiny-draft"
    train pagoda-tiny-draft
else
    train pagoda-tiny
fi

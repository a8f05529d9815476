#!/usr/bin/env bash
# The whole recipe on speech that it makes itself: espeak-ng speaks a small release laid out as IEMOCAP, and the pipeline runs on
# it with a tiny encoder.
#   ./run.sh [options of ser.sh, which outrank what is chosen here]
set -euo pipefail

export RECIPE_COMMAND="${RECIPE_COMMAND:-$0$([[ $# -eq 0 ]] || printf ' %q' "$@")}"
here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "${here}/ser.sh" \
    --system asr_gender_skip__ser \
    --folds_by session \
    --ssl "${here}/conf/mini/encoder" \
    --stage1_config conf/mini/train_stage1.yaml \
    --stage2_config conf/mini/train_ser.yaml \
    --nj auto \
    "$@"

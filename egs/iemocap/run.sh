#!/usr/bin/env bash
# IEMOCAP, as in the paper.
#   ./run.sh --iemocap DIR [options of ser.sh, which outrank what is chosen here]
set -euo pipefail

export RECIPE_COMMAND="${RECIPE_COMMAND:-$0$([[ $# -eq 0 ]] || printf ' %q' "$@")}"
here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "${here}/ser.sh" \
    --system asr_gender_skip__ser \
    --folds_by session \
    --ssl facebook/wav2vec2-base \
    --stage1_config conf/train_stage1.yaml \
    --stage2_config conf/train_ser.yaml \
    "$@"

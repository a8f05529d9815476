#!/usr/bin/env bash
# RAVDESS, a worked example of ../TEMPLATE.
#   ./run.sh --corpus Audio_Speech_Actors_01-24.zip [options of ser.sh, which outrank what is chosen here]
set -euo pipefail

export RECIPE_COMMAND="${RECIPE_COMMAND:-$0$([[ $# -eq 0 ]] || printf ' %q' "$@")}"
here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

# Six folds: of 24 actors each holds out two women and two men.
exec "${here}/ser.sh" \
    --folds_by 6 \
    --corpus_name RAVDESS \
    --corpus_lang en \
    --corpus_license cc-by-nc-sa-4.0 \
    --corpus_url https://zenodo.org/records/1188976 \
    "$@"

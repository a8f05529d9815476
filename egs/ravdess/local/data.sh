#!/usr/bin/env bash
# Stage 1: a Kaldi data directory of RAVDESS speech (a folder with Actor_01 and so on, or Audio_Speech_Actors_01-24.zip), and its folds.
#   local/data.sh --corpus=SOURCE --classes=CLASSES --datadir=DIR [options of espnet-ser folds]
set -euo pipefail

source=${1#--corpus=} out=${3#--datadir=}/corpus
[[ -z ${source} ]] || python3 "$(dirname -- "${BASH_SOURCE[0]}")/ravdess.py" "${source}" "${out}"
exec python3 -m espnet_ser folds --data "${out}" "${@:2}"

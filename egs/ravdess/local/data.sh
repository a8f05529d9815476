#!/usr/bin/env bash
# Makes a Kaldi data directory of RAVDESS speech: a folder with Actor_01 and so on, or Audio_Speech_Actors_01-24.zip.
#   local/data.sh SOURCE OUT
set -euo pipefail

exec python3 "$(dirname -- "${BASH_SOURCE[0]}")/ravdess.py" "$@"

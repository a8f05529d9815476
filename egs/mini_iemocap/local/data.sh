#!/usr/bin/env bash
# Stage 1: speaks a small release laid out as IEMOCAP, and goes on as ../iemocap does.
#   local/data.sh --num_utts=N --iemocap=DIR [options of espnet-ser prepare]
set -euo pipefail

here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
num_utts=${1#--num_utts=} release=${2#--iemocap=}
if [[ -z ${release} ]]; then
    release=${here}/release/${num_utts}
    mkdir -p "${release%/*}"
    nj=$(python3 -c 'from espnet_ser.utils.machine import usable_cores; print(usable_cores())')
    python3 -m espnet_ser synthesize --output "${release}" --num_utts "${num_utts}" --nj "${nj}" &
    # Ended with the recipe: it would go on writing into the release of the next run.
    trap 'kill "$!" 2>/dev/null || true; wait "$!" || true; exit 1' HUP INT TERM
    wait "$!"
    trap - HUP INT TERM
fi
exec "${here}/../iemocap/local/data.sh" --iemocap="${release}" "${@:3}"

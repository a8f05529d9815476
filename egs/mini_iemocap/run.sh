#!/usr/bin/env bash
# The whole recipe on speech that it makes itself: espeak-ng speaks a small release laid out as IEMOCAP, and ../iemocap/run.sh
# runs its stages on it with a tiny encoder. Takes every option of ../iemocap/run.sh, and --num_utts N before them.
# As run_table.sh, the same for ../iemocap/run_table.sh.
set -euo pipefail
unset CDPATH # cd would print, or go elsewhere

RECIPE_COMMAND="$0$([[ $# -eq 0 ]] || printf ' %q' "$@")"
export RECIPE_COMMAND
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
recipe=${here}/../iemocap/$(basename -- "$0")

num_utts=480 # utterances to speak, of which five in six are of the four classes
if [[ ${1-} == --num_utts || ${1-} == --num-utts ]]; then
    num_utts=${2-}
    if [[ ! ${num_utts} =~ ^[1-9][0-9]{0,8}$ ]]; then
        echo "$0: --num_utts takes a whole number, not ${num_utts@Q}" >&2
        exit 1
    fi
    shift 2
fi
if [[ ${1-} == --help || ${1-} == -h ]]; then
    printf '%s\n' "Usage: $0 [--num_utts 480] [options of ../iemocap/run.sh, which follow]"
    exec "${recipe}" --help
fi
. "${here}/../iemocap/path.sh"
nj=$(python3 -c 'from espnet_ser.utils.machine import usable_cores; print(usable_cores())')

release=${here}/release/${num_utts}
mkdir -p "${release%/*}"
python3 -m espnet_ser synthesize --output "${release}" --num_utts "${num_utts}" --nj "${nj}" &
speaking=$!
# Ended with the recipe: it would go on writing into the release of the next run.
ended() {
    kill "${speaking}" 2>/dev/null || true
    wait "${speaking}" || true
    exit "$1"
}
trap 'ended 129' HUP
trap 'ended 130' INT
trap 'ended 143' TERM
wait "${speaking}"
trap - HUP INT TERM

exec "${recipe}" \
    --iemocap "${release}" --datadir "${here}/data" --dumpdir "${here}/dump" --expdir "${here}/exp" \
    --ssl "${here}/conf/mini/encoder" --nj "${nj}" \
    --intermediate-config conf/mini/train_intermediate.yaml --ser-config conf/mini/train_ser.yaml "$@"

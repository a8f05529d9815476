#!/usr/bin/env bash
# A corpus of your own: local/data.sh makes a Kaldi data directory of it, and ../iemocap/run.sh runs its stages on that.
# Takes --corpus SOURCE, for local/data.sh to read, and then every option of ../iemocap/run.sh. As run_table.sh, the same for
# ../iemocap/run_table.sh. README.md says more.
set -euo pipefail
unset CDPATH # cd would print, or go elsewhere

RECIPE_COMMAND="$0$([[ $# -eq 0 ]] || printf ' %q' "$@")"
export RECIPE_COMMAND
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
recipe=${here}/../iemocap/$(basename -- "$0")

corpus=
if [[ ${1-} == --corpus ]]; then
    corpus=${2-}
    if [[ -z ${corpus} ]]; then
        echo "$0: --corpus takes what local/data.sh reads: a folder or a file" >&2
        exit 1
    fi
    shift 2
fi
if [[ ${1-} == --help || ${1-} == -h ]]; then
    printf '%s\n' "Usage: $0 [--corpus SOURCE] [options of ../iemocap/run.sh, which follow]"
    exec "${recipe}" --help
fi

. "${here}/../iemocap/path.sh"
. "${here}/local/options.sh"

[[ -z ${corpus} ]] || "${here}/local/data.sh" "${corpus}" "${here}/data/corpus"
exec "${recipe}" --data "${here}/data/corpus" \
    --datadir "${here}/data" --dumpdir "${here}/dump" --expdir "${here}/exp" "${options[@]}" "$@"

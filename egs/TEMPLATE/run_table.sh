#!/usr/bin/env bash
# A whole table of the paper: every system, intermediate models trained once and shared, independent trainings in parallel.
#   ./run_table.sh --table 3    (1, 2, 3 or all; every option of run.sh)
# Run again, it goes on where it stopped.
set -euo pipefail

RECIPE_COMMAND="$0$([[ $# -eq 0 ]] || printf ' %q' "$@")"
export RECIPE_COMMAND
here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
which=
for word in "$@"; do
    case ${word} in --table* | --systems* | --help | -h) which=given ;; esac
done
if [[ -z ${which} ]]; then
    echo "$0: which table? Give --table 1, 2, 3 or all, or --systems \"NAME NAME\" (--help says more)" >&2
    exit 1
fi
exec "${here}/run.sh" "$@"

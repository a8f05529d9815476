#!/usr/bin/env bash
# Every fault test at full length; writes docs/reliability.md, what was tried and how it ended. tests/run.sh has a short cut of it.
#   tests/faults/run.sh [--kills 60]
set -euo pipefail
unset CDPATH # cd would print, or go elsewhere

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
cd -- "${root}"
kills=60 # moments at which the mini recipe is killed
help_message="Usage: $0 [--kills 60]"
. utils/parse_options.sh
[[ $# -eq 0 ]] || { echo "$0: no positional arguments are taken" >&2; exit 2; }

env_extras="test"
. utils/activate_env.sh
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
python3 -m pytest -n auto --dist loadfile tests/faults --kills "${kills}" --reliability docs/reliability.md

#!/usr/bin/env bash
# Every check and test of the project, in an environment of its own: the README's test command, and CI's.
#   tests/run.sh [--long true] [--recipe false] [--pytest-args "-k transcript"]
set -euo pipefail
unset CDPATH # cd would print, or go elsewhere

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
cd -- "${root}"
recipe=true    # run the mini recipe from end to end
long=false     # what takes longest and seldom changes too: all of ESPnet, every page's commands, ...
pytest_args=   # further arguments of pytest
help_message="Usage: $0 [--recipe true] [--long false] [--pytest-args ARGS]"
. utils/parse_options.sh
[[ $# -eq 0 ]] || { echo "$0: no positional arguments are taken" >&2; exit 2; }

step() { echo; echo "== $* [${SECONDS}s]"; }

step "environment"
env_extras="test"
. utils/activate_env.sh
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

step "ruff"
ruff check .
ruff format --check .

step "shellcheck"
mapfile -t scripts < <(git ls-files '*.sh' .ci/run)
shellcheck "${scripts[@]}"

read -ra pytest_options <<<"${pytest_args}"
[[ ${long} == false ]] || pytest_options+=(--long)
in_parallel=(-n auto --dist loadfile) # most of a test's time is one core's

step "doctests"
python3 -m pytest -q "${in_parallel[@]}" --doctest-modules espnet_ser

step "unit and shell tests"
python3 -m pytest "${in_parallel[@]}" tests/unit tests/shell "${pytest_options[@]}"

step "faults"
python3 -m pytest "${in_parallel[@]}" tests/faults "${pytest_options[@]}"

if [[ ${recipe} == true ]]; then
    step "the recipes from end to end"
    python3 -m pytest tests/recipe "${pytest_options[@]}"
fi

step "all passed"

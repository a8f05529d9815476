#!/usr/bin/env bash
# The page of espnet-ser demo in a real, headless Chromium. Not part of tests/run.sh, which needs no browser.
#   tests/browser/run.sh [--models "exp/NAME/fold1 exp/stage1/NAME/fold1"] [--screenshots docs/images]
set -euo pipefail
unset CDPATH # cd would print, or go elsewhere

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
cd -- "${root}"
models=            # trained models, from the repository's root; tiny random ones if none are named
screenshots=       # folder that keeps demo.png and demo_phone.png
chromium=chromium  # the browser's program
pytest_args=       # further arguments of pytest
help_message="Usage: $0 [--models MODELS] [--screenshots DIR] [--chromium PROGRAM] [--pytest-args ARGS]"
. utils/parse_options.sh
[[ $# -eq 0 ]] || { echo "$0: no positional arguments are taken" >&2; exit 2; }

command -v "${chromium}" >/dev/null || {
    echo "$0: no ${chromium} here: install it (Debian: apt-get install chromium), or name another with --chromium" >&2
    exit 1
}
env_extras="test,demo"
. utils/activate_env.sh
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

read -ra options <<<"${pytest_args}"
[[ -z ${models} ]] || options+=(--models "${models}")
[[ -z ${screenshots} ]] || options+=(--screenshots "${screenshots}")
python3 -m pytest tests/browser --chromium "${chromium}" "${options[@]}"

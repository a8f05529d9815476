#!/usr/bin/env bash
# The tests that need a GPU: what is computed there is what a CPU computes. Arguments go to pytest.
#   tests/gpu/run.sh [-k cached]
set -euo pipefail
unset CDPATH # cd would print, or go elsewhere

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
env_extras="test"
. utils/activate_env.sh
python3 -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || {
    echo "$0: torch finds no GPU on this machine" >&2
    exit 1
}
exec python3 -m pytest tests/gpu "$@"

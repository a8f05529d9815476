# shellcheck shell=bash
# Sourced by the recipe: puts its tools on PATH and chooses the Python that has espnet_ser.
MAIN_ROOT=$(CDPATH='' cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
export MAIN_ROOT
export PATH="${MAIN_ROOT}/utils:${PATH}"
. "${MAIN_ROOT}/utils/activate_env.sh"

# Sorted as Kaldi sorts, one thread per process (a job array brings its own parallelism), no forks of the tokenisers.
export LC_ALL=C
export PYTHONUTF8=1
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
export TOKENIZERS_PARALLELISM=false

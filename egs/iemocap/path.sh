# shellcheck shell=bash
# Sourced by the recipe: puts its tools on PATH and chooses the Python that has espnet_ser, making it on first use.
MAIN_ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
export MAIN_ROOT
export PATH="${MAIN_ROOT}/utils:${PATH}"

"${MAIN_ROOT}/utils/setup_env.sh"
if ! (cd / && python3 -c 'import importlib.util as u, sys; sys.exit(any(u.find_spec(m) is None for m in ("espnet_ser", "torch")))'); then
    # shellcheck disable=SC1091
    . "${MAIN_ROOT}/.venv/bin/activate"
fi

# Sorted as Kaldi sorts, one thread per process (a job array brings its own parallelism), and the same numbers every time.
export LC_ALL=C
export PYTHONIOENCODING=UTF-8
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
export TOKENIZERS_PARALLELISM=false

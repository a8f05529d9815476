# shellcheck shell=bash
# Sourced: from here on python3 is one that has espnet_ser, the caller's own or .venv's, which is made on first use.
# Set env_extras (such as "test") before, for what setup.py calls extras.
_env_root=$(CDPATH='' cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)

"${_env_root}/utils/setup_env.sh" --extras "${env_extras:-}"
# Looked up from /: what is only found from the current folder is not installed.
if ! (cd / && python3 -c '
import sys
from importlib.util import find_spec
sys.exit(any(find_spec(name) is None for name in ("espnet_ser", "torch", "transformers", "espnet2", "soundfile")))'); then
    # shellcheck disable=SC1091
    . "${_env_root}/.venv/bin/activate"
fi
unset -v _env_root

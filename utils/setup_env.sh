#!/usr/bin/env bash
# Makes sure that espnet_ser can run: in the caller's python3 if it is installed there, or else in .venv, made on first use.
set -euo pipefail
unset CDPATH # cd would print, or go elsewhere
shopt -s inherit_errexit

# Resolved physically: through egs/*/utils, which is a link, `..` would be the recipe.
repo=$(cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")" && cd .. && pwd -P)
venv=${repo}/.venv
complete=${venv}/.complete     # what was installed: a digest of the pins, the repository's place, one extra a line
unfinished=${venv}/.unfinished # there while packages are being written

help_message="Usage: $0 [--extras test,demo]
Does nothing where the current python3 has espnet_ser with its dependencies, or where .venv is complete. Otherwise installs
everything into ${venv}, at the versions of constraints.txt (about 5 GB with the CUDA libraries).
  --extras NAMES  install these extras of setup.py too: test, demo, export, zoo, several with commas between
The rule for callers: activate .venv if the current python3 cannot import espnet_ser.
PYTHON=... in the environment names the interpreter (3.10 to 3.12) that .venv is made from."

say() { printf 'setup_env.sh: %s\n' "$1" >&2; }
fail() {
    say "$1"
    exit 1
}

extras=
# shellcheck source=utils/parse_options.sh
. "${repo}/utils/parse_options.sh"
[[ $# -eq 0 ]] || { say "unexpected argument '$1' (--help says more)" && exit 2; }

# The modules whose presence shows that a part of setup.py is installed.
modules=(espnet_ser torch transformers espnet2 soundfile)
wanted=()
for extra in ${extras//,/ }; do
    case ${extra} in
        test) modules+=(pytest xdist hypothesis librosa onnx onnxruntime espnet_model_zoo gradio) ;;
        demo) modules+=(gradio) ;;
        export) modules+=(onnx onnxruntime) ;;
        zoo) modules+=(espnet_model_zoo) ;;
        *) fail "unknown extra '${extra}'; known: demo, export, test, zoo" ;;
    esac
    wanted+=("${extra}")
done

# Prints the environment's folder, then the modules that it lacks. Looked up, not imported: torch takes seconds. The current
# folder does not count, because what is only found from here is not installed.
inspect() {
    "$1" -c '
import os, sys
from importlib.util import find_spec
sys.path = [entry for entry in sys.path if entry]
print(os.path.realpath(sys.prefix), *(name for name in sys.argv[1:] if find_spec(name) is None), sep="\n")' "${modules[@]}" 2>/dev/null
}

# Succeeds where the caller's own environment is the one to use. It is used as it is: nothing is installed into it.
current_python_serves() {
    local lines lacking
    mapfile -t lines < <(inspect python3 || true)
    [[ ${#lines[@]} -gt 0 && ${lines[0]} != "${venv}" ]] || return 1
    lacking=" ${lines[*]:1} "
    case ${lacking} in
        "  ") return 0 ;;
        *" espnet_ser "* | *" torch "* | *" transformers "* | *" espnet2 "* | *" soundfile "*) return 1 ;;
    esac
    fail "the current python3 has espnet_ser but not the extra(s) '${extras}' (no${lacking% }): pip install -e '${repo}[${extras}]'"
}

digest() { cat "${repo}/setup.py" "${repo}/constraints.txt" | sha256sum | cut -d ' ' -f 1; }

# What .complete says: the extras are what is left once the two first lines are as they should be.
venv_is_complete() {
    local lines extra
    [[ -f ${complete} && ! -e ${unfinished} && -x ${venv}/bin/python ]] || return 1
    mapfile -t lines <"${complete}"
    [[ ${lines[0]-} == "$(digest)" && ${lines[1]-} == "${repo}" ]] || return 1
    for extra in "${wanted[@]}"; do
        [[ " ${lines[*]:2} " == *" ${extra} "* ]] || return 1
    done
}

# Prints the version of a Python that will do.
version_of() {
    "$1" -c 'import sys
if not (3, 10) <= sys.version_info[:2] <= (3, 12): sys.exit(1)
print(".".join(map(str, sys.version_info[:3])))' 2>/dev/null
}

# Of a virtual environment, the Python behind it: the environment may be the very one that is about to be replaced.
base_of() {
    "$1" -c 'import sys; print(sys.argv[1] if sys.prefix == sys.base_prefix else sys._base_executable)' "$1"
}

find_python() {
    local candidate
    if [[ -n ${PYTHON-} ]]; then
        version_of "${PYTHON}" >/dev/null || fail "PYTHON='${PYTHON}' is not a Python 3.10, 3.11 or 3.12"
        base_of "${PYTHON}"
        return
    fi
    for candidate in python3 python3.12 python3.11 python3.10; do
        if version_of "${candidate}" >/dev/null; then
            base_of "${candidate}"
            return
        fi
    done
    fail "no Python 3.10, 3.11 or 3.12 on PATH: install one, or name it with PYTHON=/path/to/python3"
}

# An environment that was moved, or left half written, or whose interpreter is gone, is made anew. One that is only behind the
# pins, or lacks an extra, is brought up to date in place.
venv_is_usable() {
    local lines=()
    [[ ! -e ${unfinished} ]] && version_of "${venv}/bin/python" >/dev/null || return 1
    [[ ! -f ${complete} ]] || mapfile -t lines <"${complete}"
    [[ ${lines[1]-${repo}} == "${repo}" ]]
}

make_venv() {
    local python version
    python=$(find_python)
    version=$(version_of "${python}")
    say "making ${venv} with Python ${version}"
    : >"${unfinished}"
    find "${venv}" -mindepth 1 -maxdepth 1 ! -name .setup_lock ! -name .unfinished -exec rm -rf -- {} +
    # Without pip at first: uv does not need it, and some distributions package ensurepip apart.
    "${python}" -m venv --without-pip "${venv}" || fail "${python} -m venv failed: see above"
}

pin_of() { grep -m 1 "^$1==" "${repo}/constraints.txt"; }

# Prints the uv to use: the one on PATH, or one inside .venv; nothing where neither can be had.
find_uv() {
    if command -v uv; then
        return
    fi
    if have_pip && "${venv}/bin/python" -m pip install --quiet "$(pin_of uv)" >&2; then
        printf '%s\n' "${venv}/bin/uv"
    fi
}

have_pip() {
    "${venv}/bin/python" -m pip --version >/dev/null 2>&1 || "${venv}/bin/python" -m ensurepip >/dev/null 2>&1
}

install_packages() {
    local target=$1 constraints=${repo}/constraints.txt uv
    uv=$(find_uv)
    if [[ -n ${uv} ]]; then
        # A few dependencies come as source; they are built with the pinned setuptools too.
        if "${uv}" pip install --python "${venv}/bin/python" -e "${target}" pip -c "${constraints}" -b "${constraints}" >&2; then
            return
        fi
        say "uv could not install the packages; trying pip"
    fi
    have_pip || fail "neither uv nor pip is to be had: install uv, or your system's package python3-venv"
    # First itself: constraints.txt says which pip can read every dependency's metadata.
    "${venv}/bin/python" -m pip install --quiet "$(pin_of pip)" >&2 || fail "pip could not install $(pin_of pip): see above"
    "${venv}/bin/python" -m pip install -e "${target}" -c "${constraints}" >&2 ||
        fail "pip could not install the packages: see above, then run this again"
}

take_lock() {
    command -v flock >/dev/null || fail "flock is needed: install util-linux"
    mkdir -p -- "${venv}"
    # Inside .venv, so that nothing else appears in the repository, but not .venv/.lock, which is uv's. Child processes keep
    # the lock too: an installer that outlives this script is waited for.
    exec {lock}>>"${venv}/.setup_lock"
    local status=0
    flock --nonblock "${lock}" 2>/dev/null || status=$?
    if [[ ${status} -eq 1 ]]; then
        say "another setup_env.sh is at work on ${venv}; waiting for it"
        flock "${lock}"
    elif [[ ${status} -ne 0 ]]; then
        say "no locks on this file system: run one setup_env.sh at a time"
    fi
}

if venv_is_complete || current_python_serves; then
    exit 0
fi
take_lock
if venv_is_complete; then
    exit 0
fi

[[ ! -f ${complete} ]] || mapfile -t -s 2 -O "${#wanted[@]}" wanted <"${complete}" # extras that are there stay there
mapfile -t wanted < <(printf '%s\n' "${wanted[@]}" | sed '/^$/d' | sort -u)
extras=$(IFS=, && printf '%s' "${wanted[*]}")
venv_is_usable || make_venv
: >"${unfinished}"
rm -f -- "${complete}"
say "installing espnet-ser${extras:+ with ${extras}} into ${venv}: about 5 GB with the CUDA libraries, so this can take a while"
install_packages "${repo}${extras:+[${extras}]}"

mapfile -t found < <(inspect "${venv}/bin/python" || true)
[[ ${#found[@]} -eq 1 ]] || fail "the installation ended but these modules are missing: ${found[*]:1}"
printf '%s\n' "$(digest)" "${repo}" "${wanted[@]}" >"${complete}.part"
mv -- "${complete}.part" "${complete}"
rm -- "${unfinished}"
say "done: ${venv} is ready"

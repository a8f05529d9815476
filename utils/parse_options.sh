# shellcheck shell=bash
# Turns `--foo-bar value` into the variable foo_bar. Source it once the defaults are set:
#
#   nj=4
#   use_gpu=false
#   help_message="Usage: $0 [--nj 4] [--use-gpu false] DIR"
#   . utils/parse_options.sh
#   [[ $# -eq 1 ]] || { echo "${help_message}" >&2; exit 2; }
#
# An option is a lower-case scalar that already has a value (`declare -i` and namerefs are not options: assigning to them
# evaluates the value). One that is true or false stays true or false. Parsing ends at the first argument that is not an
# option, or after `--`; what is left stays in "$@". An empty value (`--tag ""`) is a value. Nothing in a value is expanded.
#
# Names here begin with _po_ because they share the caller's shell; they are gone at the end.

_po_fail() {
    printf '%s: %s\n' "$0" "$1" >&2
    exit 1
}

_po_is_option() {
    [[ $1 =~ ^[a-z][a-z0-9_]*$ && $1 != help_message ]] || return 1
    local _po_declared
    _po_declared=$(declare -p -- "$1" 2>/dev/null) || return 1
    [[ ! ${_po_declared} =~ ^declare\ -[^\ ]*[aAinr] && ${_po_declared} == *=* ]]
}

# The option nearest to name $1 by edit distance. What only came with the environment (http_proxy) is not proposed.
_po_nearest() {
    local _po_inherited _po_candidate
    _po_inherited=$(compgen -e || true)
    compgen -v | while IFS= read -r _po_candidate; do
        if _po_is_option "${_po_candidate}" && ! grep -qxF -e "${_po_candidate}" <<<"${_po_inherited}"; then
            printf '%s\n' "${_po_candidate}"
        fi
    done | LC_ALL=C _po_given=$1 awk '
        function least(a, b) { return a < b ? a : b }
        function distance(s, t,    i, j, row, above, diagonal) {
            for (j = 0; j <= length(t); j++) row[j] = j
            for (i = 1; i <= length(s); i++) {
                diagonal = row[0]
                row[0] = i
                for (j = 1; j <= length(t); j++) {
                    above = row[j]
                    row[j] = least(least(row[j] + 1, row[j - 1] + 1), diagonal + (substr(s, i, 1) != substr(t, j, 1)))
                    diagonal = above
                }
            }
            return row[length(t)]
        }
        { d = distance(ENVIRON["_po_given"], $0); if (best == "" || d < smallest) { best = $0; smallest = d } }
        END { gsub("_", "-", best); print best }'
}

while [[ $# -gt 0 ]]; do
    case $1 in
        --help | -h)
            printf '%s\n' "${help_message:-$0: no help is written for this command}"
            exit 0
            ;;
        --)
            shift
            break
            ;;
        --*=*) _po_fail "options are written '${1%%=*} VALUE', not '${1%%=*}=VALUE'" ;;
        --?*) ;;
        -?*) _po_fail "unknown option '$1': options begin with two dashes (--help lists them)" ;;
        *) break ;;
    esac

    _po_name=${1#--}
    _po_name=${_po_name//-/_}
    if ! _po_is_option "${_po_name}"; then
        _po_near=$(_po_nearest "${_po_name}")
        _po_fail "unknown option '$1'${_po_near:+, did you mean --${_po_near}?} (--help lists them)"
    fi
    [[ $# -ge 2 ]] || _po_fail "option $1 needs a value"
    # `--nj --stage 2` forgot a value. Numbers such as -1, and ESPnet options that are passed on in quotes, are values.
    if [[ $2 =~ ^--([a-zA-Z0-9_-]+)$ ]]; then
        _po_next=${BASH_REMATCH[1]//-/_}
        if _po_is_option "${_po_next}"; then
            _po_fail "option $1 needs a value, but the option $2 follows"
        fi
    fi
    if [[ ${!_po_name} == true || ${!_po_name} == false ]] && [[ $2 != true && $2 != false ]]; then
        _po_fail "option $1 is true or false, got '$2'"
    fi
    printf -v "${_po_name}" '%s' "$2"
    shift 2
done

unset -f _po_fail _po_is_option _po_nearest
unset -v _po_name _po_near _po_next

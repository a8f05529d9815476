#!/usr/bin/env bash
# Stage 1: a Kaldi data directory of a corpus, data/corpus, and its folds. It is called from where the user called run.sh.
#   local/data.sh --corpus=SOURCE --classes=CLASSES --datadir=DIR [options of espnet-ser folds]
set -euo pipefail

# Makes a Kaldi data directory; here of one that is such a directory already. Write your own in its place.
#   make_kaldi_dir SOURCE OUT
make_kaldi_dir() {
    if [[ ! -f $1/wav.scp ]]; then
        echo "$0: give a Kaldi data directory (with wav.scp), not ${1@Q}" >&2
        exit 1
    fi
    mkdir -p -- "$(dirname -- "$2")"
    new=$(mktemp -d -- "$2.XXXXXX")
    trap 'rm -rf -- "${new}"' EXIT
    for name in segments text utt2spk utt2emotion utt2label utt2gender spk2gender utt2style utt2session utt2fold utt2split; do
        [[ ! -e $1/${name} ]] || cp -- "$1/${name}" "${new}/${name}"
    done
    # Paths relative to where this is called from would not be so elsewhere.
    python3 - "$1/wav.scp" >"${new}/wav.scp" <<'PYTHON'
import sys
from pathlib import Path

from espnet_ser.data.lists import read_table
from espnet_ser.errors import InputError

sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
try:
    for key, (_, path) in read_table(Path(sys.argv[1])).items():
        print(key, Path.cwd() / path)
except InputError as error:
    sys.exit(f"local/data.sh: {error}")
PYTHON
    replace "${new}" "$2"
}

# Puts a new folder in the place of an old one; an old one in which anything was added or changed is kept as OLD.kept-N.
#   replace NEW OLD
replace() {
    local written=${2%/*}/.${2##*/}.sha256 number=1
    if [[ -e $2 ]]; then
        if [[ -f ${written} && "$(checksums "$2")" == "$(<"${written}")" ]]; then
            rm -rf -- "$2"
        else
            while [[ -e $2.kept-${number} ]]; do number=$((number + 1)); done
            mv -- "$2" "$2.kept-${number}"
            echo "local/data.sh: $2 was changed: moved to $2.kept-${number}"
        fi
    fi
    mv -- "$1" "$2"
    checksums "$2" >"${written}"
}
checksums() { (cd -- "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum); }

source=${1#--corpus=} out=${3#--datadir=}/corpus
[[ -z ${source} ]] || make_kaldi_dir "${source}" "${out}"
exec python3 -m espnet_ser folds --data "${out}" "${@:2}"

#!/usr/bin/env bash
# Makes a Kaldi data directory of a corpus; here of one that is such a directory already. Write your own in its place.
#   local/data.sh SOURCE OUT
set -euo pipefail

if [[ $# -ne 2 || ! -f $1/wav.scp ]]; then
    echo "$0: give a Kaldi data directory (with wav.scp), and where to put a copy; got: ${*@Q}" >&2
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
rm -rf -- "$2"
mv -- "${new}" "$2"

#!/usr/bin/env python3
"""RAVDESS speech (Livingstone & Russo 2018, https://zenodo.org/records/1188976) -> a Kaldi data directory.

A file's name says all: ``03-01-05-01-02-01-01.wav`` is modality (03: audio alone), channel (01: speech), emotion, intensity,
statement, repetition and actor, whose number is even for women.

    python3 egs/ravdess/local/ravdess.py Audio_Speech_Actors_01-24.zip egs/ravdess/data/corpus
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from espnet_ser.errors import CorpusError, InputError
from espnet_ser.model_io.archive import unpack_archive
from espnet_ser.utils.atomic import disk_errors_as_input_errors, replace_folder
from espnet_ser.utils.hashing import file_sha256
from espnet_ser.utils.replacing import keep_others, temporary_folder
from espnet_ser.utils.stamp import Stamp

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
INTENSITIES = ("normal", "strong")
STATEMENTS = ("KIDS ARE TALKING BY THE DOOR", "DOGS ARE SITTING BY THE DOOR")
NUM_FILES = 1440

_NAME = re.compile(r"(0[1-3])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(0[1-9]|1\d|2[0-4])\.wav", re.ASCII)


@dataclass(frozen=True)
class Take:
    """One file of the corpus: an actor saying one of two sentences.

    Attributes:
        path: The file.
        actor: ``Actor_01`` to ``Actor_24``.
        emotion: Of :data:`EMOTIONS`.
        intensity: ``normal`` or ``strong``; neutral is always normal.
        text: What is said.
    """

    path: Path
    actor: str
    emotion: str
    intensity: str
    text: str

    @property
    def utt(self) -> str:
        """Its id, the actor's first: ``Actor_01-03-01-05-01-02-01-01``."""
        return f"{self.actor}-{self.path.stem}"

    @property
    def gender(self) -> str:
        """``f`` for actors with an even number, ``m`` for the others."""
        return "m" if int(self.actor[-2:]) % 2 else "f"


def read_takes(release: Path) -> list[Take]:
    """The speech in a release; videos and songs that lie next to it are passed by.

    Raises:
        CorpusError: Lists every file with a name that the corpus does not have.
        InputError: There is no speech.
    """
    takes, problems = [], []
    for path in sorted(release.glob("Actor_*/*.wav")):
        if path.name.startswith("."):
            continue
        match = _NAME.fullmatch(path.name)
        if not match or path.parent.name != f"Actor_{match[7]}":
            problems.append(f"{path}: not a name of this corpus; expected one like Actor_01/03-01-05-01-02-01-01.wav")
            continue
        modality, channel, emotion, intensity, statement, _, actor = match.groups()
        if (modality, channel) == ("03", "01"):
            told = EMOTIONS[int(emotion) - 1], INTENSITIES[int(intensity) - 1], STATEMENTS[int(statement) - 1]
            takes.append(Take(path.absolute(), f"Actor_{actor}", *told))
    if problems:
        raise CorpusError(release, problems)
    if not takes:
        raise InputError(
            f"{release}: no speech in Actor_*/; give the folder that holds Actor_01, or Audio_Speech_Actors_01-24.zip from "
            "https://zenodo.org/records/1188976"
        )
    return takes


def write_data(takes: list[Take], folder: Path) -> None:
    """Writes the data directory, whole, in the place of an earlier one; what was edited in that is moved aside."""
    tables = {
        "wav.scp": {take.utt: str(take.path) for take in takes},
        "text": {take.utt: take.text for take in takes},
        "utt2spk": {take.utt: take.actor for take in takes},
        "utt2emotion": {take.utt: take.emotion for take in takes},
        "utt2style": {take.utt: take.intensity for take in takes},
        "spk2gender": {take.actor: take.gender for take in takes},
    }
    stamp = Stamp(folder.with_name(f".{folder.name}.json"))
    with temporary_folder(folder) as temporary:
        for name, table in tables.items():
            write_table(temporary / name, table)
        keep_others(folder, stamp, temporary)
        replace_folder(temporary, folder)
    stamp.write({}, [folder])


def write_table(path: Path, table: Mapping[str, str]) -> None:
    """A line of key and value each, sorted."""
    lines = [f"{key} {value}\n" for key, value in sorted(table.items())]
    path.write_text("".join(lines), encoding="utf-8", errors="surrogateescape")


def main(arguments: list[str]) -> None:
    """Makes the data directory of a release; an archive is unpacked first, once, into ``release/`` of the recipe."""
    if len(arguments) != 2:
        raise InputError("give the release (a folder with Actor_01, or the zip), and where to write the data directory")
    source, folder = map(Path, arguments)
    if source.is_file():
        with disk_errors_as_input_errors(Path(__file__).parents[1]):
            unpacked = Path(__file__).resolve().parents[1] / "release" / file_sha256(source)[:12]
            unpacked.parent.mkdir(exist_ok=True)
            if not unpacked.exists():
                unpack_archive(source, unpacked)
        source = unpacked
    takes = read_takes(source)
    with disk_errors_as_input_errors(folder):
        write_data(takes, folder)
    full = "all of it" if len(takes) == NUM_FILES else f"the full corpus has {NUM_FILES}"
    print(f"{folder}: {len(takes)} utterances of {len({take.actor for take in takes})} actors ({full})")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InputError as error:
        sys.exit(f"{Path(__file__).name}: error: {error}")

"""The text files of IEMOCAP: labels (EmoEvaluation) and words (transcriptions) of one dialog.

Only lines that are read can be wrong: raters' lines, remarks without an id and ids that nobody labelled are passed by.
"""

import re
from collections.abc import Iterable
from math import isfinite
from pathlib import Path

from espnet_ser.data.lists import text_lines
from espnet_ser.errors import unknown_name
from espnet_ser.utils.files import read_regular

LABELS = ("neu", "hap", "exc", "sad", "ang", "fru", "fea", "sur", "dis", "oth", "xxx")

UTTERANCE = re.compile(r"(?P<dialog>Ses0[1-5][FM]_(?:impro|script)\w+)_(?P<letter>[FM])(?:\d{3}|XX\d)", re.ASCII)
"""An utterance id of the corpus: its dialog, and the letter of who speaks."""

_DIALOG = re.compile(r"Ses0([1-5])([FM])_((?:impro|script)\w+)", re.ASCII | re.IGNORECASE)
_SHOWN_CHARACTERS = 120  # of a malformed line
_LABELLED_TURN = re.compile(r"Ses0[1-5][FM]_\w+_[FM](?:\d{3}|XX\d)\s+[a-z]{3}\s", re.ASCII)
_NUMBER = r"\s*(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*"
_LABEL_LINE = re.compile(
    rf"\[{_NUMBER}-{_NUMBER}\]\s*(?P<utt>\S+)\s+(?P<label>\S+)\s*\[{_NUMBER},{_NUMBER},{_NUMBER}\]\s*", re.ASCII
)
_NUMBERS = {"start_s": 1, "end_s": 2, "valence": 5, "activation": 6, "dominance": 7}  # -> group of _LABEL_LINE
_TRANSCRIPT_LINE = re.compile(r"(?P<utt>Ses\w+)\s*\[[\d.\s-]+\]\s*:(?P<words>.*)", re.ASCII)


def dialog_name(name: str) -> str | None:
    """The dialog that a file or folder is called after, as the corpus spells it; None for any other name.

    >>> dialog_name("SES01F_IMPRO01")
    'Ses01F_impro01'
    """
    match = _DIALOG.fullmatch(name)
    return f"Ses0{match[1]}{match[2].upper()}_{match[3].lower()}" if match else None


def read_labels(path: Path, problems: list[str]) -> dict[str, dict]:
    """Utterance id -> its label, times and ratings, from a dialog's EmoEvaluation file."""
    dialog = dialog_name(path.stem) or path.stem
    labelled: dict[str, dict] = {}
    first_line: dict[str, int] = {}
    for number, line in _read_lines(path, problems):
        where = f"{path}:{number}"
        if not line.startswith("["):
            if f"{dialog}_" in line and _LABELLED_TURN.search(line):
                problems.append(
                    f"{where}: malformed label line {_shown(line)}; a label line begins with [: copy the file again"
                )
            continue
        match = _LABEL_LINE.fullmatch(line)
        if fault := _not_utf8(line):
            problems.append(f"{where}: {fault}")
            continue
        if not match or not all(isfinite(float(match[group])) for group in _NUMBERS.values()):
            problems.append(
                f"{where}: malformed label line {_shown(line)}; expected [start - end] id label [v, a, d]: copy the file again"
            )
            continue
        utt_id, label = match["utt"], match["label"]
        id_match = UTTERANCE.fullmatch(utt_id)
        if not id_match or id_match["dialog"] != dialog:
            problems.append(f"{where}: {utt_id!r} does not belong to dialog {dialog}; copy the file again, or take it out")
        elif label not in LABELS:
            problems.append(str(unknown_name("label", label, LABELS, where=where)))
        elif utt_id in labelled:
            problems.append(
                f"{where}: duplicate id {utt_id}, already labelled in line {first_line[utt_id]}; copy the file again"
            )
        else:
            first_line[utt_id] = number
            labelled[utt_id] = {"label": label} | {name: float(match[group]) for name, group in _NUMBERS.items()}
    return labelled


def read_transcripts(path: Path, wanted: Iterable[str], problems: list[str]) -> dict[str, str]:
    """Utterance id -> raw words from one transcription file; lines of no wanted id (``M: ...``, XX ids) are passed by."""
    wanted = set(wanted)
    if not path.is_file():
        problems.append(
            f"{path}: missing; {len(wanted)} utterances of this dialog have a label but no transcript: copy it again"
        )
        return {}
    words: dict[str, str] = {}
    first_line: dict[str, int] = {}
    for number, line in _read_lines(path, problems):
        line = line.strip()
        utt_id = re.split(r"[\s\[:]", line, maxsplit=1)[0]
        if utt_id not in wanted:
            continue
        where = f"{path}:{number}"
        match = _TRANSCRIPT_LINE.fullmatch(line)
        text = match["words"].strip() if match else ""
        if fault := _not_utf8(line):
            problems.append(f"{where}: {fault}")
        elif not match:
            problems.append(
                f"{where}: malformed transcript line {_shown(line)}; expected id [start-end]: words; copy the file again"
            )
        elif words.get(utt_id, text) != text:
            problems.append(f"{where}: duplicate id {utt_id}, with other words in line {first_line[utt_id]}; take one out")
        words.setdefault(utt_id, text)
        first_line.setdefault(utt_id, number)
    problems += [
        f"{path}: no transcript for {utt_id}, which has a label; copy the file again"
        for utt_id in sorted(wanted - words.keys())
    ]
    return words


def _read_lines(path: Path, problems: list[str]) -> list[tuple[int, str]]:
    """The lines of a text file with their numbers from 1; bytes that are not UTF-8 are kept as surrogates."""
    try:
        content = read_regular(path)
    except OSError as error:
        problems.append(f"{path}: cannot be read: {error.strerror}; copy the release again")
        return []
    if b"\0" in content:  # one problem, not one in every line
        problems.append(f"{path}: not text in UTF-8: it holds NUL bytes; convert the file or copy the release again")
        return []
    return [(number, raw.decode("utf-8", errors="surrogateescape")) for number, raw in text_lines(content)]


def _not_utf8(line: str) -> str:
    """What is wrong with a line that was not UTF-8, and what to do; ``''`` for any other."""
    raw = line.encode("utf-8", errors="surrogateescape")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return (
            f"byte {error.start + 1} ({raw[error.start]:#04x}) is not UTF-8; convert the file, with iconv -f windows-1252 -t "
            "utf-8 perhaps"
        )
    return ""


def _shown(line: str) -> str:
    return repr(line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]}...")

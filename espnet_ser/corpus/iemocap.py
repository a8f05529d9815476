"""An IEMOCAP release on disk -> one checked record per labelled utterance.

Layout: ``Session<n>/dialog/EmoEvaluation/<dialog>.txt`` (labels), ``Session<n>/dialog/transcriptions/<dialog>.txt`` (words) and
``Session<n>/sentences/wav/<dialog>/<utterance>.wav``. Names that begin with a dot (macOS leaves such copies) are ignored.
"""

import re
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from math import isfinite
from multiprocessing import get_context
from pathlib import Path

from tqdm import tqdm

from espnet_ser.data.audio import MIN_SAMPLES, SAMPLE_RATE, AudioInfo, probe_audio
from espnet_ser.data.lists import text_lines
from espnet_ser.errors import CorpusError, InputError, unknown_name
from espnet_ser.files import read_regular

SESSIONS = (1, 2, 3, 4, 5)
LABELS = ("neu", "hap", "exc", "sad", "ang", "fru", "fea", "sur", "dis", "oth", "xxx")
EMOTIONS = ("happy", "sad", "angry", "neutral")
"""The four classes, in the order of every table."""

_EMOTION_OF = {"hap": "happy", "exc": "happy", "sad": "sad", "ang": "angry", "neu": "neutral"}
_STYLE_OF = {"impro": "improvised", "script": "scripted"}
_RELEASE_NAME = "IEMOCAP_full_release"
_HOW_TO_GET = (
    "IEMOCAP is given out by USC on request (https://sail.usc.edu/iemocap); give the folder that holds Session1 to Session5, "
    f"or its parent if the folder is called {_RELEASE_NAME}"
)

_DIALOG = re.compile(r"Ses0(?P<session>[1-5])[FM]_(?P<kind>impro|script)\w+", re.ASCII)
_UTTERANCE = re.compile(r"(?P<dialog>Ses0[1-5][FM]_(?:impro|script)\w+)_(?P<letter>[FM])(?:\d{3}|XX\d)", re.ASCII)
_SHOWN_CHARACTERS = 120  # of a malformed line
_LABELLED_TURN = re.compile(r"Ses0[1-5][FM]_\w+_[FM](?:\d{3}|XX\d)\s+[a-z]{3}\s", re.ASCII)
_NUMBER = r"(-?\d+(?:\.\d+)?)"
_LABEL_LINE = re.compile(
    rf"\[{_NUMBER} - {_NUMBER}\]\s+(?P<utt>\S+)\s+(?P<label>\S+)\s+\[{_NUMBER},\s*{_NUMBER},\s*{_NUMBER}\]\s*", re.ASCII
)
_TRANSCRIPT_LINE = re.compile(r"(?P<utt>Ses\w+)\s*\[[\d.\s-]+\]\s*:(?P<words>.*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Utterance:
    """One labelled utterance of the corpus.

    Attributes:
        utt_id: The corpus's own id: ``Ses01F_impro01_M003``.
        session: 1 to 5.
        dialog: ``Ses01F_impro01``; the letter in it says who wore the motion-capture markers, not who speaks.
        speaker: ``Ses01_M``: the session and the letter of the id's last field.
        gender: ``'f'`` or ``'m'``.
        style: ``'improvised'`` or ``'scripted'``.
        label: The raw label, one of :data:`LABELS`.
        start_s: Where it begins in the dialog, in seconds.
        end_s: Where it ends.
        valence: Mean rating, nominally 1 (negative) to 5.
        activation: Mean rating, nominally 1 (calm) to 5.
        dominance: Mean rating, nominally 1 (weak) to 5.
        transcript: The words as the corpus has them, tags included.
        wav: Its audio file.
        num_samples: Its length at 16 kHz, whatever the file's own rate.
        sample_rate: The file's own rate, in Hz.
        sha256: Of the audio file's bytes, in hex.
        samples_sha256: Of its samples; from :func:`espnet_ser.data.audio.hash_samples`.
    """

    utt_id: str
    session: int
    dialog: str
    speaker: str
    gender: str
    style: str
    label: str
    start_s: float
    end_s: float
    valence: float
    activation: float
    dominance: float
    transcript: str
    wav: Path
    num_samples: int
    sample_rate: int
    sha256: str
    samples_sha256: str = ""

    @property
    def kaldi_id(self) -> str:
        """The id with the speaker's in front, so that both sort alike: ``Ses01_M-Ses01F_impro01_M003``."""
        return f"{self.speaker}-{self.utt_id}"

    @property
    def emotion(self) -> str | None:
        """Its class among :data:`EMOTIONS` (``hap`` and ``exc`` are both happy), or None."""
        return _EMOTION_OF.get(self.label)

    @property
    def duration_s(self) -> float:
        """Its length in seconds."""
        return self.num_samples / SAMPLE_RATE


def read_release(folder: Path | str, nj: int = 2) -> list[Utterance]:
    """Reads and checks a whole release: labels, transcripts, and every labelled utterance's audio.

    Args:
        folder: The release, or the folder that holds ``IEMOCAP_full_release``.
        nj: Processes that scan the audio; 1 scans in this one.

    Returns:
        All labelled utterances, sorted by id.

    Raises:
        CorpusError: Lists every problem found, each with its file and line.
    """
    release = find_release(folder)
    problems: list[str] = []
    drafts: list[dict] = []
    for session in SESSIONS:
        session_folder = release / f"Session{session}"
        if not session_folder.is_dir():
            problems.append(f"{session_folder}: missing; copy the release again")
            continue
        drafts += _read_session(session_folder, session, problems)
    drafts.sort(key=lambda draft: draft["utt_id"])
    infos = scan_audio([draft["wav"] for draft in drafts], nj)
    problems += [info for info in infos if isinstance(info, str)]
    if problems:
        raise CorpusError(release, problems)
    return [
        Utterance(
            **draft,
            num_samples=info.num_samples,
            sample_rate=info.sample_rate,
            sha256=info.sha256,
            samples_sha256=info.samples_sha256,
        )
        for draft, info in zip(drafts, infos, strict=True)
    ]


def find_release(folder: Path | str) -> Path:
    """The release in ``folder``: itself, or the ``IEMOCAP_full_release`` below it.

    Raises:
        CorpusError: There is none; says where to get one and what it looks like.
    """
    folder = Path(folder).absolute()
    for candidate in (folder, folder / _RELEASE_NAME):
        if any((candidate / f"Session{session}").is_dir() for session in SESSIONS):
            return candidate
    fault = "no Session1 to Session5 in it" if folder.is_dir() else "not a folder" if folder.exists() else "no such folder"
    raise CorpusError(folder, [f"{fault}: {_HOW_TO_GET}"])


def _read_session(folder: Path, session: int, problems: list[str]) -> list[dict]:
    """The session's labelled utterances, without what only the audio tells; what is wrong goes to ``problems``."""
    label_folder = folder / "dialog" / "EmoEvaluation"
    drafts: list[dict] = []
    num_labelled = 0
    for path in sorted(label_folder.glob("Ses*.txt")):
        match = _DIALOG.fullmatch(path.stem)
        if not match or int(match["session"]) != session:
            problems.append(f"{path}: not a dialog of session {session}; expected a name like Ses0{session}F_impro01.txt")
            continue
        num_problems = len(problems)
        labelled = read_labels(path, problems)
        num_labelled += len(labelled)
        if not labelled and len(problems) == num_problems:
            problems.append(f"{path}: no labelled utterance in it; copy the release again")
        transcripts = read_transcripts(folder / "dialog" / "transcriptions" / path.name, labelled, problems)
        wav_folder = folder / "sentences" / "wav" / path.stem
        if not wav_folder.is_dir():
            problems.append(f"{wav_folder}: missing; {len(labelled)} utterances of this dialog have a label but no audio")
            continue
        for utt_id, fields in labelled.items():
            letter = _UTTERANCE.fullmatch(utt_id)["letter"]
            drafts.append(
                fields
                | {
                    "utt_id": utt_id,
                    "session": session,
                    "dialog": path.stem,
                    "speaker": f"Ses0{session}_{letter}",
                    "gender": letter.lower(),
                    "style": _STYLE_OF[match["kind"]],
                    "transcript": transcripts.get(utt_id, ""),
                    "wav": wav_folder / f"{utt_id}.wav",
                }
            )
    if num_labelled == 0:
        problems.append(f"{label_folder}: no labelled utterance; expected files like Ses0{session}F_impro01.txt")
        return drafts
    for wav_folder in sorted((folder / "sentences" / "wav").glob("Ses*")):
        if _DIALOG.fullmatch(wav_folder.name) and not (label_folder / f"{wav_folder.name}.txt").is_file():
            problems.append(f"{label_folder / wav_folder.name}.txt: missing; the audio of this dialog has no labels")
    return drafts


def read_labels(path: Path, problems: list[str]) -> dict[str, dict]:
    """Utterance id -> its label, times and ratings, from one EmoEvaluation file."""
    labelled: dict[str, dict] = {}
    first_line: dict[str, int] = {}
    for number, line in _read_lines(path, problems):
        if not line.startswith("["):
            if f"{path.stem}_" in line and _LABELLED_TURN.search(line):
                problems.append(f"{path}:{number}: malformed label line {_shown(line)}; a label line begins with [")
            continue
        match = _LABEL_LINE.fullmatch(line)
        if not match or not all(isfinite(float(match[group])) for group in (1, 2, 5, 6, 7)):
            problems.append(f"{path}:{number}: malformed label line {_shown(line)}; expected [start - end] id label [v, a, d]")
            continue
        utt_id, label = match["utt"], match["label"]
        id_match = _UTTERANCE.fullmatch(utt_id)
        if not id_match or id_match["dialog"] != path.stem:
            problems.append(f"{path}:{number}: {utt_id!r} does not belong to dialog {path.stem}")
        elif label not in LABELS:
            problems.append(str(unknown_name("label", label, LABELS, where=f"{path}:{number}")))
        elif utt_id in labelled:
            problems.append(f"{path}:{number}: duplicate id {utt_id}, already labelled in line {first_line[utt_id]}")
        else:
            start_s, end_s, valence, activation, dominance = (float(match[group]) for group in (1, 2, 5, 6, 7))
            first_line[utt_id] = number
            labelled[utt_id] = {
                "label": label,
                "start_s": start_s,
                "end_s": end_s,
                "valence": valence,
                "activation": activation,
                "dominance": dominance,
            }
    return labelled


def read_transcripts(path: Path, wanted: Iterable[str], problems: list[str]) -> dict[str, str]:
    """Utterance id -> raw words from one transcription file; lines of no wanted id (``M: ...``, XX ids) are passed by."""
    wanted = set(wanted)
    if not path.is_file():
        problems.append(f"{path}: missing; {len(wanted)} utterances of this dialog have a label but no transcript")
        return {}
    words: dict[str, str] = {}
    first_line: dict[str, int] = {}
    for number, line in _read_lines(path, problems):
        utt_id = re.split(r"[\s\[:]", line, maxsplit=1)[0]
        if utt_id not in wanted:
            continue
        match = _TRANSCRIPT_LINE.fullmatch(line)
        text = match["words"].strip() if match else ""
        if not match:
            problems.append(f"{path}:{number}: malformed transcript line {_shown(line)}; expected id [start-end]: words")
        elif words.get(utt_id, text) != text:
            problems.append(f"{path}:{number}: duplicate id {utt_id}, with other words in line {first_line[utt_id]}")
        words.setdefault(utt_id, text)
        first_line.setdefault(utt_id, number)
    problems += [f"{path}: no transcript for {utt_id}, which has a label" for utt_id in sorted(wanted - words.keys())]
    return words


def _read_lines(path: Path, problems: list[str]) -> list[tuple[int, str]]:
    """The lines of a text file with their numbers from 1; those that are not UTF-8 go to ``problems`` too."""
    try:
        content = read_regular(path)
    except OSError as error:
        problems.append(f"{path}: cannot be read: {error.strerror}; copy the release again")
        return []
    if b"\0" in content:  # one problem, not one in every line
        problems.append(f"{path}: not text in UTF-8: it holds NUL bytes; convert the file or copy the release again")
        return []
    lines = []
    for number, raw in text_lines(content):
        try:
            lines.append((number, raw.decode("utf-8")))
        except UnicodeDecodeError as error:
            problems.append(f"{path}:{number}: byte {error.start + 1} ({raw[error.start]:#04x}) is not UTF-8; convert the file")
            lines.append((number, raw.decode("utf-8", errors="replace")))
    return lines


def _shown(line: str) -> str:
    return repr(line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]}...")


def scan_audio(paths: list[Path], nj: int) -> list[AudioInfo | str]:
    """Each file's measures, or what is wrong with it, in order."""
    bar = partial(tqdm, total=len(paths), desc="audio", unit="file", disable=None)
    if nj <= 1 or len(paths) < 100:
        return list(bar(map(_probe, paths)))
    try:
        with ProcessPoolExecutor(nj, mp_context=get_context("spawn")) as pool:
            return list(bar(pool.map(_probe, paths, chunksize=32)))
    except BrokenProcessPool as error:
        raise InputError("a process that read audio was killed, for want of memory perhaps; run again with --nj 1") from error


def _probe(path: Path) -> AudioInfo | str:
    try:
        info = probe_audio(path)
    except InputError as error:
        return str(error)
    if info.num_samples < MIN_SAMPLES:
        return f"{path}: {info.num_samples} samples at 16 kHz, too short: wav2vec 2.0 wants {MIN_SAMPLES} for its first frame"
    return info

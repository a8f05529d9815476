"""An IEMOCAP release on disk -> one checked record per labelled utterance.

Layout: ``Session<n>/dialog/EmoEvaluation/<dialog>.txt`` (labels), ``Session<n>/dialog/transcriptions/<dialog>.txt`` (words) and
``Session<n>/sentences/wav/<dialog>/<utterance>.wav``, in capitals or not, as copies through other file systems have it. Names
that begin with a dot (macOS leaves such copies) are ignored, and so is whatever else lies there.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from tqdm import tqdm

from espnet_ser.corpus.iemocap_files import UTTERANCE, dialog_name, read_labels, read_transcripts
from espnet_ser.data.audio import MIN_SAMPLES, SAMPLE_RATE, AudioInfo, probe_audio
from espnet_ser.data.sound_file import Segment
from espnet_ser.errors import CorpusError, InputError
from espnet_ser.utils.machine import can_share_work

SESSIONS = (1, 2, 3, 4, 5)
EMOTIONS = ("happy", "sad", "angry", "neutral")  # the four classes, in the order of every table

_EMOTION_OF = {"hap": "happy", "exc": "happy", "sad": "sad", "ang": "angry", "neu": "neutral"}
_RELEASE_NAME = "IEMOCAP_full_release"
_HOW_TO_GET = (
    "IEMOCAP is given out by USC on request (https://sail.usc.edu/iemocap); give the folder that holds Session1 to Session5, "
    "or the one above it"
)


@dataclass(frozen=True, slots=True)
class Utterance:
    """One labelled utterance of the corpus."""

    utt_id: str  # the corpus's own id: ``Ses01F_impro01_M003``
    session: int  # 1 to 5
    dialog: str  # ``Ses01F_impro01``; the letter in it says who wore the motion-capture markers, not who speaks
    speaker: str  # ``Ses01_M``: the session and the letter of the id's last field
    gender: str  # ``'f'`` or ``'m'``
    style: str  # ``'improvised'`` or ``'scripted'``
    label: str  # the raw label, one of :data:`LABELS`
    start_s: float  # where it begins in the dialog, in seconds
    end_s: float  # where it ends
    valence: float  # mean rating, nominally 1 (negative) to 5
    activation: float  # mean rating, nominally 1 (calm) to 5
    dominance: float  # mean rating, nominally 1 (weak) to 5
    transcript: str  # the words as the corpus has them, tags included
    wav: Path  # its audio file
    num_samples: int  # its length at 16 kHz, whatever the file's own rate
    sample_rate: int  # the file's own rate, in Hz
    sha256: str  # of the audio file's bytes, in hex
    samples_sha256: str = ""  # of its samples; from :func:`espnet_ser.data.audio.hash_samples`

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
    """Reads and checks a whole release: labels, transcripts, and every labelled utterance's audio. ``folder``: the release, or
    the folder that holds ``IEMOCAP_full_release``; ``nj``: processes that scan the audio; 1 scans in this one. Returns all
    labelled utterances, sorted by id. Raises CorpusError: lists every problem found, each with its file and line.
    """
    release = find_release(folder)
    problems: list[str] = []
    drafts: list[dict] = []
    for session in SESSIONS:
        session_folder = _named(release, f"Session{session}")
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
    """The release in ``folder``: itself, or the one up to two levels below it; of several, ``IEMOCAP_full_release``. Raises
    CorpusError: there is none, or there are several; says where to get one and what it looks like.
    """
    folder = Path(folder).absolute()
    candidates = [folder]
    for _ in range(3):
        releases = [candidate for candidate in candidates if _holds_sessions(candidate)]
        releases = [release for release in releases if release.name == _RELEASE_NAME] or releases
        if len(releases) == 1:
            return releases[0]
        if releases:
            raise CorpusError(folder, [f"{len(releases)} releases in it: give one, {' or '.join(map(str, releases))}"])
        candidates = [parent / name for parent in candidates for name in _listed(parent) if (parent / name).is_dir()]
    fault = "no Session1 to Session5 in it" if folder.is_dir() else "not a folder" if folder.exists() else "no such folder"
    raise CorpusError(folder, [f"{fault}: {_HOW_TO_GET}"])


def _holds_sessions(folder: Path) -> bool:
    names = {name.lower() for name in _listed(folder)}
    return any(f"session{session}" in names and _named(folder, f"Session{session}").is_dir() for session in SESSIONS)


def _listed(folder: Path) -> list[str]:
    """The names in a folder, sorted; none where it cannot be read, and none that is hidden."""
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError:
        return []


def _named(folder: Path, *names: str) -> Path:
    """The path of these names below a folder, in other capitals where those are what is there."""
    for name in names:
        exact = folder / name
        if not exact.exists():
            exact = next((folder / other for other in _listed(folder) if other.lower() == name.lower()), exact)
        folder = exact
    return folder


def _dialog_files(folder: Path, suffix: str) -> dict[str, Path]:
    """Name of a dialog -> the file or folder in ``folder`` that is called so, sorted; what is called otherwise is passed by."""
    found: dict[str, Path] = {}
    for path in (folder / name for name in _listed(folder)):
        name = dialog_name(path.stem if suffix else path.name)
        if name and path.suffix.lower() == suffix and (name not in found or path.name == name + suffix):
            found[name] = path
    return dict(sorted(found.items()))


def _read_session(folder: Path, session: int, problems: list[str]) -> list[dict]:
    """The session's labelled utterances, without what only the audio tells; what is wrong goes to ``problems``."""
    label_folder, transcript_folder = _named(folder, "dialog", "EmoEvaluation"), _named(folder, "dialog", "transcriptions")
    audio_folder = _named(folder, "sentences", "wav")
    label_files = _dialog_files(label_folder, ".txt")
    drafts: list[dict] = []
    num_labelled = 0
    for dialog, path in label_files.items():
        if dialog[4] != str(session):
            problems.append(f"{path}: not a dialog of session {session}; move it to Session{dialog[4]}, or take it out")
            continue
        num_problems = len(problems)
        labelled = read_labels(path, problems)
        num_labelled += len(labelled)
        if not labelled:
            if len(problems) == num_problems:
                problems.append(f"{path}: no labelled utterance in it; copy the release again")
            continue
        transcripts = read_transcripts(_named(transcript_folder, f"{dialog}.txt"), labelled, problems)
        wav_folder = _named(audio_folder, dialog)
        if not wav_folder.is_dir():
            problems.append(
                f"{wav_folder}: missing; {len(labelled)} utterances of this dialog have a label but no audio: copy it again"
            )
            continue
        for utt_id, fields in labelled.items():
            letter = UTTERANCE.fullmatch(utt_id)["letter"]
            drafts.append(
                fields
                | {
                    "utt_id": utt_id,
                    "session": session,
                    "dialog": dialog,
                    "speaker": f"Ses0{session}_{letter}",
                    "gender": letter.lower(),
                    "style": "scripted" if "_script" in dialog else "improvised",
                    "transcript": transcripts.get(utt_id, ""),
                    "wav": _named(wav_folder, f"{utt_id}.wav"),
                }
            )
    if num_labelled == 0:
        problems.append(f"{label_folder}: no labelled utterance; expected files like Ses0{session}F_impro01.txt")
        return drafts
    # A folder of audio that no text knows of is not the corpus's: a backup, say.
    unlabelled = (_dialog_files(audio_folder, "").keys() & _dialog_files(transcript_folder, ".txt").keys()) - label_files.keys()
    problems += [
        f"{label_folder / dialog}.txt: missing; the audio of this dialog has no labels" for dialog in sorted(unlabelled)
    ]
    return drafts


def scan_audio(paths: list[Path], nj: int, segments: Sequence[Segment | None] | None = None) -> list[AudioInfo | str]:
    """Each file's measures (or each segment's, of the file in its place), or what is wrong with it, in order."""
    segments = [None] * len(paths) if segments is None else segments
    bar = partial(tqdm, total=len(paths), desc="audio", unit="file", disable=None)
    if nj <= 1 or len(paths) < 100 or not can_share_work(nj):
        return list(bar(map(_probe, paths, segments)))
    try:
        with ProcessPoolExecutor(nj, mp_context=get_context("spawn")) as pool:
            return list(bar(pool.map(_probe, paths, segments, chunksize=32)))
    except BrokenProcessPool as error:
        raise InputError("a process that read audio was killed, for want of memory perhaps; run again with --nj 1") from error


def _probe(path: Path, segment: Segment | None) -> AudioInfo | str:
    try:
        info = probe_audio(path, segment)
    except InputError as error:
        return str(error)
    if info.num_samples < MIN_SAMPLES:
        name = path if segment is None else f"{path}, from {segment.start_s:g} s"
        return f"{name}: {info.num_samples} samples at 16 kHz, too short: wav2vec 2.0 wants {MIN_SAMPLES} for its first frame"
    return info

"""Kaldi data directories: one small text file per property, keyed by utterance, all over the same utterances.

Every file is sorted in the C locale (which is code point order) and newline-terminated; ``utt2spk`` is also sorted by speaker,
so speaker ids are prefixes of utterance ids. ``text`` may hold a key alone: an utterance without a word.
"""

import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as data_field
from math import nan
from pathlib import Path
from typing import NamedTuple

from espnet_ser.characters import name_fault, text_fault
from espnet_ser.data.lists import Table, composed, read_table
from espnet_ser.data.sound_archive import split_entry
from espnet_ser.data.sound_file import Segment
from espnet_ser.errors import InputError
from espnet_ser.tasks_table import MAIN_TASK, TASKS, TaskSpec, of_utterances


@dataclass(frozen=True, slots=True)
class Example:
    """One utterance of a data directory.

    Attributes:
        utt: Utterance id, the speaker's id first: ``Ses01_F-Ses01F_impro01_F000``.
        speaker: Speaker id: ``Ses01_F``.
        session: ``'1'`` to ``'5'``.
        gender: ``'f'`` or ``'m'``; ``''`` where the corpus does not say.
        emotion: The class to predict: ``happy``, ``sad``, ``angry``, ``neutral``, or the raw label of anything else.
        label: The raw label, before classes were merged: ``hap``, ``exc``, ...
        style: ``'improvised'`` or ``'scripted'``, or another corpus's word for a manner of speaking.
        text: Normalised transcript; empty where no word is spoken.
        wav: The audio file, or an entry of an archive (``a.ark:1234``).
        num_samples: Its length at 16 kHz.
        sha256: What the audio is known by; from :func:`espnet_ser.data.audio.audio_sha256`.
        samples_sha256: Of its samples, in hex; from :func:`espnet_ser.data.audio.hash_samples`.
        segment: Which part of the file it is; None for all of it.
        targets: Of tasks whose field is none of the above: field -> what its file says.

    A field whose file is optional and absent is ``''``.
    """

    utt: str
    speaker: str
    session: str
    gender: str
    emotion: str
    label: str
    style: str
    text: str
    wav: Path
    num_samples: int
    sha256: str
    samples_sha256: str = ""
    segment: Segment | None = None
    targets: Mapping[str, str] = data_field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, values: Mapping[str, object]) -> "Example":
        """From its fields and further targets, all by name."""
        own = cls.__slots__
        further = {name: str(value) for name, value in values.items() if name not in own}
        return cls(**{name: value for name, value in values.items() if name in own}, targets=further)

    def value(self, name: str) -> object:
        """A field, or a further target, by name; ``''`` where there is none."""
        return getattr(self, name) if name in self.__slots__ else self.targets.get(name, "")

    def target(self, task: str) -> str:
        """What a task is to predict; ``''`` where the corpus does not say."""
        return str(self.value(TASKS[task].field))

    def reference(self, task: str) -> str | float:
        """What a task's prediction is compared with: the target, as a number with the six decimals that files keep."""
        target = self.target(task)
        return round(float(target), 6) if TASKS[task].kind == "regression" else target


# Field -> its file. spk2utt is required too, and with utt2gender also spk2gender.
_REQUIRED = {
    "wav": "wav.scp",
    "speaker": "utt2spk",
    TASKS[MAIN_TASK].field: TASKS[MAIN_TASK].file,
    "num_samples": "utt2num_samples",
}
_FURTHER = {"label": "utt2label", "session": "utt2session", "sha256": "utt2sha256", "samples_sha256": "utt2samples_sha256"}


def _optional() -> dict[str, str]:
    return {spec.field: spec.file for spec in TASKS.values() if spec.name != MAIN_TASK} | _FURTHER


def speaker_files() -> list[TaskSpec]:
    """The tasks whose target a file may give by speaker."""
    return [spec for spec in TASKS.values() if spec.speaker_file]


_SEGMENT = re.compile(r"(\S+) ([0-9.eE+-]{1,30}) ([0-9.eE+-]{1,30})")
_LONGEST_S = 1e6


def write_datadir(folder: Path | str, examples: Iterable[Example]) -> None:
    """Writes a data directory; the folder is made if need be, and files of ours already there are replaced. An optional field
    that is empty in all examples leaves no file (``text`` is always written). Raises InputError: there is no example, an id is
    not unique, not a single word or not led by its speaker, a field is missing in some examples, or an audio path cannot be
    written down.
    """
    folder = Path(folder)
    examples = sorted(examples, key=lambda example: example.utt)
    _check_writable(folder, examples)
    folder.mkdir(parents=True, exist_ok=True)
    for field, name in (_REQUIRED | _optional()).items():
        values = {example.utt: str(example.value(field)) for example in examples}
        if field != "text" and not any(values.values()):
            (folder / name).unlink(missing_ok=True)
            continue
        _write_table(folder / name, values)
    (folder / "segments").unlink(missing_ok=True)
    if segments := {example.utt: example.segment for example in examples if example.segment}:
        _write_table(folder / "segments", {utt: f"{s.recording} {s.start_s!r} {s.end_s!r}" for utt, s in segments.items()})
        _write_table(folder / "wav.scp", {e.segment.recording: str(e.wav) for e in examples})
    speaker_to_utts: dict[str, list[str]] = {}
    for example in examples:
        speaker_to_utts.setdefault(example.speaker, []).append(example.utt)
    _write_table(folder / "spk2utt", {speaker: " ".join(utts) for speaker, utts in speaker_to_utts.items()})
    for spec in speaker_files():
        (folder / spec.speaker_file).unlink(missing_ok=True)
        if by_speaker := {example.speaker: target for example in examples if (target := example.target(spec.name))}:
            _write_table(folder / spec.speaker_file, by_speaker)


def read_datadir(folder: Path | str) -> list[Example]:
    """Reads a data directory.

    Returns:
        Its utterances, sorted by id. Without ``utt2gender`` the gender is that of ``spk2gender``; without either, ``''``.

    Raises:
        InputError: A required file is missing, a line is malformed (the message names file and line), or the files
            do not list the same utterances.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such data directory; run stage 1 to make it")
    tables = {field: read_table(folder / name) for field, name in _REQUIRED.items()}
    files = _REQUIRED | _optional()
    tables |= {field: read_table(folder / name) for field, name in files.items() if os.path.lexists(folder / name)}
    audio = read_wav_scp(folder / "wav.scp")
    listing = folder / ("segments" if os.path.lexists(folder / "segments") else "wav.scp")
    tables["wav"] = {utt: (place.line, "") for utt, place in audio.items()}
    for field, table in tables.items():
        _check_same_keys(listing, tables["wav"], folder / files[field], table)
    speaker_to_utts = read_table(folder / "spk2utt")
    speakers = {speaker: (number, "") for number, speaker in tables["speaker"].values()}
    _check_same_keys(folder / "utt2spk", speakers, folder / "spk2utt", speaker_to_utts)
    _check_inverse(folder, tables["speaker"], speaker_to_utts)
    of_speakers: dict[str, Table] = {}
    for spec in speaker_files():
        if spec.field in tables or os.path.lexists(folder / spec.speaker_file):
            by_speaker = read_table(folder / spec.speaker_file)
            _check_same_keys(folder / "utt2spk", speakers, folder / spec.speaker_file, by_speaker)
            check_targets(folder / spec.speaker_file, by_speaker, spec)
            of_speakers[spec.name] = {utt: by_speaker[speaker] for utt, (_, speaker) in tables["speaker"].items()}
            tables.setdefault(spec.field, of_speakers[spec.name])
    for spec in TASKS.values():
        check_targets(folder / spec.file, tables.get(spec.field, {}), spec, of_speakers.get(spec.name))
    examples = []
    for utt in sorted(tables["wav"]):
        values = {field: tables[field][utt][1] if field in tables else "" for field in files}
        number, count = tables["num_samples"][utt]
        if not re.fullmatch("[0-9]{1,9}", count, re.ASCII) or int(count) == 0:
            raise InputError(f"{folder / 'utt2num_samples'}:{number}: {count!r} is not a number of samples")
        examples.append(Example.of({"utt": utt, **values, **audio[utt].fields(), "num_samples": int(count)}))
    return examples


class Place(NamedTuple):
    """Where an utterance's audio lies."""

    line: int  # of the list that names it
    wav: Path  # as of :class:`Example`
    segment: Segment | None  # as of :class:`Example`

    def fields(self) -> dict[str, object]:
        """As fields of an :class:`Example`."""
        return {"wav": self.wav, "segment": self.segment}


def read_wav_scp(path: Path | str) -> dict[str, Place]:
    """Reads a ``wav.scp``, whatever it is called, and the ``segments`` next to one that is called so. Returns utterance id ->
    where its audio lies, in the order of the list. Raises InputError: it lists nothing, a line is malformed (the message names
    file and line), an id is there twice, or a command stands where a path should.
    """
    path = Path(path)
    table = read_table(path, "wav.scp")
    if not table:
        raise InputError(f"{path}: lists no audio; a line is an utterance id and a path")
    wavs = {key: audio_path(path, number, value) for key, (number, value) in table.items()}
    segments = path.with_name("segments")
    if path.name != "wav.scp" or not os.path.lexists(segments):
        return {utt: Place(table[utt][0], wav, None) for utt, wav in wavs.items()}
    places = {}
    for utt, (number, value) in read_table(segments).items():
        match = _SEGMENT.fullmatch(value)
        start_s, end_s = (_seconds(match[2]), _seconds(match[3])) if match else (0, 0)
        if match is None or not (0 <= start_s < end_s < _LONGEST_S or (start_s >= 0 and end_s == -1)):
            raise InputError(
                f"{segments}:{number}: {value!r}, expected a recording and the seconds from which to which it is meant (-1 for "
                f"its end)"
            )
        if composed(match[1]) not in wavs:
            raise InputError(f"{segments}:{number}: recording {match[1]!r} is not in {path.name}; add it there")
        places[utt] = Place(number, wavs[match[1]], Segment(match[1], start_s, end_s))
    if not places:
        raise InputError(f"{segments}: lists no utterance; a line is an utterance id, a recording, and from and to in seconds")
    return places


def _seconds(text: str) -> float:
    """A number, or none."""
    try:
        return float(text)
    except ValueError:
        return nan


def audio_path(wav_scp: Path, number: int, path: str) -> Path:
    """What a line of ``wav.scp`` names, which nobody runs."""
    if path.endswith("|"):
        raise InputError(f"{wav_scp}:{number}: a command, not a path; decode the audio to files and list those")
    if "\0" in path:
        raise InputError(f"{wav_scp}:{number}: a NUL character in a path; make the list again")
    return on_disk(Path(path))


def on_disk(path: Path) -> Path:
    """The file, in whichever Unicode form its name and its folders' have there; the path as it is where there is none."""
    if str(path).isascii() or os.path.lexists(path):
        return path
    if entry := split_entry(path):
        return Path(f"{on_disk(entry[0])}:{entry[1]}")
    found = Path(path.anchor)
    for part in path.relative_to(path.anchor).parts:
        spellings = (part, composed(part), unicodedata.normalize("NFD", part))
        found /= next((spelling for spelling in spellings if os.path.lexists(found / spelling)), part)
    return found


def validate_datadir(folder: Path | str) -> None:
    """Checks a data directory for all that :func:`read_datadir` and Kaldi ask of one, order included. Raises InputError: the
    first fault, with file and line.
    """
    folder = Path(folder)
    if not read_datadir(folder):
        raise InputError(f"{folder}: no utterance; run stage 1 again")
    names = sorted({*_REQUIRED.values(), *_optional().values(), "spk2utt", "segments"})
    names += [spec.speaker_file for spec in speaker_files()]
    for path in (folder / name for name in names if (folder / name).exists()):
        keys = list(read_table(path))
        for number, (earlier, later) in enumerate(zip(keys, keys[1:], strict=False), start=2):
            if earlier > later:
                raise InputError(f"{path}:{number}: {later!r} comes after {earlier!r}; sort with LC_ALL=C")
        if not path.read_bytes().endswith(b"\n"):
            raise InputError(f"{path}:{len(keys)}: the last line has no newline; run stage 1 again")
    speakers = [speaker for _, speaker in read_table(folder / "utt2spk").values()]
    for number, (earlier, later) in enumerate(zip(speakers, speakers[1:], strict=False), start=2):
        if earlier > later:
            raise InputError(f"{folder / 'utt2spk'}:{number}: not sorted by speaker; run stage 1 again")


def _check_writable(folder: Path, examples: Sequence[Example]) -> None:
    if not examples:
        raise InputError(f"{folder}: no utterance to write")
    for example in examples:
        tasks = of_utterances()
        for field in ("utt", "speaker", *(TASKS[task].field for task in tasks), *_FURTHER):
            value = example.value(field)
            if (value or field in ("utt", "speaker", TASKS[MAIN_TASK].field)) and (fault := name_fault(value)):
                raise InputError(f"{folder}: {field} {value[:80]!r} of utterance {example.utt[:80]!r} {fault}; rename it")
        for task in tasks:
            if (target := example.target(task)) and (expected := TASKS[task].fault(target)):
                raise InputError(f"{folder}: {task} {target!r} of {example.utt}, expected {expected}")
        path = str(example.wav)
        if path != path.strip() or len(path.splitlines()) != 1 or path.endswith("|") or not _is_path(path):
            raise InputError(f"{folder}: wav.scp cannot hold the path {path!r}; rename the file")
        if example.text != " ".join(example.text.split()):
            raise InputError(f"{folder}: the text of {example.utt} has stray white space: {example.text!r}")
        if fault := text_fault(example.text):
            raise InputError(f"{folder}: the text of {example.utt} {fault}: {example.text!r}; write it otherwise")
        if not 0 < example.num_samples < 10**9:
            raise InputError(f"{folder}: {example.utt} has {example.num_samples} samples")
    for field in _optional().keys() - {"text"}:
        missing = [example.utt for example in examples if not example.value(field)]
        if 0 < len(missing) < len(examples):
            raise InputError(f"{folder}: {field} of {missing[0]} is missing while other utterances have one")
    segments = [example.segment for example in examples if example.segment]
    if 0 < len(segments) < len(examples):
        raise InputError(f"{folder}: some utterances are parts of recordings, and others whole files; list all in one way")
    if len({example.segment.recording for example in examples if example.segment}) != len(
        {(example.segment.recording, example.wav) for example in examples if example.segment}
    ):
        raise InputError(f"{folder}: a recording has two files")
    for earlier, later in zip(examples, examples[1:], strict=False):
        if earlier.utt == later.utt:
            raise InputError(f"{folder}: two utterances are called {later.utt!r}")
        if earlier.speaker > later.speaker:
            raise InputError(
                f"{folder}: {earlier.utt} sorts before {later.utt}, and its speaker {earlier.speaker} after {later.speaker}: "
                f"let ids begin with the speaker's and a character that sorts before all in speakers, such as -"
            )
    for spec in speaker_files():
        pairs = {(example.speaker, example.target(spec.name)) for example in examples}
        if len(pairs) != len({speaker for speaker, _ in pairs}):
            raise InputError(f"{folder}: a speaker has two {spec.name}s")


def _is_path(text: str) -> bool:
    """Whether a file may be called so: bytes that are no text are welcome, as Python spells them."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _write_table(path: Path, values: dict[str, str]) -> None:
    lines = [f"{key} {value}\n" if value else f"{key}\n" for key, value in sorted(values.items())]
    with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:  # paths may be any bytes
        file.writelines(lines)


def check_targets(path: Path, table: Table, spec: TaskSpec, of_speakers: Table | None = None) -> None:
    """Makes sure that each target is one that its task can have, and that of the utterance's speaker.

    Args:
        path: The list.
        table: Its content.
        spec: The task.
        of_speakers: What the list by speaker says of each utterance, with its line; None or empty where there is none.

    Raises:
        InputError: Names file and line.
    """
    for key, (number, target) in table.items():
        if expected := spec.fault(target):
            raise InputError(f"{path}:{number}: {spec.name} {target!r}, expected {expected}")
        line, other = of_speakers[key] if of_speakers else (number, target)
        if target != other:
            raise InputError(
                f"{path}:{number}: {key!r} has {spec.name} {target}, its speaker {other} by line {line} of {spec.speaker_file}"
            )


def _check_same_keys(first: Path, first_table: Table, second: Path, second_table: Table) -> None:
    for key, (number, _) in first_table.items():
        if key not in second_table:
            raise InputError(f"{second}: no line for {key!r}, which {first.name} has in line {number}; run stage 1 again")
    for key, (number, _) in second_table.items():
        if key not in first_table:
            raise InputError(f"{second}:{number}: {key!r} is not in {first.name}; run stage 1 again")


def _check_inverse(folder: Path, utt_to_speaker: dict, speaker_to_utts: dict) -> None:
    utts_of: dict[str, list[str]] = {}
    for utt, (_, speaker) in utt_to_speaker.items():
        utts_of.setdefault(speaker, []).append(utt)
    for speaker, (number, utts) in speaker_to_utts.items():
        if sorted(utts.split()) != sorted(utts_of[speaker]):
            raise InputError(f"{folder / 'spk2utt'}:{number}: {speaker!r} has other utterances in utt2spk; run stage 1 again")

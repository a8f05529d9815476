"""A corpus of one's own: a Kaldi data directory that says each utterance's emotion -> checked entries, and folds of them.

``wav.scp``, ``utt2spk`` and ``utt2emotion`` must be there; ``text``, ``utt2gender`` or ``spk2gender``, ``utt2style``,
``utt2session``, ``utt2label``, ``utt2fold`` and ``utt2split`` may be, and the files of further tasks
(:data:`espnet_ser.tasks_table.TASKS`). Without ``utt2session`` each speaker is a session of
their own.
"""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from espnet_ser.characters import MAX_CLASSES
from espnet_ser.corpus.folds import PARTS, Fold, make_folds, official_fold
from espnet_ser.corpus.groups import even_groups, most_folds
from espnet_ser.corpus.iemocap import scan_audio
from espnet_ser.data.audio import AudioInfo
from espnet_ser.data.datadir import Example, check_targets, read_wav_scp, speaker_files
from espnet_ser.data.lists import Table, read_table
from espnet_ser.data.sound_file import Segment
from espnet_ser.data.spelling import check_spellings
from espnet_ser.errors import CorpusError, InputError, unknown_name
from espnet_ser.tasks_table import MAIN_TASK, TASKS, TaskSpec, of_kind
from espnet_ser.utils.say import aligned

FOLDS_FILE = "utt2fold"  # which fold holds an utterance out, a whole number from 1

SPLIT_FILE = "utt2split"  # which official part an utterance is in: train, dev or test

_MOST_SHOWN = 10  # folds, or speakers, in one line
_REQUIRED = {"wav": "wav.scp", "speaker": "utt2spk", TASKS[MAIN_TASK].field: TASKS[MAIN_TASK].file}
_FURTHER = {"label": "utt2label", "session": "utt2session"}


def read_corpus(folder: Path | str, nj: int = 2) -> list[Example]:
    """Reads and checks a corpus, and measures its audio.

    A path in ``wav.scp`` that is relative is so to the current folder, as Kaldi has it. ``folder``: the data directory; ``nj``:
    processes that scan the audio; 1 scans in this one. Returns its utterances, sorted by id, each with its path absolute; a
    field whose file is absent is ``''``, but for the session (the speaker) and the raw label (the emotion). Raises InputError:
    a file is missing or malformed, asks for a command to be run, or the files do not list the same utterances; CorpusError:
    lists all that is wrong with the audio.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such data directory; egs/TEMPLATE/README.md says how to make one")
    tables = {field: _read_required(folder / name) for field, name in _REQUIRED.items()}
    files = _REQUIRED | {spec.field: spec.file for spec in TASKS.values()} | _FURTHER
    tables |= {field: read_table(folder / name) for field, name in files.items() if os.path.lexists(folder / name)}
    if not tables["wav"]:
        raise InputError(f"{folder / 'wav.scp'}: no utterance in it; list them")
    audio = read_wav_scp(folder / "wav.scp")
    listing = "segments" if os.path.lexists(folder / "segments") else "wav.scp"
    tables["wav"] = {utt: (place.line, "") for utt, place in audio.items()}
    for field, table in tables.items():
        _check_other_keys(folder / files[field], table, tables["wav"], listing)
    of_speakers = {spec.name: _of_speakers(folder / spec.speaker_file, tables["speaker"], spec) for spec in speaker_files()}
    for task, table in of_speakers.items():
        tables.setdefault(TASKS[task].field, table)
    tables.setdefault("session", tables["speaker"])
    tables.setdefault("label", tables[TASKS[MAIN_TASK].field])
    for spec in TASKS.values():
        check_targets(folder / spec.file, tables.get(spec.field, {}), spec, of_speakers.get(spec.name))
    named = [TASKS[task].field for task in of_kind("classes") if not TASKS[task].classes]
    for field in (*named, "session"):
        if field in tables and tables[field] is not tables["speaker"]:
            check_spellings((name for _, name in tables[field].values()), field, folder / files[field])
    utts = sorted(audio)
    places = [audio[utt]._replace(wav=audio[utt].wav.absolute()) for utt in utts]
    infos = scan_audio([place.wav for place in places], nj, [place.segment for place in places])
    if problems := [info for info in infos if isinstance(info, str)]:
        raise CorpusError(folder, problems)
    return [
        Example.of(
            {
                **{field: tables[field][utt][1] if tables.get(field) else "" for field in files},
                "utt": utt,
                "wav": place.wav,
                "segment": _with_true_end(place.segment, info),
                "num_samples": info.num_samples,
                "sha256": info.sha256,
                "samples_sha256": info.samples_sha256,
            }
        )
        for utt, place, info in zip(utts, places, infos, strict=True)
    ]


def _with_true_end(segment: Segment | None, info: AudioInfo) -> Segment | None:
    """The segment with the end that it has: -1 stands for the recording's, which Kaldi's own checks do not take."""
    if segment is None or segment.end_s >= 0:
        return segment
    return segment._replace(end_s=(round(segment.start_s * info.sample_rate) + info.num_frames) / info.sample_rate)


def fold_corpus(
    examples: Sequence[Example], classes: Sequence[str], folds_by: str, listed: Mapping[str, int | str] | None = None
) -> list[Fold[Example]]:
    """The folds of a corpus; each trains on every class.

    Args:
        examples: All utterances.
        classes: The emotions that are predicted.
        folds_by: What each fold holds out: ``session``, ``speaker``, what ``utt2fold`` or ``utt2split`` says, or a number of
            folds, for as many groups of whole sessions, each with every class if there is such a split.
        listed: Utterance -> fold, or part, for ``utt2fold`` and ``utt2split``.

    Raises:
        InputError: A class is in no utterance, or in none that a fold trains on; or a speaker (or, where sessions are held out,
            a session) would be on both sides.
    """
    known = {example.emotion for example in examples}
    for name in classes:
        if name not in known:
            raise unknown_name("class", name, known)
    if len(set(classes)) < 2:
        raise InputError(f"classes {' '.join(classes)}: there is nothing to predict; name two or more, each once")
    if len(set(classes)) > MAX_CLASSES:
        raise InputError(f"{len(set(classes))} classes: a model tells at most {MAX_CLASSES}; name those to tell (--classes)")
    if folds_by in ("session", "speaker"):
        folds = make_folds(examples, folds_by)
    elif folds_by == FOLDS_FILE:
        folds = make_folds(examples, "speaker", lambda example: listed[example.utt])
    elif folds_by == SPLIT_FILE:
        folds = [official_fold(examples, lambda example: listed[example.utt])]
    else:
        of_classes = [example for example in examples if example.emotion in classes]
        groups = even_groups(of_classes, int(folds_by), _emotion, lambda example: (example.emotion, example.gender))
        # A session without an utterance of the classes goes with its speaker, or is held out by the first fold.
        speakers = {example.speaker: groups[example.session] for example in of_classes}
        folds = make_folds(examples, "session", lambda example: groups.get(example.session) or speakers.get(example.speaker, 1))
    for fold in folds:
        if missing := _missing(classes, fold.train):
            speakers = sorted({example.speaker for example in examples if example.emotion in missing})
            kept = [name for name in classes if name not in missing]
            ways = [_other_folds(examples, classes, folds), f"leave it out (--classes {' '.join(kept)!r})" * (len(kept) > 1)]
            raise InputError(
                f"{fold.name} trains on no utterance that is {' or '.join(missing)} (it is of {_shown(speakers)} alone), and "
                f"cannot learn it: {', or '.join(filter(None, ways)) or 'add such utterances of other speakers'}"
            )
    return folds


def lacking_classes(examples: Sequence[Example], folds: Sequence[Fold[Example]], classes: Sequence[str]) -> str:
    """Says which folds hold out no utterance of a class, and what to do; '' where none does. ``folds``: from
    :func:`fold_corpus`; ``classes``: the emotions that are predicted.
    """
    lacking = [
        f"{fold.name} {verb} no utterance that is {' or '.join(missing)}"
        for fold in folds
        for verb, part in (("holds out", fold.test), ("has in dev", fold.dev))
        if part and (missing := _missing(classes, part))
    ]
    if not lacking:
        return ""
    more = f" and {len(lacking) - _MOST_SHOWN} more" if len(lacking) > _MOST_SHOWN else ""
    other = _other_folds(examples, classes, folds) or "no number of folds has every class in each"
    advice = "" if len(folds) == 1 else f"; {other}"
    return f"{'; '.join(lacking[:_MOST_SHOWN])}{more}: UA there is over the classes that are there{advice}"


def _other_folds(examples: Sequence[Example], classes: Sequence[str], folds: Sequence[Fold[Example]]) -> str:
    """A number of folds of which none lacks a class; '' where none is found, and for official parts."""
    of_classes = [example for example in examples if example.emotion in classes]
    number = most_folds(of_classes, len(folds), _emotion) if len(folds) > 1 else None
    return f"--folds_by {number} has every class on both sides" if number else ""


def _missing(classes: Sequence[str], part: Sequence[Example]) -> list[str]:
    return sorted(set(classes) - {example.emotion for example in part})


def _emotion(example: Example) -> str:
    return example.emotion


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_SHOWN]) + (f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else "")


def read_utt2fold(path: Path, examples: Sequence[Example]) -> dict[str, int]:
    """Utterance -> the number of the fold that holds it out. Raises InputError: the file is missing or malformed, or does not
    list these utterances.
    """
    return {
        utt: int(fold) for utt, fold in _read_listed(path, examples, "[1-9][0-9]{0,5}", "fold", "a whole number from 1").items()
    }


def read_utt2split(path: Path, examples: Sequence[Example]) -> dict[str, str]:
    """Utterance -> the official part that it is in, of :data:`espnet_ser.corpus.folds.PARTS`. Raises InputError as
    :func:`read_utt2fold`.
    """
    return _read_listed(path, examples, "|".join(PARTS), "part", "train, dev or test")


def _read_listed(path: Path, examples: Sequence[Example], pattern: str, kind: str, expected: str) -> dict[str, str]:
    table = _read_required(path)
    _check_other_keys(path, table, {example.utt: (0, "") for example in examples}, "wav.scp")
    for number, value in table.values():
        if not re.fullmatch(pattern, value):
            raise InputError(f"{path}:{number}: {kind} {value!r}, expected {expected}")
    return {utt: value for utt, (_, value) in table.items()}


def ids_that_sort_by_speaker(examples: Sequence[Example]) -> dict[str, str]:
    """Utterance id -> the id in our data directories, where Kaldi wants utterances to sort as their speakers do. The corpus's
    own where they do so; else each has its speaker's id and a hyphen in front: ``spk10_0`` sorts before ``spk1_0`` (``_`` comes
    after digits), ``spk10-spk10_0`` after ``spk1-spk1_0``. Raises InputError: some ids begin with their speaker's and others do
    not: a speaker is wrong, or an id.
    """
    speakers = [example.speaker for example in sorted(examples, key=lambda example: example.utt)]
    if speakers == sorted(speakers):
        return {example.utt: example.utt for example in examples}
    others = [example for example in examples if not example.utt.startswith(example.speaker)]
    if 0 < len(others) < len(examples):
        raise InputError(
            f"utterance {others[0].utt} is of speaker {others[0].speaker} and does not begin with that, as other ids do with "
            f"their speaker's: correct utt2spk, or let all utterance ids begin with the speaker's"
        )
    return {example.utt: f"{example.speaker}-{example.utt}" for example in examples}


def renamed(examples: Sequence[Example], ids: Mapping[str, str]) -> list[Example]:
    """The utterances under other ids, sorted by them."""
    return sorted((replace(example, utt=ids[example.utt]) for example in examples), key=lambda example: example.utt)


def fold_table(folds: Sequence[Fold[Example]], classes: Sequence[str]) -> str:
    """What each fold holds out, or the official parts hold: speakers, and utterances of each class, for people to read."""
    parts = {str(fold.number): fold.test for fold in folds}
    if len(folds) == 1:
        parts = {name: getattr(folds[0], name) for name in PARTS}
    rows = [["part" if len(folds) == 1 else "fold", "speakers", *classes, "all"]]
    for name, part in parts.items():
        counts = Counter(example.emotion for example in part)
        speakers = len({example.speaker for example in part})
        held = [counts[emotion] for emotion in classes]
        rows.append([name, str(speakers), *map(str, held), str(sum(held))])
    return "\n".join(aligned(rows, right=True))


def _read_required(path: Path) -> Table:
    if not os.path.lexists(path):
        required = ", ".join(_REQUIRED.values())
        also = f", and {path.name} for --folds_by {path.name}" if path.name in (FOLDS_FILE, SPLIT_FILE) else ""
        raise InputError(f"{path}: missing; a corpus has {required}{also}")
    return read_table(path)


def _check_other_keys(path: Path, table: Table, known: Mapping[str, object], other: str) -> None:
    for key in known:
        if key not in table:
            raise InputError(f"{path}: no line for {key!r}, which {other} lists; add it, or take it out of every file")
    for key, (number, _) in table.items():
        if key not in known:
            raise InputError(f"{path}:{number}: {key!r} is not in {other}; add it there, or take it out")


def _of_speakers(path: Path, utt2spk: Table, spec: TaskSpec) -> Table:
    """Utterance -> target of a task, from a file that gives it by speaker; empty without that file."""
    if not os.path.lexists(path):
        return {}
    table = read_table(path)
    check_targets(path, table, spec)
    _check_other_keys(path, table, {speaker: None for _, speaker in utt2spk.values()}, "utt2spk")
    return {utt: table[speaker] for utt, (_, speaker) in utt2spk.items()}

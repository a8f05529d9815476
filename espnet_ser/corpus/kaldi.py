"""A corpus of one's own: a Kaldi data directory that says each utterance's emotion -> checked entries, and folds of them.

``wav.scp``, ``utt2spk`` and ``utt2emotion`` must be there; ``text``, ``utt2gender`` or ``spk2gender``, ``utt2style``,
``utt2session``, ``utt2label`` and ``utt2fold`` may be. Without ``utt2session`` each speaker is a session of their own.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from espnet_ser.corpus.folds import Fold, even_groups, make_folds
from espnet_ser.corpus.iemocap import scan_audio
from espnet_ser.data.datadir import Example, audio_path, check_genders
from espnet_ser.data.lists import Table, read_table
from espnet_ser.errors import CorpusError, InputError, unknown_name

FOLDS_FILE = "utt2fold"
"""Which fold holds an utterance out, a whole number from 1."""

_REQUIRED = {"wav": "wav.scp", "speaker": "utt2spk", "emotion": "utt2emotion"}
_OPTIONAL = {"text": "text", "gender": "utt2gender", "label": "utt2label", "style": "utt2style", "session": "utt2session"}


def read_corpus(folder: Path | str, nj: int = 2) -> list[Example]:
    """Reads and checks a corpus, and measures its audio.

    A path in ``wav.scp`` that is relative is so to the current folder, as Kaldi has it.

    Args:
        folder: The data directory.
        nj: Processes that scan the audio; 1 scans in this one.

    Returns:
        Its utterances, sorted by id, each with its path absolute; a field whose file is absent is ``''``, but for the session
        (the speaker) and the raw label (the emotion).

    Raises:
        InputError: A file is missing or malformed, asks for a command to be run, or the files do not list the same utterances.
        CorpusError: Lists all that is wrong with the audio.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such data directory; egs/TEMPLATE/README.md says how to make one")
    if (folder / "segments").exists():
        raise InputError(f"{folder / 'segments'}: segments are not read; cut the audio into a file for each utterance")
    tables = {field: _read_required(folder / name) for field, name in _REQUIRED.items()}
    tables |= {field: read_table(folder / name) for field, name in _OPTIONAL.items() if (folder / name).exists()}
    for field, table in tables.items():
        _refuse_other_keys(folder / (_REQUIRED | _OPTIONAL)[field], table, tables["wav"], "wav.scp")
    tables.setdefault("gender", _genders_of_speakers(folder / "spk2gender", tables["speaker"]))
    tables.setdefault("session", tables["speaker"])
    tables.setdefault("label", tables["emotion"])
    check_genders(folder / "utt2gender", tables["gender"])
    utts = sorted(tables["wav"])
    if not utts:
        raise InputError(f"{folder / 'wav.scp'}: no utterance in it; list them")
    paths = {utt: audio_path(folder / "wav.scp", number, path) for utt, (number, path) in tables["wav"].items()}
    wavs = [paths[utt].absolute() for utt in utts]
    infos = scan_audio(wavs, nj)
    if problems := [info for info in infos if isinstance(info, str)]:
        raise CorpusError(folder, problems)
    fields = ("speaker", "session", "gender", "emotion", "label", "style", "text")
    return [
        Example(
            utt=utt,
            wav=wav,
            num_samples=info.num_samples,
            sha256=info.sha256,
            samples_sha256=info.samples_sha256,
            **{field: tables[field][utt][1] if tables.get(field) else "" for field in fields},
        )
        for utt, wav, info in zip(utts, wavs, infos, strict=True)
    ]


def fold_corpus(
    examples: Sequence[Example], classes: Sequence[str], folds_by: str, utt2fold: Mapping[str, int] | None = None
) -> list[Fold[Example]]:
    """The folds of a corpus, each with every class on both sides.

    Args:
        examples: All utterances.
        classes: The emotions to be told.
        folds_by: What each fold holds out: ``session``, ``speaker``, what ``utt2fold`` says, or a number of folds, for as many
            groups of whole sessions in which classes and genders are as even as can be.
        utt2fold: Utterance -> fold, for ``utt2fold``.

    Raises:
        InputError: A class is in no utterance, or in none that a fold holds out or trains on; or a speaker (or, where sessions
            are held out, a session) would be on both sides.
    """
    known = {example.emotion for example in examples}
    for name in classes:
        if name not in known:
            raise unknown_name("class", name, known)
    if len(set(classes)) < 2:
        raise InputError(f"classes {' '.join(classes)}: there is nothing to tell; name two or more, each once")
    if folds_by in ("session", "speaker"):
        folds = make_folds(examples, folds_by)
    elif folds_by == FOLDS_FILE:
        folds = make_folds(examples, "speaker", lambda example: utt2fold[example.utt])
    else:
        told = [example for example in examples if example.emotion in classes]
        groups = even_groups(told, int(folds_by), lambda example: (example.emotion, example.gender))
        # A session without an utterance of the classes is held out by the first fold, which is as good as any other.
        folds = make_folds(examples, "session", lambda example: groups.get(example.session, 1))
    for fold in folds:
        for side, part in (("holds out", fold.test), ("trains on", fold.train)):
            missing = sorted(set(classes) - {example.emotion for example in part})
            if missing:
                raise InputError(
                    f"{fold.name} {side} no utterance that is {' or '.join(missing)}: a fold needs every class; take other "
                    f"folds (--folds_by), or name the classes to tell (--classes)"
                )
    return folds


def read_utt2fold(path: Path, examples: Sequence[Example]) -> dict[str, int]:
    """Utterance -> the number of the fold that holds it out.

    Raises:
        InputError: The file is missing or malformed, or does not list these utterances.
    """
    table = _read_required(path)
    _refuse_other_keys(path, table, {example.utt: (0, "") for example in examples}, "wav.scp")
    for number, fold in table.values():
        if not re.fullmatch("[1-9][0-9]{0,5}", fold):
            raise InputError(f"{path}:{number}: fold {fold!r}, expected a whole number from 1")
    return {utt: int(fold) for utt, (_, fold) in table.items()}


def ids_that_sort_by_speaker(examples: Sequence[Example]) -> dict[str, str]:
    """Utterance id -> the id in our data directories, where Kaldi wants utterances to sort as their speakers do.

    The corpus's own where they do so; else each has its speaker's id and a hyphen in front: ``spk10_0`` sorts before ``spk1_0``
    (``_`` comes after digits), ``spk10-spk10_0`` after ``spk1-spk1_0``.

    Raises:
        InputError: Some ids begin with their speaker's and others do not: a speaker is wrong, or an id.
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
    """What each fold holds out: speakers, and utterances of each class, for people to read."""
    rows = [["fold", "speakers", *classes, "all"]]
    for fold in folds:
        counts = Counter(example.emotion for example in fold.test)
        speakers = len({example.speaker for example in fold.test})
        held = [counts[name] for name in classes]
        rows.append([str(fold.number), str(speakers), *map(str, held), str(sum(held))])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _read_required(path: Path) -> Table:
    if not path.exists():
        required = ", ".join(_REQUIRED.values())
        raise InputError(f"{path}: missing; a corpus has {required}, and {FOLDS_FILE} for --folds_by {FOLDS_FILE}")
    return read_table(path)


def _refuse_other_keys(path: Path, table: Table, known: Mapping[str, object], other: str) -> None:
    for key in known:
        if key not in table:
            raise InputError(f"{path}: no line for {key!r}, which {other} lists; add it, or take it out of every file")
    for key, (number, _) in table.items():
        if key not in known:
            raise InputError(f"{path}:{number}: {key!r} is not in {other}; add it there, or take it out")


def _genders_of_speakers(path: Path, utt2spk: Table) -> Table:
    """Utterance -> gender, from ``spk2gender``; empty without that file."""
    if not path.exists():
        return {}
    table = read_table(path)
    check_genders(path, table)
    _refuse_other_keys(path, table, {speaker: None for _, speaker in utt2spk.values()}, "utt2spk")
    return {utt: table[speaker] for utt, (_, speaker) in utt2spk.items()}

"""Utterance records -> the data directories that stage 1 leaves.

``all`` holds every labelled utterance, ``four_class`` those of the four classes; ``fold<k>`` holds ``train`` and ``test`` (four
classes), ``train_all`` (every utterance on the training side, for stage-1 finetuning on all of them) and ``fold.json``.
"""

import json
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from espnet_ser.corpus.folds import Fold, make_folds
from espnet_ser.corpus.iemocap import EMOTIONS, Utterance
from espnet_ser.corpus.transcript import normalise
from espnet_ser.data.datadir import FILES, Example, write_datadir
from espnet_ser.errors import InputError
from espnet_ser.stamp import Stamp, disk_errors_as_input_errors, fingerprint, locked, replace_folder

STAMP_NAME = ".prepare.json"

_LAYOUT_VERSION = 1
_OURS = re.compile(r"all|four_class|fold\d+|" + re.escape(STAMP_NAME))


def prepare_datadirs(datadir: Path | str, utterances: Iterable[Utterance], folds_by: str = "session") -> list[str] | None:
    """Makes ``datadir`` hold exactly what the utterances and the way to fold ask for; does nothing where it already does.

    A folder of ours is replaced as a whole; anything else in ``datadir`` stays.

    Returns:
        None if it was up to date; else what had changed.

    Raises:
        InputError: The folds cannot be made, or the disk is full or closed to us; nothing is left half-written.
    """
    datadir = Path(datadir).resolve()
    examples = [to_example(utterance) for utterance in utterances]
    inputs = {
        "layout": _LAYOUT_VERSION,
        "folds_by": folds_by,
        "num_utterances": len(examples),
        "records": fingerprint([[getattr(example, field) for field in Example.__slots__] for example in examples]),
    }
    with disk_errors_as_input_errors(datadir):
        datadir.parent.mkdir(parents=True, exist_ok=True)
        with locked(datadir.parent):
            changes = Stamp(datadir / STAMP_NAME).difference(inputs)
            if changes:
                _replace_contents(datadir, examples, folds_by, inputs)
    return changes


def to_example(utterance: Utterance) -> Example:
    """An utterance of the corpus as an entry of a data directory; outside the four classes the emotion is the raw label."""
    return Example(
        utt=utterance.kaldi_id,
        speaker=utterance.speaker,
        session=str(utterance.session),
        gender=utterance.gender,
        emotion=utterance.emotion or utterance.label,
        label=utterance.label,
        style=utterance.style,
        text=normalise(utterance.transcript),
        wav=utterance.wav,
        num_samples=utterance.num_samples,
        sha256=utterance.sha256,
    )


def _replace_contents(datadir: Path, examples: Sequence[Example], folds_by: str, inputs: dict) -> None:
    """Builds everything beside, then swaps it in: at once where all in ``datadir`` is ours, else folder by folder."""
    if datadir.exists() and not datadir.is_dir():
        raise InputError(f"{datadir}: not a folder; name another with --datadir")
    present = sorted(datadir.iterdir()) if datadir.exists() else []
    ours = [path for path in present if _OURS.fullmatch(path.name)]
    for path in sorted(path for folder in ours for path in folder.rglob("*") if path.is_file()):
        if path.name not in FILES and path.name != "fold.json":
            raise InputError(f"{path}: not a file of a data directory, and would be lost; move it, or name another --datadir")
    can_swap = not os.path.ismount(datadir) and os.access(datadir.parent, os.W_OK)
    at_once = not datadir.exists() or (can_swap and len(ours) == len(present))
    building = (datadir.parent if at_once else datadir) / f".{datadir.name}.building"
    shutil.rmtree(building, ignore_errors=True)  # a killed run's; we hold the lock
    try:
        _write_all(building, examples, folds_by)
        Stamp(building / STAMP_NAME).write(inputs, [building])
        if at_once:
            replace_folder(building, datadir)
            return
        (datadir / STAMP_NAME).unlink(missing_ok=True)  # between the swaps the folder counts as unfinished
        for path in ours:
            if path.is_dir() and not (building / path.name).exists():
                shutil.rmtree(path)
        for path in sorted(building.iterdir(), key=lambda path: (path.name == STAMP_NAME, path.name)):
            if path.is_dir():
                replace_folder(path, datadir / path.name)
            else:
                os.replace(path, datadir / path.name)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _write_all(folder: Path, examples: Sequence[Example], folds_by: str) -> None:
    four_class = [example for example in examples if example.emotion in EMOTIONS]
    if not four_class:
        raise InputError(f"none of the {len(examples)} utterances is {', '.join(EMOTIONS)}: check the labels of the release")
    write_datadir(folder / "all", examples)
    write_datadir(folder / "four_class", four_class)
    for fold in make_folds(four_class, by=folds_by):
        held_out = {getattr(example, folds_by) for example in fold.test}
        write_datadir(folder / fold.name / "train", fold.train)
        write_datadir(folder / fold.name / "test", fold.test)
        train_all = [example for example in examples if getattr(example, folds_by) not in held_out]
        write_datadir(folder / fold.name / "train_all", train_all)
        record = json.dumps(describe_fold(fold), indent=1) + "\n"
        (folder / fold.name / "fold.json").write_text(record, encoding="utf-8")


def describe_fold(fold: Fold[Example]) -> dict[str, object]:
    """The content of ``fold.json``."""
    return {
        "number": fold.number,
        "by": fold.by,
        "test_sessions": sorted({example.session for example in fold.test}),
        "test_speakers": sorted({example.speaker for example in fold.test}),
        "train_sessions": sorted({example.session for example in fold.train}),
        "train_speakers": sorted({example.speaker for example in fold.train}),
        "num_train": len(fold.train),
        "num_test": len(fold.test),
    }

"""Utterance records -> the data directories that stage 1 leaves.

``all`` holds every labelled utterance, ``four_class`` those of IEMOCAP's four classes; ``fold<k>`` holds ``train`` and ``test``
(of the classes), ``dev`` where a corpus has such a part, ``train_all`` (every utterance on the training side, for intermediate
finetuning on all of them) and ``fold.json``.
"""

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from espnet_ser.corpus.folds import PARTS, Fold, make_folds
from espnet_ser.corpus.iemocap import EMOTIONS, Utterance
from espnet_ser.corpus.transcript import normalise
from espnet_ser.data.datadir import Example, write_datadir
from espnet_ser.data.leakage import alike_speakers, check_shared_speech, check_size_of_names, labelled_twice
from espnet_ser.errors import InputError
from espnet_ser.layout import DATA_STAMP
from espnet_ser.utils.atomic import disk_errors_as_input_errors, replace_folder
from espnet_ser.utils.hashing import fingerprint
from espnet_ser.utils.locks import locked
from espnet_ser.utils.replacing import keep_others, others_files, temporary_folder
from espnet_ser.utils.say import say
from espnet_ser.utils.stamp import Stamp

LAYOUT_VERSION = 2  # what a data directory is made with, so that one of another layout is made anew

_MOST_CHANGES = 5


def prepare_datadirs(datadir: Path | str, utterances: Iterable[Utterance], folds_by: str = "session") -> str:
    """Makes ``datadir`` hold exactly what IEMOCAP's utterances and the way to fold ask for; see :func:`make_datadirs`."""
    examples = [to_example(utterance) for utterance in utterances]
    asked = {"layout": LAYOUT_VERSION, "folds_by": folds_by}
    return make_datadirs(datadir, examples, EMOTIONS, make_folds(examples, by=folds_by), asked, subset="four_class")


def make_datadirs(
    datadir: Path | str,
    examples: Sequence[Example],
    classes: Collection[str],
    folds: Iterable[Fold[Example]],
    asked: Mapping[str, object],
    subset: str | None = None,
) -> str:
    """Makes ``datadir`` hold exactly what these utterances and folds ask for; does nothing where it already does.

    A folder of ours is replaced as a whole, and what was edited in it is moved aside; anything else in ``datadir`` stays.

    Args:
        datadir: Where to write.
        examples: All utterances.
        classes: The emotions that are predicted; other utterances are in ``all`` and ``train_all`` alone.
        folds: Of all utterances.
        asked: What the folds depend on besides the utterances.
        subset: The folder for the utterances of the classes, if there is to be one.

    Returns:
        What was done, and why, for people to read.

    Raises:
        InputError: A fold has no utterance of the classes, or the same speech on both sides; a folder of somebody else's has
            the name of one of ours; or the disk is full or closed to us. Nothing is left half-written.
    """
    datadir = Path(datadir).resolve()
    check_size_of_names(examples, datadir)
    inputs = {
        **asked,
        "num_utterances": len(examples),
        "records": fingerprint([[getattr(example, field) for field in Example.__slots__] for example in examples]),
    }
    with disk_errors_as_input_errors(datadir):
        datadir.parent.mkdir(parents=True, exist_ok=True)
        with locked(datadir.parent):
            changes = Stamp(datadir / DATA_STAMP).difference(inputs)
            if changes:
                _replace_contents(datadir, lambda folder: _write_all(folder, examples, classes, folds, subset), inputs)
    if changes is None:
        return "up to date"
    return "written" if changes == ["not run yet"] else f"written ({'; '.join(changes[:_MOST_CHANGES])})"


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
        samples_sha256=utterance.samples_sha256,
    )


def _replace_contents(datadir: Path, write: Callable[[Path], None], inputs: dict) -> None:
    """Builds everything in a temporary folder, then swaps it in folder by folder, the stamp last. A run killed in between
    leaves folders that are not as the stamp says, and the next one makes them again.
    """
    if datadir.exists() and not datadir.is_dir():
        raise InputError(f"{datadir}: not a folder; name another with --datadir")
    is_new, stamp = not datadir.exists(), Stamp(datadir / DATA_STAMP)
    made = {name.partition("/")[0] for name in stamp.output_sha256()}
    datadir.mkdir(exist_ok=True)
    try:
        with temporary_folder(datadir / "new") as building:
            write(building)
            Stamp(building / DATA_STAMP).write(inputs, [building])
            wanted = {path.name for path in building.iterdir()} - {DATA_STAMP}
            for name in sorted(wanted - made):
                if others := others_files(datadir / name, stamp, building / name):
                    raise InputError(
                        f"{others[0]}: not made by stage 1, and would be lost; move {datadir / name} elsewhere, or name "
                        f"another --datadir"
                    )
            for name in sorted(wanted | made):
                keep_others(datadir / name, stamp, building / name)
                if name in wanted:
                    replace_folder(building / name, datadir / name)
                else:
                    shutil.rmtree(os.path.realpath(datadir / name), ignore_errors=True)
                    (datadir / name).unlink(missing_ok=True)
            os.replace(building / DATA_STAMP, datadir / DATA_STAMP)
    finally:
        if is_new:
            with contextlib.suppress(OSError):
                datadir.rmdir()


def _write_all(
    folder: Path, examples: Sequence[Example], classes: Collection[str], folds: Iterable[Fold[Example]], subset: str | None
) -> None:
    of_classes = _of_classes(examples, classes)
    if not of_classes:
        raise InputError(f"none of the {len(examples)} utterances is {', '.join(classes)}: check the labels of the corpus")
    if warning := labelled_twice(examples):
        say(f"warning: {warning}", file=sys.stderr)
    write_datadir(folder / "all", examples)
    if subset:
        write_datadir(folder / subset, of_classes)
    for fold in folds:
        for other in filter(None, (fold.test, fold.dev)):
            check_shared_speech(fold.train, other)
            if warning := alike_speakers(fold.train, other):
                say(f"warning: {fold.name}: {warning}", file=sys.stderr)
        if fold.dev:
            check_shared_speech(fold.dev, fold.test)
        kept = {name: _of_classes(getattr(fold, name), classes) for name in PARTS}
        for name, does in (("train", "trains on"), ("test", "holds out")):
            if not kept[name]:
                raise InputError(f"{fold.name} {does} no utterance that is {', '.join(classes)}; take other folds (--folds_by)")
        if fold.dev and not kept["dev"]:
            raise InputError(f"no utterance of dev is {', '.join(classes)}: leave dev out, or put some into it")
        for name, part in kept.items():
            if part:
                write_datadir(folder / fold.name / name, part)
        write_datadir(folder / fold.name / "train_all", fold.train)
        record = json.dumps(describe_fold(replace(fold, **kept)), indent=1) + "\n"
        (folder / fold.name / "fold.json").write_text(record, encoding="utf-8")


def _of_classes(examples: Iterable[Example], classes: Collection[str]) -> tuple[Example, ...]:
    return tuple(example for example in examples if example.emotion in classes)


def describe_fold(fold: Fold[Example]) -> dict[str, object]:
    """The content of ``fold.json``."""
    parts = {name: part for name in PARTS if (part := getattr(fold, name))}
    return {
        "number": fold.number,
        "by": fold.by,
        **{f"{name}_sessions": sorted({example.session for example in part}) for name, part in parts.items()},
        **{f"{name}_speakers": sorted({example.speaker for example in part}) for name, part in parts.items()},
        **{f"num_{name}": len(part) for name, part in parts.items()},
    }

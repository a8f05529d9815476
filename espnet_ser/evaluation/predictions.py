"""Predictions on disk: a line of JSON per held-out utterance, for each epoch and for each way of choosing the epoch."""

import gzip
import json
import re
import zlib
from collections.abc import Collection, Iterable, Mapping
from math import isfinite
from pathlib import Path

from espnet_ser.characters import spelt_out_json
from espnet_ser.errors import InputError
from espnet_ser.layout import EPOCHS_FOLDER
from espnet_ser.tasks_table import TASKS
from espnet_ser.utils.atomic import atomic_write

SELECTIONS = ("last", "others", "dev", "oracle")
"""Ways to choose the epoch, in the order shown: see :mod:`espnet_ser.evaluation.selection`."""

WITHOUT_DEV = "last"  # the headline of folds without a dev part; every fold has it


def headline(selections: Collection[str]) -> str:
    """The selection whose scores are put first: ``dev`` where a corpus has such a part, else the last epoch.

    >>> headline(["last", "others", "oracle"]), headline(["last", "dev", "oracle"])
    ('last', 'dev')
    """
    return "dev" if "dev" in selections else WITHOUT_DEV


def predictions_path(fold_folder: Path, selection: str) -> Path:
    """Where a fold's predictions lie."""
    return fold_folder / f"predictions_{selection}.jsonl"


def epoch_path(fold_folder: Path, epoch: int, part: str = "test") -> Path:
    """Where a training leaves its predictions of ``test``, or of ``dev``, after an epoch."""
    name = "predictions" if part == "test" else part
    return fold_folder / EPOCHS_FOLDER / f"{name}_{epoch:04d}.jsonl.gz"


def is_epoch(path: Path, part: str = "predictions|dev") -> bool:
    """Whether a file is called as predictions of an epoch are; a copy that somebody put beside them is none."""
    return re.fullmatch(rf"({part})_[0-9]+\.jsonl\.gz", path.name) is not None


def read_epochs(fold_folder: Path, part: str = "test") -> list[list[dict]]:
    """The predictions of each epoch of a training, in order. ``fold_folder``: the training's; ``part``: of which utterances,
    ``test`` or ``dev``. Raises InputError when one is missing or damaged.
    """
    kind = epoch_path(fold_folder, 0, part).name.partition("_")[0]
    epochs = sorted(path for path in (fold_folder / EPOCHS_FOLDER).glob("*") if is_epoch(path, kind))
    if not epochs or epochs != [epoch_path(fold_folder, number, part) for number in range(1, len(epochs) + 1)]:
        raise InputError(f"{fold_folder / EPOCHS_FOLDER}: predictions of an epoch are missing; train this fold anew")
    return [read_predictions(path) for path in epochs]


def write_predictions(path: Path, lines: Iterable[Mapping]) -> None:
    """Writes them whole, compressed where the name ends in ``.gz``; posteriors keep six decimals."""
    text = predictions_text(lines)
    atomic_write(path, gzip.compress(text.encode(), mtime=0) if path.suffix == ".gz" else text)


def predictions_text(lines: Iterable[Mapping]) -> str:
    """What a file of predictions holds, before it is compressed; characters that are not shown are JSON's escapes."""
    return "".join(spelt_out_json(json.dumps(_rounded(line), ensure_ascii=False)) + "\n" for line in lines)


def read_predictions(path: Path) -> list[dict]:
    """Reads them back.

    Raises:
        InputError: When the file is missing, or a line (named) is no prediction or of an utterance that was there before.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing: run stage 5, which makes it")
    try:
        text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text(encoding="utf-8")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{path}: damaged ({error}); remove it and make it again") from error
    lines, first_line = [], {}
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else [], 1):
        try:
            record = json.loads(line)
            _check_prediction(record)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"{path}, line {number}: not a prediction; remove the file and run stage 5 again") from error
        earlier = first_line.setdefault(record["utt"], number)
        if earlier != number:
            raise InputError(
                f"{path}, line {number}: {record['utt']} is there twice, first in line {earlier}; remove the file and run "
                f"stage 5 again"
            )
        lines.append(record)
    if not lines:
        raise InputError(f"{path} is empty: remove it and run stage 5 again")
    return lines


def _check_prediction(record: dict) -> None:
    """Looks at all that is read of a line; whatever is not as it should be raises some error."""
    if not isinstance(record, dict):
        raise TypeError("not a mapping")
    names = [record["utt"], record["speaker"], record.get("session", ""), *record.get("from_intermediate", [])]
    tasks = [task for task in TASKS if task in record]
    if not tasks:
        raise KeyError("no task")
    for task in tasks:
        values = [record[task]["ref"], record[task]["hyp"]]
        if TASKS[task].kind != "regression":
            names += values
        elif not all(isinstance(value, int | float) and isfinite(value) for value in values):
            raise TypeError("a number is finite")
    if not all(isinstance(name, str) for name in names):
        raise TypeError("a name is text")


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return value

"""Predictions on disk: ``predictions_<selection>.jsonl``, a line per held-out utterance."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from espnet_ser.errors import InputError
from espnet_ser.stamp import atomic_write

SELECTIONS = ("last", "cross", "oracle")
"""Ways to choose the epoch (see the README): the last one; by the held-out session's other speaker; by the test data itself."""


def predictions_path(fold_folder: Path, selection: str = "last") -> Path:
    """Where a fold's predictions lie."""
    return fold_folder / f"predictions_{selection}.jsonl"


def write_predictions(path: Path, lines: Iterable[Mapping]) -> None:
    """Writes them whole; posteriors keep six decimals."""
    atomic_write(path, "".join(json.dumps(_rounded(line), ensure_ascii=False) + "\n" for line in lines))


def read_predictions(path: Path) -> list[dict]:
    """Reads them back.

    Raises:
        InputError: When the file is missing, or a line (named) is no prediction.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing: run stage 5, which makes it")
    lines = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            record = json.loads(line)
            record["utt"], record["speaker"], record["ref"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}, line {number}: not a prediction; remove the file and run stage 5 again") from error
        lines.append(record)
    if not lines:
        raise InputError(f"{path} is empty: remove it and run stage 5 again")
    return lines


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    return value

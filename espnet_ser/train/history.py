"""What happened in each epoch of a training: a line of JSON per epoch, to be followed while it runs and plotted after."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from espnet_ser.layout import HISTORY_FILE


def append_record(path: Path, record: Mapping) -> None:
    """Adds a line to a history, or to any other file of records."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def read_history(folder: Path) -> list[dict]:
    """The epochs of a training, in order; of an epoch that was done twice (a killed run went on), the last account."""
    return read_records(folder / HISTORY_FILE, ("epoch",))


def read_records(path: Path, keys: Sequence[str]) -> list[dict]:
    """A file of records, in the order of their keys; of those with the same keys, the last. Nothing where there is no file. A
    line that is no record with these keys, all of them whole numbers, is passed by: a run was killed while it wrote it.
    """
    if not path.is_file():
        return []
    records = {}
    for line in path.read_bytes().split(b"\n"):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict) and all(type(record.get(key)) is int for key in keys):
            records[tuple(record[key] for key in keys)] = record
    return [records[key] for key in sorted(records)]

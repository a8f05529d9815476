"""What happened in each epoch of a training: a line of JSON per epoch, to be followed while it runs and plotted after."""

import json
from collections.abc import Mapping
from pathlib import Path

HISTORY_FILE = "history.jsonl"


def append_epoch(folder: Path, record: Mapping) -> None:
    """Adds an epoch's record (``epoch``, ``max_epoch``, ``seconds``, ``train``, ``valid``) to the history in a folder."""
    with open(folder / HISTORY_FILE, "a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def read_history(folder: Path) -> list[dict]:
    """The epochs of a training, in order; of an epoch that was done twice (a killed run went on), the last account."""
    path = folder / HISTORY_FILE
    if not path.is_file():
        return []
    records = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:  # the run was killed while it wrote this line
            continue
        records[record["epoch"]] = record
    return [records[epoch] for epoch in sorted(records)]

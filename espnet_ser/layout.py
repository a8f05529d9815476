"""Names of the files and folders that the stages leave."""

import re
from pathlib import Path

from espnet_ser.errors import unknown_name

DATA_STAMP = ".prepare.json"
"""In the data's folder: all that the data directories were made from, and what is in them."""

SYNTHETIC_STAMP = ".synthetic.json"
"""In a release that ``espnet-ser synthesize`` spoke."""

TOKENS_STAMP = ".tokens.json"
"""Beside a token list: the texts it was made from."""

STARTED_FILE = "started.json"
"""The inputs of the training that a folder is for."""

DONE_FILE = "done.json"
"""The stamp of a finished training."""

MODEL_FILE = "latest.pth"
"""What was trained, after the last epoch (ESPnet's name)."""

FROZEN_FILE = "frozen.pth"
"""The weights that training does not change, written once: ``latest.pth`` and the epochs' files hold all others."""

CHECKPOINT_FILE = "checkpoint.pth"
"""What an unfinished training goes on from (ESPnet's name)."""

TOKENS_FOLDER = "tokens"
"""The tokenizer, next to the model that uses it."""

HISTORY_FILE = "history.jsonl"
"""A line per epoch: losses, scores and seconds."""

EPOCHS_FOLDER = "epochs"
"""Predictions of the held-out utterances after each epoch."""

EMBEDDINGS_FILE = "embeddings.npz"
"""``utts`` [n] and ``embeddings`` [n, dim], float32: the held-out utterances as the last epoch's encoder sees them."""

ENVIRONMENT_FILE = "environment.json"
"""Where, when, by which command and with which versions a training has run."""

RECORDS_STAMP = ".records.json"
"""The stamp of a training's records, on which nothing depends: its environment and its history."""

SELECTED_FILE = "selected.json"
"""The stamp of a fold's predictions by each selection."""

SELECTION_FILE = "selection.json"
"""Which epoch each selection takes, and its weights."""

SCORED_FILE = ".scored.json"
"""The stamp of a system's results."""


def epoch_model(folder: Path, epoch: int) -> Path:
    """Where a training keeps what was trained as it was after an epoch, if it keeps that (ESPnet's name)."""
    return folder / f"{epoch}epoch.pth"


CARD_FILE = "README.md"
"""In a packed fold: its card, which people may edit."""

PACKED_FOLDER = "packed"
"""In a system's folder: its folds as others use them."""


def packed_stamp(folder: Path) -> Path:
    """The stamp of a packed fold, next to its folder."""
    return folder.with_name(f".{folder.name}.json")


def system_folder(expdir: Path, name: str, tag: str = "") -> Path:
    """Where stages 4 to 6 leave what they make of a system."""
    return expdir / f"{name}{with_tag_suffix(tag)}"


def trained_folds(folder: Path, asked: str = "") -> dict[str, Path]:
    """The folds below a system's folder, by name, in order.

    Args:
        folder: From :func:`system_folder`.
        asked: Names separated by spaces; all folds that there are where it is empty.

    Raises:
        InputError: When a fold that is asked for is not there.
    """
    known = list(fold_folders(folder))
    for name in asked.split():
        if name not in known:
            raise unknown_name("fold", name, known, where=str(folder))
    return {name: folder / f"fold{name}" for name in asked.split() or known}


def fold_folders(folder: Path) -> dict[str, Path]:
    """Name of a fold -> its folder, in order: a number, so that a copy that somebody put next to it is none."""
    found = {
        path.name[4:]: path for path in folder.glob("fold*") if re.fullmatch("fold[1-9][0-9]*", path.name) and path.is_dir()
    }
    return {name: found[name] for name in sorted(found, key=int)}


def with_tag_suffix(tag: str) -> str:
    """What a tag adds to the name of a folder."""
    return f"_{tag}" if tag else ""

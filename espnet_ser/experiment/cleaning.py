"""What trainings have left and nothing needs any more: models of earlier inputs, caches, what killed runs were writing.

Only files that are called as ours are, in folders that are shown to be ours, count. Results keep all that they are made of.
"""

import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from espnet_ser.data.frame_cache import cache_files, list_caches
from espnet_ser.errors import InputError
from espnet_ser.layout import CHECKPOINT_FILE, DONE_FILE, MODEL_FILE, SELECTED_FILE, SELECTION_FILE, STARTED_FILE
from espnet_ser.utils.atomic import is_temporary, remove_folder
from espnet_ser.utils.locks import lock_file
from espnet_ser.utils.stamp import Stamp
from espnet_ser.utils.yaml_mapping import read_yaml_mapping

RECENT_S = 3600.0
"""What was written so lately may be of a job that runs, on this machine or another."""

_OF_A_TRAINING = re.compile(
    r"([0-9]+epoch|latest|frozen|checkpoint|valid\..+)\.pth|config\.yaml|(started|done|selected|selection|environment)\.json"
    r"|\.records\.json|(history|gradients)\.jsonl|predictions_[a-z]+\.jsonl|embeddings\.npz"
    r"|epochs/predictions_[0-9]+\.jsonl\.gz|tokens/(tokens\.txt|bpe\.model)"
)


@dataclass(frozen=True)
class Waste:
    """Something that may go.

    Attributes:
        path: A file, or the folder of the files.
        why: In words.
        files: What would be removed of it.
    """

    path: Path
    why: str
    files: tuple[Path, ...]

    @property
    def num_bytes(self) -> int:
        """What there is to gain."""
        return sum(file.lstat().st_size for file in self.files)

    def remove(self) -> None:
        """Removes the files, and the folders that are empty then."""
        for file in self.files:
            file.unlink(missing_ok=True)
        for folder in sorted(
            {parent for file in self.files for parent in file.parents if parent.is_relative_to(self.path)}, reverse=True
        ):
            if folder.is_dir() and not any(folder.iterdir()):
                remove_folder(folder)


def find_waste(expdir: Path, dumpdir: Path) -> Iterator[Waste]:
    """All that may go, below the folders of experiments and of what stage 2 and trainings keep."""
    trainings = [
        path for pattern in ("*/fold*", "stage1/*/fold*") for path in sorted(expdir.glob(pattern)) if _is_training(path)
    ]
    for folder in trainings:
        if re.search(r"\.superseded-[0-9]+$", folder.name):
            files = [path for path in folder.rglob("*") if _OF_A_TRAINING.fullmatch(path.relative_to(folder).as_posix())]
            yield Waste(folder, "a model that was trained on other inputs", tuple(sorted(files)))
        elif (folder / DONE_FILE).is_file() and not _runs(folder):
            yield from _of_a_finished_training(folder)
    used = {Path(str(_config(folder).get("cache_folder"))).name for folder in trainings if ".superseded" not in folder.name}
    for cache in list_caches(dumpdir / "cache"):
        if cache.folder.name not in used and _is_old(cache.written_s):
            yield Waste(cache.folder, "a cache that no training here has used", tuple(cache_files(cache.folder)))
    for root in (expdir, dumpdir):
        left = [path for path in sorted(root.rglob(".*")) if is_temporary(path) and _is_old(path.lstat().st_mtime)]
        yield from (Waste(path, "a killed run was writing it", tuple(_files(path))) for path in left)


def _of_a_finished_training(folder: Path) -> Iterator[Waste]:
    if (folder / CHECKPOINT_FILE).is_file():
        yield Waste(folder / CHECKPOINT_FILE, "the training has finished", (folder / CHECKPOINT_FILE,))
    if Stamp(folder / SELECTED_FILE).changed_outputs():
        return  # not selected from yet, or not as it was
    kept = {os.path.realpath(folder / MODEL_FILE)}
    kept |= {
        os.path.realpath(folder / name) for name in _models(json.loads((folder / SELECTION_FILE).read_text(encoding="utf-8")))
    }
    for path in sorted(folder.glob("*epoch.pth")):
        if re.fullmatch(r"[0-9]+epoch\.pth", path.name) and os.path.realpath(path) not in kept:
            yield Waste(path, "an epoch that no selection takes", (path,))


def _models(record: object) -> Iterator[str]:
    """The files of weights that a selection names."""
    values: Iterable = record.values() if isinstance(record, dict) else record if isinstance(record, list) else ()
    if isinstance(record, dict) and isinstance(record.get("model"), str):
        yield record["model"]
    for value in values:
        yield from _models(value)


def _is_training(folder: Path) -> bool:
    """Whether the stamp of a training's beginning lies in a folder that is called as it is."""
    named = re.fullmatch(r"fold[0-9]+(\.superseded-[0-9]+)?", folder.name)
    return named is not None and bool(Stamp(folder / STARTED_FILE).inputs())


def _runs(folder: Path) -> bool:
    lock = folder.with_name(f".{folder.name}.lock")
    if not lock.is_file():
        return False
    with open(lock, "a") as file:
        return not lock_file(file)


def _config(folder: Path) -> dict:
    path = folder / "config.yaml"
    try:
        return dict(read_yaml_mapping(path, missing="train it anew")) if path.is_file() else {}
    except InputError as error:
        raise InputError(f"{error}; train this fold anew, or move its folder away") from error


def _files(path: Path) -> list[Path]:
    """A temporary file, or all below a temporary folder; of a link to another place only the link."""
    if path.is_symlink() or not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_symlink() or file.is_file())


def _is_old(written_s: float) -> bool:
    return time.time() - written_s > RECENT_S

"""Where a recipe keeps things, and which folds it has: the layout that stages 1 to 6 share."""

import json
from collections.abc import Iterable
from pathlib import Path

from espnet_ser.data.datadir import Example, read_datadir
from espnet_ser.errors import InputError, unknown_name
from espnet_ser.experiment.systems import System
from espnet_ser.layout import PACKED_FOLDER, STARTED_FILE, fold_folders, packed_stamp, trained_folds, with_tag_suffix
from espnet_ser.utils.replacing import set_aside
from espnet_ser.utils.say import say
from espnet_ser.utils.stamp import Stamp


def fold_names(datadir: Path, asked: str | Iterable[str] | None = None) -> list[str]:
    """The folds to run, in order.

    Args:
        datadir: Where stage 1 left ``fold<k>``.
        asked: Names separated by spaces, or a list of them; all folds that there are where it is empty.

    Raises:
        InputError: When stage 1 has not run, or a fold does not exist.
    """
    known = [name for name, path in fold_folders(datadir).items() if (path / "fold.json").is_file()]
    if not known:
        raise InputError(f"{datadir} has no folds: run stage 1, which makes them")
    names = asked.split() if isinstance(asked, str) else list(asked or [])
    for name in names:
        if name not in known:
            raise unknown_name("fold", name, known, where=str(datadir))
    if len(set(names)) < len(names):
        raise InputError(f"folds {' '.join(names)}: a fold is named twice")
    return names or known


def read_fold(datadir: Path, fold: str) -> dict:
    """What stage 1 says of a fold: ``by``, ``test_sessions``, ``test_speakers`` and so on.

    Raises:
        InputError: When stage 1 has not made it.
    """
    path = datadir / f"fold{fold}" / "fold.json"
    if not path.is_file():
        raise InputError(f"{path} is missing: run stage 1, which makes it")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error}); remove it and run stage 1 again") from error
    if not isinstance(record, dict) or record.get("by") not in ("session", "speaker"):
        raise InputError(f"{path}: does not say whether the fold holds out a session or a speaker; run stage 1 again")
    if str(record.get("number")) != fold:
        raise InputError(f"{path}: that of fold {record.get('number')}, copied? Move {path.parent} out of {datadir}")
    return record


def read_dev(fold_data: Path) -> list[Example]:
    """The utterances that choose a fold's epoch; none where it has no such part."""
    return read_datadir(fold_data / "dev") if (fold_data / "dev").is_dir() else []


def token_folder(dumpdir: Path, fold: str, token_type: str, nbpe: int) -> Path:
    """Where stage 2 leaves a fold's token list."""
    return dumpdir / f"fold{fold}" / (f"tokens_bpe{nbpe}" if token_type == "bpe" else "tokens_char")


def intermediate_folder(expdir: Path, system: System, fold: str, tag: str = "") -> Path:
    """Where stage 3 leaves a fold's model: shared by all systems with the same intermediate finetuning."""
    return expdir / "stage1" / f"{system.intermediate_name}{with_tag_suffix(tag)}" / f"fold{fold}"


def set_aside_folds_of_another_split(folder: Path, known: Iterable[str]) -> None:
    """Renames a system's trained folds that the data no longer have: an ensemble of the system's folds would count them.

    Args:
        folder: The system's.
        known: The folds that the data have.
    """
    for place, stamp_of in ((folder, lambda path: path / STARTED_FILE), (folder / PACKED_FOLDER, packed_stamp)):
        for name, path in trained_folds(place).items():
            if name not in known and Stamp(stamp_of(path)).inputs():
                say(f"{path}: the data have no fold {name} any more; moved to {set_aside(path)}", flush=True)

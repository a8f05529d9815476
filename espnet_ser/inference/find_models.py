"""Where the models lie that a name stands for: one fold, an archive, the folds of a system, or what the hub keeps."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from espnet_ser.errors import InputError, unknown_name
from espnet_ser.evaluation.predictions import SELECTIONS, headline
from espnet_ser.layout import SELECTION_FILE, trained_folds
from espnet_ser.model_io.archive import is_archive
from espnet_ser.model_io.model_folder import CONFIG_FILE, META_FILE, find_model
from espnet_ser.utils.bounded import read_small_file
from espnet_ser.utils.hashing import file_sha256

DEFAULT_MODEL = Path("exp/asr_gender_skip__ser")
"""Where the recipe, run as it is, leaves its models."""

_MAX_SELECTION_BYTES = 16 << 20


class ModelSource(NamedTuple):
    """One model, for :func:`espnet_ser.model_io.load.load_model`.

    Attributes:
        source: Its folder or archive.
        model_file: What was trained as an epoch left it; None for the last one, or the one that the archive holds.
    """

    source: Path
    model_file: Path | None


def models_of(sources: str | Path | Sequence[str | Path] | None = None, selection: str | None = None) -> list[ModelSource]:
    """The models of one source or several, in order; see :func:`find_models`. None names the recipe's default system.

    What can be found wrong without loading anything is: torch, which takes seconds, need not be there yet.
    """
    if not isinstance(sources, list | tuple):
        sources = [DEFAULT_MODEL if sources is None else sources]
    return [model for source in sources for model in find_models(source, selection)]


def find_models(source: Path | str, selection: str | None = None) -> list[ModelSource]:
    """The models of a source, in order.

    Args:
        source: A trained fold's folder; an archive of one; a system's folder, for all folds that it holds; or a name, of
            ESPnet's model zoo or of the hub. What lies here comes first.
        selection: Whose epoch counts, of :data:`~espnet_ser.evaluation.predictions.SELECTIONS`; None for the one that is the
            headline: the last epoch, or what the dev part chose. An archive holds one epoch alone.

    Raises:
        InputError: When there is no such thing, or the weights of that epoch were not kept or are others now.
    """
    if selection is not None and selection not in SELECTIONS:
        raise unknown_name("selection", str(selection), SELECTIONS)
    path = _local(source)
    if not path.is_dir():
        if selection not in (None, "last"):
            raise InputError(f"{source}: an archive, which holds one epoch's weights; leave the selection ({selection}) out")
        if path.suffix in (".pth", ".pt", ".bin", ".safetensors"):
            raise InputError(f"{source}: a file of weights; name the folder that it lies in, with its config.yaml")
        if path.is_file() and not is_archive(path):
            raise InputError(f"{source}: not a zip, tar or tar.gz archive; name a model's folder or such an archive")
        return [ModelSource(path, None)]
    is_model = (path / CONFIG_FILE).is_file() or (path / META_FILE).is_file()
    folders = [path] if is_model else list(trained_folds(path).values()) or [path]
    for folder in folders:
        find_model(folder, folder)
    return [ModelSource(folder, selected_weights(folder, selection)) for folder in folders]


def _local(source: Path | str) -> Path:
    """Where it lies on this machine, fetched if need be."""
    name = str(source)
    if not name.strip():
        raise InputError("an empty name; name a trained model's folder, an archive of it, or a model of the hub")
    path = Path(source)
    if path.exists():
        return path
    if isinstance(source, Path) or path.is_absolute() or name.startswith("."):
        raise InputError(f"{source}: no such model; name a trained fold's folder, a system's (exp/NAME), or an archive of one")
    from espnet_ser.model_io.hub import fetch_model

    return fetch_model(name)


def selected_weights(folder: Path, selection: str | None) -> Path | None:
    """The weights that stage 5 chose in a fold's folder; None for those of the last epoch, which are there before.

    Args:
        folder: The fold's.
        selection: As :func:`find_models`.

    Raises:
        InputError: When that epoch's weights were not kept, or are others now.
    """
    path = folder / SELECTION_FILE
    if selection == "last" or (selection is None and not path.is_file()):
        return None
    if not path.is_file():
        raise InputError(f"{path} is missing: run stage 5, which chooses the epochs, or leave the selection ({selection}) out")
    try:
        models = json.loads(read_small_file(path, _MAX_SELECTION_BYTES))["models"]
        selection = selection or headline(models)
        if selection == "last":
            return None
        epoch, name, sha256 = _file_of(models[selection]) if selection in models else (0, "", "")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: not what stage 5 writes; run it again") from error
    if not epoch:
        raise InputError(f"{path}: chooses no epoch by {selection}; take another selection")
    if not name:
        raise InputError(
            f"{folder}: the weights of epoch {epoch}, which {selection} chooses, were not kept; take another selection, or "
            f'train with --stage2_args "--keep_nbest_models 100"'
        )
    if not (folder / name).is_file() or file_sha256(folder / name) != sha256:
        raise InputError(f"{folder / name}: missing, or not the weights that stage 5 chose; run stage 5 again")
    return folder / name


def _file_of(model: Mapping) -> tuple[int, str, str]:
    epoch, name, sha256 = int(model["epoch"]), model["model"] or "", model["sha256"] or ""
    if Path(name).name != name:
        raise ValueError("a file next to selection.json")
    return epoch, name, sha256

"""Where a trained model's files lie: in the folder that training left, or in an archive of one."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from espnet_ser.errors import InputError
from espnet_ser.model_io.archive import unpack_archive
from espnet_ser.utils.yaml_mapping import read_yaml_mapping

CONFIG_FILE = "config.yaml"
META_FILE = "meta.yaml"
"""What ESPnet's ``pack`` writes: which file of an archive is which."""


class ModelFolder(NamedTuple):
    """A trained model on disk.

    Attributes:
        folder: Holds ``config.yaml``, the weights and the tokens.
        model_file: What was trained, where the archive names it; None for the usual name.
    """

    folder: Path
    model_file: Path | None


@contextmanager
def opened_model(source: Path | str) -> Iterator[ModelFolder]:
    """A model's folder while the body runs; an archive's is removed after it.

    Args:
        source: A folder, or a zip, tar or tar.gz of one.

    Raises:
        InputError: When there is no such thing, or the archive is not one to be trusted; see
            :func:`espnet_ser.model_io.archive.unpack_archive`.
    """
    source = Path(source)
    if not source.exists():
        raise InputError(f"{source}: no such model; name a trained model's folder, or an archive of it")
    if source.is_dir():
        yield find_model(source, source)
        return
    if not source.is_file():
        raise InputError(f"{source}: neither a folder nor an archive; name a trained model")
    with tempfile.TemporaryDirectory(prefix="espnet_ser_") as temporary:
        folder = Path(temporary) / "model"
        try:
            yield find_model(unpack_archive(source, folder), source)
        except InputError as error:  # what is wrong lies in the archive, for the user
            raise InputError(str(error).replace(str(folder), str(source))) from error


def find_model(folder: Path, source: Path) -> ModelFolder:
    """The model in a folder: the one that ``meta.yaml`` names, its own, or the only one below.

    Args:
        folder: Where to look.
        source: What the user named; errors name it.

    Raises:
        InputError: When there is none, or more than one.
    """
    if (folder / META_FILE).is_file():
        meta = read_yaml_mapping(folder / META_FILE, missing="it was there a moment ago")
        config = _named_file(folder, meta, "yaml_files", "train_config", source)
        return ModelFolder(config.parent, _named_file(folder, meta, "files", "model_file", source))
    if (folder / CONFIG_FILE).is_file():
        return ModelFolder(folder, None)
    below = (
        [] if folder == source else sorted({p.parent for name in (META_FILE, CONFIG_FILE) for p in folder.glob(f"*/{name}")})
    )
    if len(below) != 1:
        places = ", ".join(repr(path.name) for path in below[:5])
        found = (
            f"holds several models ({places}); pack one of them"
            if below
            else f"{CONFIG_FILE} is missing; train the model first"
        )
        raise InputError(f"{source}: {found} (stage 3 for intermediate models, stage 4 for SER)")
    return find_model(below[0], source)


def _named_file(folder: Path, meta: Mapping[str, object], group: str, ending: str, source: Path) -> Path:
    """The file that ``meta.yaml`` names under a key with this ending, within the folder."""
    files = meta.get(group)
    names = [value for key, value in files.items() if str(key).endswith(ending)] if isinstance(files, dict) else []
    if len(names) != 1 or not isinstance(names[0], str):
        raise InputError(f"{source}: {META_FILE} must name one *{ending} among its {group}; pack the model again")
    path = PurePosixPath(names[0])
    # ESPnet packs a file from elsewhere under its absolute path, and zip and tar leave out the slash that it begins with.
    inside = folder / (path.relative_to("/") if path.is_absolute() else path)
    if not inside.is_file() or not inside.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{source}: {META_FILE} names {names[0][:200]!r}, which is not in it; pack the model again")
    return inside

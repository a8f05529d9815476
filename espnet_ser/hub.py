"""The only place that touches the network: pretrained encoders by name."""

from pathlib import Path

from espnet_ser.encoder_folder import ENCODER_FILES
from espnet_ser.errors import InputError


def resolve_encoder(name_or_dir: str) -> Path:
    """The local folder of an encoder: the folder itself, or a snapshot of the hub's repository of that name.

    Args:
        name_or_dir: A folder with ``config.json`` and weights in transformers' format, or a hub name such as
            ``facebook/wav2vec2-base``. A name that was fetched before is found again without a network.

    Raises:
        InputError: When it is neither, or cannot be fetched.
    """
    if not name_or_dir.strip():
        raise InputError("--ssl: an empty name; name a folder that transformers saved, or a model of the hub")
    folder = Path(name_or_dir)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise InputError(f"--ssl {name_or_dir}: no config.json in this folder; name a folder that transformers saved")
        return folder.resolve()
    if folder.is_absolute() or name_or_dir.startswith(".") or name_or_dir.count("/") > 1:
        raise InputError(f"--ssl {name_or_dir}: no such folder")

    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        try:
            snapshot = Path(snapshot_download(name_or_dir, allow_patterns=list(ENCODER_FILES), local_files_only=True))
        except LocalEntryNotFoundError:
            snapshot = None
        if snapshot is None or not _has_weights(snapshot):  # never fetched, or a download that was cut short
            snapshot = Path(snapshot_download(name_or_dir, allow_patterns=list(ENCODER_FILES)))
    except HFValidationError as error:
        raise InputError(f"--ssl {name_or_dir}: neither a folder nor a name that a hub could know") from error
    except RepositoryNotFoundError as error:
        raise InputError(f"--ssl {name_or_dir}: neither a folder here nor a public model on the hub; check the name") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(
            f"--ssl {name_or_dir}: not a folder here, and the hub cannot be reached; download it elsewhere and give its folder"
        ) from error
    if _has_weights(snapshot):
        return snapshot
    raise InputError(f"--ssl {name_or_dir}: the hub's repository holds no weights that transformers can load")


def _has_weights(folder: Path) -> bool:
    return (folder / "model.safetensors").is_file() or (folder / "pytorch_model.bin").is_file()

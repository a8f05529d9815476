"""A pretrained encoder's folder, as transformers saves it: what can be known of it without loading it."""

import json
from pathlib import Path

from espnet_ser.bounded import read_small_file
from espnet_ser.encoder_config import MAX_LAYERS
from espnet_ser.errors import InputError
from espnet_ser.stamp import file_sha256

ENCODER_FILES = ("config.json", "preprocessor_config.json", "model.safetensors", "pytorch_model.bin")

_MAX_CONFIG_BYTES = 2 << 20


def encoder_identity(folder: Path) -> dict[str, str]:
    """What a pretrained encoder is, by content: the hash of each file that it is loaded from."""
    return {name: file_sha256(folder / name) for name in ENCODER_FILES if (folder / name).is_file()}


def read_encoder_config(folder: Path) -> dict:
    """The encoder's configuration as transformers saved it.

    Raises:
        InputError: When ``config.json`` is missing or no JSON.
    """
    return _read_mapping(folder / "config.json")


def wants_normalized_waveform(folder: Path) -> bool:
    """Whether the encoder's preprocessor normalises each waveform; True (wav2vec 2.0's default) where it does not say."""
    path = folder / "preprocessor_config.json"
    return bool(_read_mapping(path).get("do_normalize", True)) if path.is_file() else True


def _read_mapping(path: Path) -> dict:
    content = read_small_file(path, _MAX_CONFIG_BYTES)
    try:
        content = json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: not a transformers configuration ({error}); name a folder that transformers saved"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a transformers configuration (a {type(content).__name__}, not a mapping)")
    return content


def num_layers(folder: Path) -> int:
    """The number of the encoder's Transformer layers.

    Raises:
        InputError: When its configuration does not say.
    """
    layers = read_encoder_config(folder).get("num_hidden_layers")
    if type(layers) is not int or not 1 <= layers <= MAX_LAYERS:
        raise InputError(
            f"{folder / 'config.json'}: num_hidden_layers must be 1 to {MAX_LAYERS}, not {layers!r}; copy the encoder again"
        )
    return layers


def refuse_without_ctc(folder: Path) -> None:
    """Makes sure that a folder's model has been trained to transcribe: that its configuration names a model with CTC.

    Raises:
        InputError: When it does not.
    """
    architectures = read_encoder_config(folder).get("architectures")
    names = architectures if isinstance(architectures, list) else []
    if not any(str(name).endswith("ForCTC") for name in names):
        raise InputError(
            f"{folder}: not an ASR model with CTC (its config.json names {', '.join(map(str, names)) or 'no architecture'}), "
            "so no first stage; give a pretrained encoder with --ssl"
        )


def encoder_name(folder: Path) -> str:
    """What to call an encoder in a report: its hub name, its place in this repository, or its folder's name.

    >>> encoder_name(Path("/home/me/hub/models--facebook--wav2vec2-base/snapshots/0b5b8e8"))
    'facebook/wav2vec2-base'
    >>> encoder_name(Path("/home/me/encoders/mine"))
    'mine'
    """
    for part in folder.parts:
        if part.startswith("models--"):
            return part.removeprefix("models--").replace("--", "/")
    repository = Path(__file__).resolve().parents[1]
    return str(folder.relative_to(repository)) if folder.is_relative_to(repository) else folder.name

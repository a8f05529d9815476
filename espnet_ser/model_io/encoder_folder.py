"""A pretrained encoder's folder, as transformers saves it: what can be known of it without loading it."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from espnet_ser.data.audio import SAMPLE_RATE
from espnet_ser.errors import InputError
from espnet_ser.model_io.encoder_config import MAX_LAYERS, settings_of_encoder
from espnet_ser.utils.bounded import read_small_file
from espnet_ser.utils.files import open_regular
from espnet_ser.utils.hashing import file_sha256, fingerprint

CONFIG = "config.json"
PREPROCESSORS = ("processor_config.json", "preprocessor_config.json")
"""Where a feature extractor's settings may stand; transformers prefers the former, if it holds them."""

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""The weights, or the list of files that they are shared out among, in the order in which transformers looks for them."""

MAX_SHARDS = 1000
_LFS = b"version https://git-lfs"
_MAX_CONFIG_BYTES = 2 << 20
_MAX_INDEX_BYTES = 16 << 20
_SHARD = re.compile(r"[A-Za-z0-9][\w.-]{0,200}\.(safetensors|bin)", re.ASCII)


def encoder_identity(folder: Path, is_waveform_said: bool = False) -> dict[str, object]:
    """What a pretrained encoder is, by content: the settings and weights that are loaded, and how its input is prepared.

    What else lies in the folder does not count, nor how the files are called or when they were touched. ``folder``: as
    transformers saved it; ``is_waveform_said``: whether the user says if the waveform is normalised; then the folder is not
    asked. Raises InputError when a file is missing, nothing says whether the encoder wants normalised waveforms, or it was
    pretrained at another sample rate than 16 kHz.
    """
    _check_sampling_rate(folder)
    return {
        "config": settings_of_encoder(read_encoder_config(folder)),
        "weights": fingerprint([file_sha256(path) for path in weights_files(folder)]),
        "normalize_waveform": None if is_waveform_said else wants_normalized_waveform(folder),
    }


def read_encoder_config(folder: Path) -> dict:
    """The encoder's configuration as transformers saved it. Raises InputError when ``config.json`` is missing or no JSON."""
    return _read_mapping(folder / CONFIG)


def wants_normalized_waveform(folder: Path) -> bool:
    """Whether the encoder's preprocessor normalises each waveform. Raises InputError when no file says so: encoders differ in
    it, and the wrong way is worse than none.
    """
    for path, settings in _preprocessors(folder):
        kind = settings.get("feature_extractor_type", "Wav2Vec2FeatureExtractor")
        normalize = settings.get("do_normalize", True if kind == "Wav2Vec2FeatureExtractor" else None)  # transformers' default
        if not isinstance(normalize, bool):
            raise InputError(f"{path}: do_normalize is {normalize!r}, not true or false; {_how_to_know(folder)}")
        return normalize
    raise InputError(
        f"{folder}: {PREPROCESSORS[1]} is missing, so it is not known whether the encoder wants normalised waveforms; "
        f"{_how_to_know(folder)}"
    )


def _preprocessors(folder: Path) -> Iterator[tuple[Path, dict]]:
    """The files that hold a feature extractor's settings, and these."""
    for name in PREPROCESSORS:
        if not (folder / name).is_file():
            continue
        settings = _read_mapping(folder / name)
        if name == PREPROCESSORS[0]:  # a processor's own file, which may or may not hold its parts' settings
            settings = settings.get("feature_extractor")
        if isinstance(settings, dict):
            yield folder / name, settings


def _check_sampling_rate(folder: Path) -> None:
    for path, settings in _preprocessors(folder):
        if (rate := settings.get("sampling_rate", SAMPLE_RATE)) != SAMPLE_RATE:
            raise InputError(
                f"{path}: sampling_rate is {rate!r:.40}, and encoders are given {SAMPLE_RATE} Hz; take one pretrained at that"
            )
        return


def _how_to_know(folder: Path) -> str:
    name, revision = _hub_name(folder)
    get = (
        f"hf download {name} {PREPROCESSORS[1]} --revision {revision}" if name else "copy it from where the encoder comes from"
    )
    return (
        f"get it where there is a network ({get}), or say how the encoder was pretrained: "
        '--stage1_args "--normalize_waveform true" (or false), and the same in --stage2_args'
    )


def weights_files(folder: Path) -> dict[Path, set[str] | None]:
    """The files of an encoder's weights, sorted -> the parameters that an index lists in each; None for one without an index.
    Raises InputError when there are none, or the index is damaged or names files that are not there, or not in this folder.
    """
    if (folder / "adapter_config.json").exists():
        raise InputError(f"{folder}: cannot load the encoder's weights: they want an adapter; merge it into them first")
    for name in WEIGHTS:
        if not (folder / name).is_file():
            continue
        if not name.endswith(".json"):
            _check_pointer(folder / name)
            return {folder / name: None}
        listed: dict[Path, set[str]] = {}
        for parameter, shard in sorted(read_index(folder / name).items(), key=lambda entry: entry[1]):
            listed.setdefault(folder / shard, set()).add(parameter)
        if missing := [path.name for path in listed if not path.is_file()]:
            raise InputError(f"{folder}: {', '.join(missing[:3])}, which {name} lists, is missing; copy the encoder again")
        for path in listed:
            _check_pointer(path)
        return dict(listed)
    raise InputError(f"{folder}: cannot load the encoder's weights: none of {', '.join(WEIGHTS)} is there")


def _check_pointer(path: Path) -> None:
    """Refuses what a clone of a repository holds in the place of weights that Git LFS has not fetched."""
    with open_regular(path) as file:
        if file.read(len(_LFS)) == _LFS:
            raise InputError(f"{path}: a pointer of Git LFS in the place of the weights; run 'git lfs pull' in that clone")


def read_index(path: Path) -> dict[str, str]:
    """Parameter -> the file that it is in, as the index of weights in several files has it. Raises InputError when it is
    damaged, lists a parameter twice, or names anything but files of weights next to it.
    """

    def each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        for key, times in Counter(key for key, _ in pairs).most_common(1):
            if times > 1:
                raise ValueError(f"{key!r:.80} is listed twice")
        return dict(pairs)

    try:
        content = json.loads(read_small_file(path, _MAX_INDEX_BYTES).decode(), object_pairs_hook=each_once)
        places = content["weight_map"]
        if not isinstance(places, dict) or not places:
            raise ValueError("no weight_map")
        shards = set(places.values())
        suffix = path.name.split(".")[1]
        for name in shards:
            if not isinstance(name, str) or not (match := _SHARD.fullmatch(name)) or match[1] != suffix:
                raise ValueError(f"it names {name!r:.80}, which is no file of weights in this folder")
        if len(shards) > MAX_SHARDS:
            raise ValueError(f"it names {len(shards)} files")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        reason = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise InputError(f"{path}: not an index of weights ({reason}); copy the encoder again") from error
    return places


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
    """The number of the encoder's Transformer layers. Raises InputError when its configuration does not say."""
    layers = read_encoder_config(folder).get("num_hidden_layers")
    if type(layers) is not int or not 1 <= layers <= MAX_LAYERS:
        raise InputError(
            f"{folder / CONFIG}: num_hidden_layers must be 1 to {MAX_LAYERS}, not {layers!r}; copy the encoder again"
        )
    return layers


def check_has_ctc(folder: Path) -> None:
    """Makes sure that a folder's model has been trained to transcribe: that its configuration names a model with CTC. Raises
    InputError when it does not.
    """
    architectures = read_encoder_config(folder).get("architectures")
    names = architectures if isinstance(architectures, list) else []
    if not any(str(name).endswith("ForCTC") for name in names):
        raise InputError(
            f"{folder}: not an ASR model with CTC (its config.json names {', '.join(map(str, names)) or 'no architecture'}), "
            "so no intermediate finetuning; give a pretrained encoder with --ssl"
        )


def _hub_name(folder: Path) -> tuple[str, str]:
    """Name and commit of an encoder in the hub's cache; '' for any other."""
    for part, (_, commit) in zip(folder.parts, zip(folder.parts[1:], folder.parts[2:], strict=False), strict=False):
        if part.startswith("models--"):
            return part.removeprefix("models--").replace("--", "/"), commit
    return "", ""


def encoder_name(folder: Path) -> str:
    """What to call an encoder in a report: its hub name, its place in this repository, or its folder's name.

    >>> encoder_name(Path("/home/me/hub/models--facebook--wav2vec2-base/snapshots/0b5b8e8"))
    'facebook/wav2vec2-base'
    >>> encoder_name(Path("/home/me/encoders/mine"))
    'mine'
    """
    if name := _hub_name(folder)[0]:
        return name
    repository = Path(__file__).resolve().parents[1]
    return str(folder.relative_to(repository)) if folder.is_relative_to(repository) else folder.name


def encoder_source(folder: Path) -> str:
    """As :func:`encoder_name`, with the hub's commit: ``--ssl`` takes it and finds the same again.

    >>> encoder_source(Path("/home/me/hub/models--facebook--wav2vec2-base/snapshots/0b5b8e8"))
    'facebook/wav2vec2-base@0b5b8e8'
    """
    name, revision = _hub_name(folder)
    return f"{name}@{revision}" if name else encoder_name(folder)

"""Weights: from a pretrained encoder, from an intermediate model, and back from a trained model's folder.

Every load is checked for coverage: a parameter that should be loaded and is not is an error that names it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from espnet_ser.errors import InputError, printable
from espnet_ser.layout import FROZEN_FILE, MODEL_FILE
from espnet_ser.model_io.encoder_config import check_cost, checked_encoder_config
from espnet_ser.model_io.encoder_folder import weights_files
from espnet_ser.model_io.weights_file import (
    StoredTensor,
    check_checksums,
    first_line,
    is_in_former_format,
    tensors_in_safetensors,
    tensors_in_torch_file,
)

_FORMER_NAMES = {
    ".weight_g": ".parametrizations.weight.original0",
    ".weight_v": ".parametrizations.weight.original1",
}
"""Weight norm's names of its parameters, former and present."""


def build_encoder(config: Mapping, where: str = "the encoder's configuration") -> nn.Module:
    """A transformers encoder with fresh weights. ``config``: its configuration, with ``model_type`` ``wav2vec2``, ``hubert`` or
    ``wavlm``. Raises InputError for another type of model, or settings that do not fit together.
    """
    from transformers import HubertConfig, HubertModel, Wav2Vec2Config, Wav2Vec2Model, WavLMConfig, WavLMModel

    kinds = {
        "wav2vec2": (Wav2Vec2Config, Wav2Vec2Model),
        "hubert": (HubertConfig, HubertModel),
        "wavlm": (WavLMConfig, WavLMModel),
    }
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in kinds:
        raise InputError(f"{where}: encoders of type {model_type!r} are not supported; known: {', '.join(kinds)}")
    config_class, model_class = kinds[model_type]
    settings = checked_encoder_config(config, config_class, where)
    try:
        wanted = config_class.from_dict(settings)
        # Other kernels read the mask of padded frames in other ways. WavLM has one alone.
        wanted._attn_implementation = "eager" if model_type == "wavlm" else "sdpa"
        check_cost(wanted, where)
        return model_class(wanted)
    except InputError:
        raise
    except Exception as error:  # whatever transformers says of settings that make no sense
        raise InputError(f"{where}: does not make a model: {first_line(error)}") from error


def load_pretrained_encoder(encoder: nn.Module, folder: Path) -> None:
    """Fills an encoder with a pretrained model's weights, whatever heads that model carries beside. The files are read here and
    not by transformers, which would follow what the folder names: adapters, other files, other libraries. A structure without
    memory (torch's ``meta`` device) is only held against the weights. Raises InputError when the weights cannot be read, or a
    parameter of the encoder (but the mask embedding) is not in them.
    """
    stored, load = _encoder_weights(folder)
    names = _names_in_encoder(stored, encoder.config.model_type)
    wanted = encoder.state_dict()
    missing = sorted(wanted.keys() - names.keys() - {"masked_spec_embed"})
    if missing:
        raise InputError(f"{folder}: {len(missing)} parameters of the encoder are not in these weights: {some_names(missing)}")
    wanted = {name: tensor for name, tensor in wanted.items() if name in names}
    check_fit(wanted, {name: stored[names[name]] for name in wanted}, source=folder)
    if any(parameter.is_meta for parameter in encoder.parameters()):
        return
    weights = load()
    filled = {name: weights[names[name]].to(torch.float32, copy=True) for name in wanted}
    encoder.load_state_dict({**encoder.state_dict(), **filled}, assign=True)  # instead of a second copy


def _encoder_weights(folder: Path) -> tuple[Mapping[str, StoredTensor], Callable[[], Mapping[str, Tensor]]]:
    """What an encoder's files of weights hold, and how to read them."""
    stored: dict[str, StoredTensor] = {}
    loaders = []
    for path, listed in weights_files(folder).items():
        held, load = _weights_file(path)
        if listed is not None and (wrong := sorted(held.keys() ^ listed)):  # so that each parameter is in one file alone
            raise InputError(f"{path}: holds other weights than the index says: {some_names(wrong)}; copy the encoder again")
        stored |= held
        loaders.append(load)
    return stored, lambda: {name: tensor for load in loaders for name, tensor in load().items()}


def _weights_file(path: Path) -> tuple[Mapping[str, StoredTensor], Callable[[], Mapping[str, Tensor]]]:
    if path.suffix == ".safetensors":
        return tensors_in_safetensors(path), partial(load_file, path)
    if not is_in_former_format(path):
        return tensors_in_torch_file(path), partial(read_weights, path)
    # Published encoders may be as old as that; it cannot be listed without being read, but holds no code either.
    try:
        weights = dict(torch.load(path, map_location="cpu", weights_only=True))
        return {name: StoredTensor(tuple(tensor.shape), tensor.dtype) for name, tensor in weights.items()}, lambda: weights
    except Exception as error:  # whatever a reader says of a file made to confuse it
        raise InputError(f"{path}: damaged, or not a file of weights ({first_line(error)})") from error


def _names_in_encoder(stored: Iterable[str], model_type: str) -> dict[str, str]:
    """The encoder's name of a parameter -> its name in a file, which may be of a model with heads, or older than weight norm's
    present names.
    """
    prefix = f"{model_type}."
    with_heads = any(name.startswith(prefix) for name in stored)
    names = {}
    for name in stored:
        if name.startswith(prefix) or not with_heads:
            ours = name.removeprefix(prefix)
            for former, present in _FORMER_NAMES.items():
                if ours.endswith(former):
                    ours = ours.removesuffix(former) + present
            names[ours] = name
    return names


def read_weights(path: Path) -> dict[str, Tensor]:
    """A state dict from a file; only tensors are ever loaded from it, never code, and no more than the file holds. Raises
    InputError when it is missing, damaged or holds anything but tensors.
    """
    stored = tensors_in_torch_file(_existing(path))
    try:
        check_checksums(path)
        # Mapped, not read: a value takes memory when it is used, and none is decompressed.
        weights = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # whatever a reader says of a file made to confuse it
        raise InputError(f"{path}: damaged, or not a file of weights ({first_line(error)}); get it again") from error
    loaded = dict(dict.items(weights)) if isinstance(weights, dict) else {}
    if stored.keys() != loaded.keys() or any(
        not isinstance(tensor, Tensor) or (tuple(tensor.shape), tensor.dtype) != stored[name] for name, tensor in loaded.items()
    ):
        raise InputError(f"{path}: not a file of weights; get it again")
    return loaded


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"{path} is missing: the training that makes it has not finished")
    return path


def read_trained_weights(folder: Path, model_file: Path | None = None) -> dict[str, Tensor]:
    """All weights of a trained model: what was trained, and what lay frozen next to it. ``folder``: where training left them;
    ``model_file``: what was trained as another epoch left it, not the last one. Raises InputError when a file is missing,
    damaged or holds anything but tensors.
    """
    return read_all_weights((folder / FROZEN_FILE, model_file or folder / MODEL_FILE))


def read_all_weights(files: Iterable[Path]) -> dict[str, Tensor]:
    """The state dicts of several files as one; see :func:`read_weights`."""
    return {name: tensor for path in files for name, tensor in read_weights(path).items()}


def stored_weights(files: Iterable[Path]) -> dict[str, StoredTensor]:
    """What :func:`read_all_weights` would read, by name and shape."""
    return {name: tensor for path in files for name, tensor in tensors_in_torch_file(_existing(path)).items()}


def frozen_weights(model: nn.Module) -> dict[str, Tensor]:
    """The parameters that training does not change, by name."""
    return {name: parameter.detach() for name, parameter in model.named_parameters() if not parameter.requires_grad}


@contextmanager
def without_frozen_weights(model: nn.Module) -> Iterator[None]:
    """While the body runs, the model's state dict leaves out what is frozen, and the model loads one that does. What never
    changes would otherwise be written in every epoch: with n = 0 it is all but a few of a hundred million weights.
    """
    frozen = frozen_weights(model)

    def leave_out(_module, state, prefix, _metadata) -> None:
        for name in frozen:
            del state[prefix + name]

    def fill_in(_module, state, prefix, *_) -> None:
        for name, tensor in frozen.items():
            state.setdefault(prefix + name, tensor)

    hooks = [model.register_state_dict_post_hook(leave_out), model.register_load_state_dict_pre_hook(fill_in)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def load_weights(
    model: nn.Module, weights: Mapping[str, Tensor], fresh: Iterable[str] = (), source: object = "weights"
) -> list[str]:
    """Loads weights into a model so that each parameter and buffer is covered. Weights without memory (torch's ``meta`` device)
    are only held against the model. ``weights``: the state dict to load from; it may hold more than the model wants; ``fresh``:
    prefixes of what the model starts anew and is not to be loaded. Returns the keys of ``weights`` that the model had no use
    for. Raises InputError when a parameter is missing or has another shape; it is named.
    """
    fresh = tuple(fresh)
    wanted = {name: tensor for name, tensor in model.state_dict().items() if not (fresh and name.startswith(fresh))}
    unused = check_fit(wanted, weights, source)
    if any(weights[name].is_meta for name in wanted):
        return unused
    model.load_state_dict({**model.state_dict(), **{name: weights[name] for name in wanted}})
    return unused


def check_fit(wanted: Mapping[str, Tensor], weights: Mapping[str, Tensor | StoredTensor], source: object) -> list[str]:
    """Holds weights, or what is known of them without reading them, against what a model wants. ``wanted``: the model's
    parameters and buffers, which need have no memory yet; ``weights``: by the same names; there may be more. Returns the keys
    of ``weights`` that are not wanted. Raises InputError when one is missing, has another shape, or has whole numbers for
    fractions; it is named.
    """
    missing = sorted(wanted.keys() - weights.keys())
    if missing:
        raise InputError(f"{source}: {len(missing)} of {len(wanted)} parameters are missing: {some_names(missing)}")
    misshapen = [
        f"{name} {list(weights[name].shape)} instead of {list(tensor.shape)}"
        for name, tensor in sorted(wanted.items())
        if tuple(weights[name].shape) != tuple(tensor.shape)
    ]
    if misshapen:
        raise InputError(f"{source}: {len(misshapen)} parameters have another shape: {some_names(misshapen)}")
    for name, tensor in sorted(wanted.items()):
        if weights[name].dtype.is_floating_point != tensor.dtype.is_floating_point:
            raise InputError(f"{source}: {name} has values of type {weights[name].dtype} instead of {tensor.dtype}")
    return sorted(weights.keys() - wanted.keys())


def some_names(names: list[str], most: int = 5) -> str:
    """The first names of a list, as a part of a line."""
    shown = ", ".join(printable(name).replace("\n", "\\n")[:200] for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")

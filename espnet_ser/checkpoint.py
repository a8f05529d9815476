"""Weights: from a pretrained encoder, from stage 1 to stage 2, and back from a trained model's folder.

Every load is checked for coverage: a parameter that should be loaded and is not is an error that names it.
"""

import pickle
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from espnet_ser.errors import InputError
from espnet_ser.recipe import FROZEN_FILE, MODEL_FILE


def build_encoder(config: Mapping) -> nn.Module:
    """A transformers encoder with fresh weights.

    Args:
        config: Its configuration, with ``model_type`` ``wav2vec2`` or ``hubert``.

    Raises:
        InputError: For another type of model, or settings that do not fit together.
    """
    from transformers import HubertConfig, HubertModel, Wav2Vec2Config, Wav2Vec2Model

    kinds = {"wav2vec2": (Wav2Vec2Config, Wav2Vec2Model), "hubert": (HubertConfig, HubertModel)}
    model_type = config.get("model_type")
    if model_type not in kinds:
        raise InputError(f"encoders of type {model_type!r} are not supported; known: {', '.join(kinds)}")
    config_class, model_class = kinds[model_type]
    try:
        wanted = config_class.from_dict({key: value for key, value in config.items() if "attn_implementation" not in key})
        # Other kernels read the mask of padded frames in other ways.
        wanted._attn_implementation = "sdpa"
        return model_class(wanted)
    except Exception as error:  # whatever transformers says of settings that make no sense
        raise InputError(f"the encoder's configuration does not make a model: {_first_line(error)}") from error


def load_pretrained_encoder(encoder: nn.Module, folder: Path) -> None:
    """Fills an encoder with a pretrained model's weights, whatever heads that model carries beside.

    Raises:
        InputError: When the weights cannot be read, or a parameter of the encoder (but the mask embedding) is not in them.
    """
    try:
        loaded, info = type(encoder).from_pretrained(
            folder, config=encoder.config, dtype=torch.float32, output_loading_info=True, use_safetensors=None
        )
    except Exception as error:  # each format of weights has errors of its own
        raise InputError(f"{folder}: cannot load the encoder's weights: {_first_line(error)}") from error
    wrong = sorted(set(info["missing_keys"]) - {"masked_spec_embed"}) + sorted(str(key) for key in info["mismatched_keys"])
    if wrong:
        raise InputError(f"{folder}: {len(wrong)} parameters of the encoder are not in these weights: {_some(wrong)}")
    encoder.load_state_dict(loaded.state_dict(), assign=True)  # instead of a second copy


def read_weights(path: Path) -> dict[str, Tensor]:
    """A state dict from a file; only tensors are ever loaded from it, never code.

    Raises:
        InputError: When it is missing, damaged or holds anything but tensors.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing: the training that makes it has not finished")
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise InputError(f"{path}: damaged, or not a file of weights ({_first_line(error)})") from error
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise InputError(f"{path}: not a file of weights")
    return weights


def read_trained_weights(folder: Path, model_file: Path | None = None) -> dict[str, Tensor]:
    """All weights of a trained model: what was trained, and what lay frozen beside it.

    Args:
        folder: Where training left them.
        model_file: What was trained as another epoch left it, not the last one.

    Raises:
        InputError: When a file is missing, damaged or holds anything but tensors.
    """
    return read_weights(folder / FROZEN_FILE) | read_weights(model_file or folder / MODEL_FILE)


def frozen_weights(model: nn.Module) -> dict[str, Tensor]:
    """The parameters that training does not change, by name."""
    return {name: parameter.detach() for name, parameter in model.named_parameters() if not parameter.requires_grad}


@contextmanager
def without_frozen_weights(model: nn.Module) -> Iterator[None]:
    """While the body runs, the model's state dict leaves out what is frozen, and the model loads one that does.

    What never changes would otherwise be written in every epoch: with n = 0 it is all but a few of a hundred million weights.
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
    """Loads weights into a model so that each parameter and buffer is covered.

    Args:
        model: The model.
        weights: The state dict to load from; it may hold more than the model wants.
        fresh: Prefixes of what the model starts anew and is not to be loaded.
        source: Named in errors.

    Returns:
        The keys of ``weights`` that the model had no use for.

    Raises:
        InputError: When a parameter is missing or has another shape; it is named.
    """
    fresh = tuple(fresh)
    wanted = {name: tensor for name, tensor in model.state_dict().items() if not (fresh and name.startswith(fresh))}
    missing = sorted(wanted.keys() - weights.keys())
    if missing:
        raise InputError(f"{source}: {len(missing)} of {len(wanted)} parameters are missing: {_some(missing)}")
    misshapen = [
        f"{name} {list(weights[name].shape)} instead of {list(tensor.shape)}"
        for name, tensor in sorted(wanted.items())
        if weights[name].shape != tensor.shape
    ]
    if misshapen:
        raise InputError(f"{source}: {len(misshapen)} parameters have another shape: {_some(misshapen)}")
    model.load_state_dict({**model.state_dict(), **{name: weights[name] for name in wanted}})
    return sorted(weights.keys() - wanted.keys())


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _some(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

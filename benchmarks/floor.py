"""The floating-point operations that a row cannot do without: its arithmetic floor.

Multiplications and additions of convolutions and matrix products, two per multiply-add, of valid frames alone. What is
trained costs its forward pass and twice that for the backward pass; what is frozen costs its forward pass unless a cache
holds its output. LayerDrop leaves a trained layer out with its probability.
"""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

Count = TypeVar("Count", int, np.ndarray)
"""A number, or those of many utterances."""


def cnn_flops(config: Mapping, num_samples: Count) -> tuple[Count, Count]:
    """The CNN's forward pass over so many samples, and the number of frames that it gives."""
    flops, channels, length = 0, 1, num_samples
    for dim, kernel, stride in zip(config["conv_dim"], config["conv_kernel"], config["conv_stride"], strict=True):
        length = (length - kernel) // stride + 1
        flops += 2 * kernel * channels * dim * length
        channels = dim
    return flops, length


def embedding_flops(config: Mapping, num_frames: Count) -> Count:
    """Feature projection and positional convolution, forward."""
    dim, groups = config["hidden_size"], config["num_conv_pos_embedding_groups"]
    return 2 * num_frames * dim * (config["conv_dim"][-1] + config["num_conv_pos_embeddings"] * dim // groups)


def layer_flops(config: Mapping, num_frames: Count) -> Count:
    """One Transformer layer, forward: four projections, two products of attention, two feed-forward products."""
    dim, inner = config["hidden_size"], config["intermediate_size"]
    return 8 * num_frames * dim**2 + 4 * num_frames**2 * dim + 4 * num_frames * dim * inner


def floor_flops(config: Mapping, num_samples: Count, num_trainable_layers: int, cut: str | None = None) -> float | np.ndarray:
    """What training on one utterance must compute.

    Args:
        config: The encoder's, as in its ``config.json``.
        num_samples: Of the utterance.
        num_trainable_layers: n, from the top; with all of them, what lies between them and the CNN is trained, too.
        cut: Where a cache cuts the encoder: None, ``cnn``, ``prefix`` or ``pooled``.
    """
    num_layers = config["num_hidden_layers"]
    cnn, num_frames = cnn_flops(config, num_samples)
    embedding, layer = embedding_flops(config, num_frames), layer_flops(config, num_frames)
    whole = num_trainable_layers == num_layers
    below = (0 if whole else embedding) + (num_layers - num_trainable_layers) * layer
    frozen = {None: cnn + below, "cnn": below, "prefix": 0, "pooled": 0}[cut]
    trained = (embedding if whole else 0) + num_trainable_layers * layer * (1.0 - config["layerdrop"])
    return frozen + 3.0 * trained


def filling_flops(config: Mapping, num_samples: Count, num_trainable_layers: int, cut: str) -> float | np.ndarray:
    """What a cache of one utterance must compute."""
    everything = floor_flops(config, num_samples, 0, None)
    cnn, num_frames = cnn_flops(config, num_samples)
    if cut == "cnn":
        return cnn
    return everything - (num_trainable_layers * layer_flops(config, num_frames) if cut == "prefix" else 0)

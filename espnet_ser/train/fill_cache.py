"""Fills a cache with what the frozen part of an encoder makes of speech."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from espnet_ser.data.datadir import Example
from espnet_ser.data.frame_cache import FrameCache
from espnet_ser.data.loader import BatchFactory, UtteranceDataset
from espnet_ser.errors import InputError
from espnet_ser.models.pooling import MeanPooling
from espnet_ser.models.ser_model import SERModel
from espnet_ser.models.wav2vec2 import Wav2Vec2Encoder
from espnet_ser.tasks_table import of_kind
from espnet_ser.utils.hashing import fingerprint

BATCH_SAMPLES = 60 * 16000
"""Samples that go through the encoder at a time on a GPU."""

CACHE_CHOICES = ("auto", "none", "cnn", "prefix")


def choose_cut(model: SERModel, choice: str) -> str | None:
    """Where the cache of a training cuts its encoder.

    Args:
        model: With its encoder, and tasks: words need frames, all else only what is pooled of them.
        choice: ``none``; ``cnn``; ``prefix``, the most that is constant; or ``auto``, which is that.

    Returns:
        One of :data:`espnet_ser.models.wav2vec2.CUTS`; None where nothing is cached: asked so, or nothing is constant.

    Raises:
        InputError: For ``prefix`` where there are frozen layers and they are not constant.
    """
    encoder = model.encoder
    if choice == "prefix" and getattr(encoder, "frozen", None) == "alive" and encoder.num_frozen_layers > 0:
        raise InputError(
            "--cache prefix: what is frozen is not constant while masks and dropout are alive in it; add --frozen constant "
            "to the training's further options, or take --cache cnn"
        )
    possible = encoder.possible_cuts() if isinstance(encoder, Wav2Vec2Encoder) else []
    pools_alone = not of_kind("ctc", model.tasks) and isinstance(model.pooling, MeanPooling)
    if "pooled" in possible and not pools_alone:
        possible.remove("pooled")
    if choice == "none" or not possible:
        return None
    return "cnn" if choice == "cnn" else possible[-1]


def fill_cache(
    encoder: Wav2Vec2Encoder, cut: str, examples: Sequence[Example], root: Path, dtype: str = "float16", device: str = "cpu"
) -> FrameCache:
    """The cache that holds these utterances' frames; what is missing is computed, with a progress bar.

    Args:
        encoder: With its weights loaded.
        cut: From :func:`choose_cut`.
        examples: The utterances.
        root: Where caches lie.
        dtype: ``float16`` or ``float32``.
        device: Where to compute.

    Raises:
        InputError: When the cache is damaged, or a value does not fit the precision.
    """
    settings, weights = encoder.frozen_content(cut)
    digests = {name: _tensor_sha256(tensor) for name, tensor in sorted(weights.items())}
    key = fingerprint({"settings": settings, "weights": digests, "dtype": dtype})
    name = f"layer{encoder.num_frozen_layers}" if cut == "prefix" else cut
    cache = FrameCache(root / f"{name}-{key[:16]}", dtype)

    def compute(missing: Sequence[Example]) -> Iterator[tuple[Example, np.ndarray]]:
        from tqdm import tqdm

        by_utt = {example.utt: example for example in missing}
        # On the CPU one by one: in company, the last bits of an utterance's frames depend on who else was missing.
        size = {"batch_bins": BATCH_SAMPLES} if device != "cpu" else {"batch_size": 1}
        batches = BatchFactory(UtteranceDataset(missing, {}), **size, shuffle=False).build_iter(epoch=0)
        encoder.to(device).eval()  # a model that has just been built is in training mode, all of it
        for utts, batch in tqdm(batches, desc=f"cache {cache.folder.name}", unit="batch", mininterval=5):
            frames, counts = encoder.outputs_at(cut, batch["speech"].to(device), batch["speech_lengths"].to(device))
            for utt, values, count in zip(utts, frames.float().cpu().numpy(), counts.tolist(), strict=True):
                yield by_utt[utt], values[:count]

    def count_frames(example: Example) -> int:
        return 1 if cut == "pooled" else int(encoder.num_frames(torch.tensor(example.num_samples)))

    dim = encoder.wav2vec2.config.conv_dim[-1] if cut == "cnn" else encoder.dim
    with torch.random.fork_rng(devices=[]):  # reading batches draws a number: a training must not tell whether this one did
        cache.add(examples, compute, count_frames, dim)
    return cache


def _tensor_sha256(tensor: torch.Tensor) -> str:
    return hashlib.sha256(tensor.detach().cpu().contiguous().numpy().tobytes()).hexdigest()

"""Measures, while a model trains, how far the gradients of its tasks agree in each layer (Sec. 2.2)."""

import re
from collections.abc import Mapping

from torch import Tensor, nn

from espnet_ser.models.gradients import cosine_by_group, task_gradients

GRADIENTS_FILE = "gradients.jsonl"
"""A line ``{"epoch", "step", "cosines": {"emotion, asr": {"1": cosine, ..., "all": cosine}}}`` per measurement."""


class GradientProbe:
    """Called at every training step; measures at the first one and every so many after it. It changes no training.

    Args:
        parameters: The trained parameters that all tasks share, by name.
        every: Steps between two measurements.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], every: int):
        self.parameters = dict(parameters)
        self.every = every
        self._step = 0
        self._records: list[dict] = []

    def __call__(self, losses: Mapping[str, Tensor]) -> None:
        """Takes the weighted losses of one step, by task, while their graph is alive."""
        if self._step % self.every == 0 and len(losses) > 1:
            cosines = cosine_by_group(task_gradients(losses, self.parameters), encoder_part)
            self._records.append({"step": self._step + 1, "cosines": cosines})
        self._step += 1

    def take(self) -> list[dict]:
        """The measurements since the last call; steps count anew from here."""
        records, self._records, self._step = self._records, [], 0
        return records


def encoder_part(parameter: str) -> str:
    """Which part of the encoder a parameter belongs to: a Transformer layer, counted from 1, or ``input``.

    >>> encoder_part("encoder.wav2vec2.encoder.layers.0.attention.k_proj.weight")
    '1'
    >>> encoder_part("encoder.wav2vec2.feature_projection.projection.weight")
    'input'
    """
    layer = re.search(r"\.layers\.(\d+)\.", parameter)
    return str(int(layer[1]) + 1) if layer else "input"

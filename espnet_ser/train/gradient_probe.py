"""Measures, while a model trains, how far the gradients of its tasks agree in each layer (Sec. 2.2)."""

import re
from collections.abc import Mapping
from functools import partial

from torch import Tensor, nn

from espnet_ser.models.pcgrad import cosine_by_group, task_gradients

GRADIENTS_FILE = "gradients.jsonl"
"""A line ``{"epoch", "step", "cosines": {"emotion, asr": {"1": cosine, ..., "all": cosine}}}`` per measurement."""

OUTPUT_NORM = "output norm"


class GradientProbe:
    """Called at every training step; measures at the first one and every so many after it. It changes no training.
    ``parameters``: the trained parameters that all tasks share, by name; ``every``: steps between two measurements;
    ``norm_last``: whether the encoder's own layer norm follows its last layer (``do_stable_layer_norm``), as in XLS-R.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], every: int, norm_last: bool = False):
        self.part_of = partial(encoder_part, norm_last=norm_last)
        # Parts are listed in the order of their parameters; transformers puts this norm's before the layers' in any case.
        self.parameters = dict(sorted(parameters.items(), key=lambda named: self.part_of(named[0]) == OUTPUT_NORM))
        self.every = every
        self._step = 0
        self._records: list[dict] = []

    def __call__(self, losses: Mapping[str, Tensor]) -> None:
        """Takes the weighted losses of one step, by task, while their graph is alive."""
        if self._step % self.every == 0 and len(losses) > 1:
            cosines = cosine_by_group(task_gradients(losses, self.parameters), self.part_of)
            self._records.append({"step": self._step + 1, "cosines": cosines})
        self._step += 1

    def state_dict(self) -> dict:
        """Where it is within an epoch, as plain values."""
        return {"step": self._step, "records": self._records}

    def load_state_dict(self, state: Mapping) -> None:
        """Goes on from there."""
        self._step, self._records = state["step"], list(state["records"])

    def take(self) -> list[dict]:
        """The measurements since the last call; steps count anew from here."""
        records, self._records, self._step = self._records, [], 0
        return records


def encoder_part(parameter: str, norm_last: bool = False) -> str:
    """Which part of the encoder a parameter belongs to. ``parameter``: its name in the model; ``norm_last``: whether the
    encoder's own layer norm follows the last layer; else it comes before the first one. Returns the number of a Transformer
    layer, counted from 1; ``input`` for what lies below, ``output norm`` for the norm above; of the CNN-LSTM encoder
    ``convolutions`` or ``lstm``; ``pooling`` for what lies above all of it.

    >>> encoder_part("encoder.wav2vec2.encoder.layers.0.attention.k_proj.weight")
    '1'
    >>> encoder_part("encoder.wav2vec2.feature_projection.projection.weight")
    'input'
    >>> encoder_part("encoder.wav2vec2.encoder.layer_norm.weight", norm_last=True)
    'output norm'
    >>> encoder_part("encoder.lstm.weight_ih_l0")
    'lstm'
    """
    if layer := re.search(r"\bencoder\.layers\.(\d+)\.", parameter):
        return str(int(layer[1]) + 1)
    if block := re.match(r"(?:encoder\.)?(convolutions|lstm|pooling)\.", parameter):
        return block[1]
    return OUTPUT_NORM if norm_last and ".encoder.layer_norm." in parameter else "input"

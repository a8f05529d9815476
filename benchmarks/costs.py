"""Seconds, operations and bytes of one training of the recipe, from the rates that speed.py has measured."""

from collections.abc import Mapping

import torch
from corpus import HELD_OUT_UTTS, NUM_UTTS, sample_durations
from floor import filling_flops, floor_flops
from transformers import Wav2Vec2Config, Wav2Vec2Model

from espnet_ser.data.audio import SAMPLE_RATE
from espnet_ser.experiment.systems import PAPER_LAYERS

KEPT_EPOCHS = {"stage1": 1, "ser": 2}
"""Models of a training that stay, at most: the last, and for emotion the best on the test fold."""


class Costs:
    """Of trainings of wav2vec2-base on IEMOCAP's lengths, a fifth of them held out.

    Args:
        rows: Those of ``speed.json``.
        epochs: Of every training.
        flops_per_s: The rate of all that is computed, in place of the measured ones.
    """

    def __init__(self, rows: Mapping[str, Mapping], epochs: int, flops_per_s: float | None = None):
        self.rows, self.epochs, self.flops_per_s = rows, epochs, flops_per_s
        config = Wav2Vec2Config()
        self._config = config.to_dict()
        self._samples = (sample_durations(NUM_UTTS) * SAMPLE_RATE).astype(int)
        with torch.device("meta"):
            encoder = Wav2Vec2Model(config)
        self._values = sum(value.numel() for value in encoder.parameters())
        self._values_of_layer = sum(value.numel() for value in encoder.encoder.layers[0].parameters())
        self._values_of_cnn = sum(value.numel() for value in encoder.feature_extractor.parameters())

    def missing(self, stage: str, num_layers: int) -> list[str]:
        """The rows that would have to be measured, to know what a training and the CNN's cache take."""
        return [name for name in (_like(stage, num_layers), "fill_cnn") if "seconds" not in self.rows.get(name, {})]

    def training_flops(self, num_layers: int) -> float:
        """Operations of all epochs with so many layers trained and the CNN's output read from a cache: steps, and scores."""
        step, forward = (floor_flops(self._config, self._samples, layers, "cnn").mean() for layers in (num_layers, 0))
        return self.epochs * (step * (NUM_UTTS - HELD_OUT_UTTS) + forward * HELD_OUT_UTTS)

    def training_s(self, stage: str, num_layers: int) -> float:
        """Seconds of a training, at the rate of the measured one that is most like it."""
        return self.training_flops(num_layers) / self._rate(_like(stage, num_layers))

    def filling_s(self) -> float:
        """Seconds to fill the cache of the CNN's output."""
        return filling_flops(self._config, self._samples, PAPER_LAYERS, "cnn").sum() / self._rate("fill_cnn")

    def cache_gb(self) -> float:
        """Of that cache."""
        return NUM_UTTS * self.rows["fill_cnn"]["cache_gb_per_utterance"]

    def model_gb(self, stage: str, num_layers: int) -> float:
        """What a finished training leaves, in float32; predictions and embeddings are small beside it."""
        trained = num_layers * self._values_of_layer
        if num_layers == PAPER_LAYERS:
            trained = self._values - self._values_of_cnn
        return 4e-9 * (trained * KEPT_EPOCHS[stage] + self._values - trained)

    def _rate(self, name: str) -> float:
        return self.flops_per_s or self.rows[name]["flops"] / self.rows[name]["seconds"]


def _like(stage: str, num_layers: int) -> str:
    """The row that was measured of the training most like this one."""
    if stage == "stage1":
        return "ours_stage1"
    return {0: "ours_n0", PAPER_LAYERS: "ours_full"}.get(num_layers, "ours_stage2")

"""Several trained models as one."""

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from rapidfuzz.distance import Levenshtein
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from espnet_ser.data.audio import MAX_DURATION_S, SAMPLE_RATE
from espnet_ser.data.tokens import Tokenizer, collapse
from espnet_ser.errors import InputError
from espnet_ser.inference.find_models import ModelSource
from espnet_ser.model_io.load import load_model
from espnet_ser.models.ser_model import SERModel
from espnet_ser.tasks_table import TASKS, of_kind, of_utterances


class LoadedModel(NamedTuple):
    """A trained model in memory."""

    source: object  # where it came from, for errors
    network: SERModel  # in eval mode
    labels: Mapping[str, Sequence[str]]  # class names of each utterance task that it has a head for
    tokenizer: Tokenizer | None  # spells what it transcribes; None without that head
    # from :func:`espnet_ser.data.leakage.describe_training_data`; None where it does not say
    trained_on: Mapping[str, object] | None = None

    @classmethod
    def load(cls, found: ModelSource, device: str) -> "LoadedModel":
        """Loads it; see :func:`espnet_ser.model_io.load.load_model`."""
        network, args = load_model(found.source, device, found.model_file)
        labels = {task: list(args.labels.get(task, ())) for task in of_utterances(network.tasks)}
        trained_on = getattr(args, "trained_on", None) or None
        return cls(found.model_file or found.source, network, labels, args.tokenizer, trained_on)


class Outputs(NamedTuple):
    """What all models make of a waveform."""

    values: dict[str, np.ndarray]  # of each utterance task posteriors [classes] or a number [1]: the mean over the models
    paths: list[np.ndarray]  # of each model that transcribes: the likeliest token of each frame, [num_frames]
    embedding: np.ndarray  # the last layer's mean over frames, of one model after the other: [models * dim], float32


class OutOfMemory(InputError):
    """There is too little memory for a batch."""


class Ensemble:
    """Several trained models as one, or one alone.

    Args:
        models: Models that share a task must share its classes.
        device: Where they are.

    Attributes:
        labels: Class names of each utterance task that is predicted.
        transcribes: Whether words are predicted.
        trained_on: What each model says of its training data, in order; see :class:`LoadedModel`.
        least_samples: The length of the shortest waveform that gives each model a frame.

    Raises:
        InputError: When the models know different classes, or there is none.
    """

    def __init__(self, models: Sequence[LoadedModel], device: str = "cpu"):
        if not models:
            raise InputError("no model: name one or more")
        self.labels: dict[str, Sequence[str]] = {}
        for model in models:
            for task, classes in model.labels.items():
                if self.labels.setdefault(task, classes) != classes:
                    raise InputError(
                        f"{model.source}: its classes of {task} are {', '.join(classes)}, those of a model before it "
                        f"{', '.join(self.labels[task])}; models of different classes are no ensemble: give them one at a time"
                    )
        self.least_samples = max(_least_samples(model.network) for model in models)
        self._models = list(models)
        self._tokenizers = [model.tokenizer for model in models if model.tokenizer is not None]
        self.transcribes = bool(self._tokenizers)
        self.trained_on = [model.trained_on for model in models]
        self._device = device

    @torch.no_grad()
    def outputs(self, speech: Sequence[Tensor]) -> list[Outputs]:
        """What the models make of a batch. ``speech``: waveforms at 16 kHz, each [num_samples] with at least ``least_samples``.
        Raises OutOfMemory when there is too little memory for it.
        """
        lengths = torch.tensor([len(waveform) for waveform in speech], device=self._device)
        padded = pad_sequence(speech, batch_first=True).to(self._device)  # [batch, samples]
        values: dict[str, list[np.ndarray]] = {task: [] for task in self.labels}
        paths, embeddings = [], []
        for model in self._models:
            try:
                outputs = model.network.logits(padded, lengths)
            except (MemoryError, RuntimeError) as error:
                if isinstance(error, RuntimeError) and not re.search("out of memory|can't allocate memory", str(error)):
                    raise
                raise OutOfMemory("out of memory: take fewer seconds in a batch, or shorter windows") from error
            for task in model.labels:
                output = outputs[task].double()
                values[task].append((output if TASKS[task].kind == "regression" else output.softmax(-1)).cpu().numpy())
            for task in of_kind("ctc", outputs) if model.tokenizer is not None else ():
                frames = zip(outputs[task].argmax(-1).cpu().numpy(), outputs["num_frames"].tolist(), strict=True)
                paths.append([path[:num_frames] for path, num_frames in frames])
            embeddings.append(outputs["embedding"].float().cpu().numpy())
        means = {task: np.mean(of_models, axis=0) for task, of_models in values.items()}  # [batch, classes]
        joined = np.concatenate(embeddings, axis=1)  # [batch, models * dim]
        return [
            Outputs({task: mean[i] for task, mean in means.items()}, [of_model[i] for of_model in paths], joined[i])
            for i in range(len(speech))
        ]

    def transcript(self, paths: Sequence[np.ndarray]) -> str | None:
        """The text that the models agree on best: the one that is nearest to those of all, by edits of characters. Frames of
        different models do not line up, so their posteriors have no mean; and the most confident model may be one whose text is
        empty. ``paths``: as in :class:`Outputs`, one for each model that transcribes. Returns the text, the first of several;
        None where no model transcribes.
        """
        texts = [t.ids_to_text(collapse(path.tolist())) for t, path in zip(self._tokenizers, paths, strict=True)]
        return consensus(texts) if texts else None


def consensus(texts: Sequence[str]) -> str:
    """The text with the fewest edits of characters to all others; the first of several.

    >>> consensus(["", "YES I", "YES I DO", "YES"])
    'YES I'
    """
    return min(texts, key=lambda text: sum(Levenshtein.distance(text, other) for other in texts))


def _least_samples(network: SERModel) -> int:
    lengths = range(MAX_DURATION_S * SAMPLE_RATE)
    return bisect_left(lengths, 1, key=lambda length: int(network.encoder.num_frames(torch.tensor(length))))

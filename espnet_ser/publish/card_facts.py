"""What a model card is made of."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from espnet_ser.corpus.counts import FOUR_CLASS
from espnet_ser.corpus.iemocap import EMOTIONS
from espnet_ser.corpus.record import Corpus, is_synthetic
from espnet_ser.data.datadir import Example
from espnet_ser.evaluation.intervals import intervals
from espnet_ser.evaluation.metrics import score

IEMOCAP, SYNTHETIC, OTHER = "IEMOCAP", "synthetic", "other"
"""What a model was trained on, as far as the data itself shows."""

NOT_STATED = "not stated"
HUB_NAME = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"
"""A repository of the Hugging Face hub, as a regular expression."""


@dataclass(frozen=True)
class CardFacts:
    """All that a card tells.

    Attributes:
        system: Name of the system.
        fold: Name of the fold whose model it is.
        encoder: The pretrained encoder's name, with its revision where it has one: ``facebook/wav2vec2-base@0b5b8e8``.
        norm: ``group`` or ``layer``, the encoder's; None for another kind of encoder.
        labels: Class names of each utterance task of the SER model.
        trained_on: Training, in words -> what :func:`espnet_ser.data.leakage.describe_training_data` says of it.
        test: The utterances that the fold holds out.
        corpus: What stage 1 recorded of it.
        origin: From :func:`origin_of`.
        lines: The model's predictions of the held-out utterances (``predictions_last.jsonl``).
        results: The system's ``results.json``.
        settings: The settings of ``run.json``.
        command: The command that trained and scored, as ``run.json`` has it.
        exported: Task -> its folder in plain transformers' format.
        left_out: Task -> why there is none.
        measured: From :func:`espnet_ser.publish.onnx.measure`; None where it was not.
        onnx: Whether there is an ONNX export.
    """

    system: str
    fold: str
    encoder: str
    norm: str | None
    labels: Mapping[str, Sequence[str]]
    trained_on: Mapping[str, Mapping]
    test: Sequence[Example]
    corpus: Corpus
    origin: str
    lines: Sequence[Mapping]
    results: Mapping
    settings: Mapping[str, object] = field(default_factory=dict)
    command: str = ""
    exported: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    measured: Mapping | None = None
    onnx: bool = False

    @property
    def encoder_on_hub(self) -> tuple[str, str]:
        """Name and revision of a pretrained encoder of the hub; of another, nothing."""
        found = re.fullmatch(rf"({HUB_NAME})(?:@([\w.-]+))?", self.encoder) if self.norm is not None else None
        return (found[1], found[2] or "") if found else ("", "")

    @property
    def is_iemocap(self) -> bool:
        """Whether the corpus is IEMOCAP, or a part of it."""
        return self.corpus.is_iemocap or self.origin == IEMOCAP

    def scores(self) -> tuple[Mapping, Mapping]:
        """This model's scores of what the fold holds out, and the intervals of its UA and WA."""
        columns = ([[line[key] for line in self.lines]] for key in ("ref", "hyp", "speaker"))
        return score(self.lines), intervals(*columns)


def origin_of(four_class: Sequence[Example]) -> str:
    """Whether utterances are IEMOCAP's: by their counts, and those of a spoken release by its mark.

    Args:
        four_class: All utterances of the four classes.
    """
    if is_synthetic(example.wav for example in four_class):
        return SYNTHETIC
    found = Counter((example.session, example.gender, example.emotion) for example in four_class)
    published = {
        (str(session), gender, emotion): count
        for (session, gender), row in FOUR_CLASS.items()
        for emotion, count in zip(EMOTIONS, row, strict=True)
    }
    return IEMOCAP if dict(found) == published else OTHER

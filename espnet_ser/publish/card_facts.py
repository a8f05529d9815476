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
from espnet_ser.evaluation.metrics import refs_and_hyps, score

IEMOCAP, SYNTHETIC, OTHER = "IEMOCAP", "synthetic", "other"  # what a model was trained on, as far as the data itself shows

NOT_STATED = "not stated"
HUB_NAME = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"  # a repository of the Hugging Face hub, as a regular expression


@dataclass(frozen=True)
class CardFacts:
    """All that a card tells."""

    system: str  # name of the system
    fold: str  # name of the fold whose model it is
    encoder: str  # the pretrained encoder's name, with its revision where it has one: ``facebook/wav2vec2-base@0b5b8e8``
    norm: str | None  # ``group`` or ``layer``, the encoder's; None for another kind of encoder
    labels: Mapping[str, Sequence[str]]  # class names of each utterance task of the SER model
    # training, in words -> what :func:`espnet_ser.data.leakage.describe_training_data` says of it
    trained_on: Mapping[str, Mapping]
    test: Sequence[Example]  # the utterances that the fold holds out
    corpus: Corpus  # what stage 1 recorded of it
    origin: str  # from :func:`origin_of`
    lines: Sequence[Mapping]  # the model's predictions of the held-out utterances (``predictions_last.jsonl``)
    results: Mapping  # the system's ``results.json``
    settings: Mapping[str, object] = field(default_factory=dict)  # the settings of ``run.json``
    command: str = ""  # the command that trained and scored, as ``run.json`` has it
    exported: Mapping[str, str] = field(default_factory=dict)  # task -> its folder in plain transformers' format
    left_out: Mapping[str, str] = field(default_factory=dict)  # task -> why there is none
    measured: Mapping | None = None  # from :func:`espnet_ser.publish.onnx.measure`; None where it was not
    onnx: bool = False  # whether there is an ONNX export

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
        refs, hyps = refs_and_hyps(self.lines)
        return score(self.lines), intervals([refs], [hyps], [[line["speaker"] for line in self.lines]])


def origin_of(four_class: Sequence[Example]) -> str:
    """Whether utterances are IEMOCAP's: by their counts, and those of a spoken release by its mark. ``four_class``: all
    utterances of the four classes.
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

"""What is told of a recording."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Decision:
    """What is told of one question.

    Attributes:
        label: The likeliest class.
        scores: Class -> posterior; they sum to 1.
    """

    label: str
    scores: dict[str, float]


@dataclass(frozen=True)
class Moment(Decision):
    """The emotion of a window of a long recording, which lasts from ``start_s`` to ``end_s``, in seconds."""

    start_s: float
    end_s: float


@dataclass(frozen=True)
class Prediction:
    """What is told of one recording; None for what no model has a head for.

    Attributes:
        label: The likeliest emotion.
        scores: Emotion -> posterior.
        gender: ``f`` or ``m``.
        style: ``improvised`` or ``scripted``.
        text: Transcript.
        duration_s: Length of the recording, in seconds.
        speech: Whether it is loud enough to hold speech (:func:`espnet_ser.inference.level.is_loud_enough`); of one that is
            not, what is predicted means nothing.
        timeline: The emotion in each window, in order; empty where the recording was told in one piece.
        embedding: [dim], float32, the last layer's mean over frames, of several models one after the other; where asked for.
    """

    label: str | None
    scores: dict[str, float] | None
    gender: Decision | None
    style: Decision | None
    text: str | None
    duration_s: float
    speech: bool = True
    timeline: tuple[Moment, ...] = ()
    embedding: np.ndarray | None = field(default=None, compare=False, repr=False)

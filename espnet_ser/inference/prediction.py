"""What is predicted for a recording."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from espnet_ser.tasks_table import MAIN_TASK, TASKS, of_kind


@dataclass(frozen=True)
class Decision:
    """One of several classes.

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
    """What is predicted for one recording.

    Each task is an attribute too (``gender``, ``style``, ...), and None where no model has a head for it.

    Attributes:
        outputs: Task -> its :class:`Decision`, its number or, of words, the transcript; of those that models have heads for.
        duration_s: Length of the recording, in seconds.
        speech: Whether it is loud enough to hold speech (:func:`espnet_ser.inference.level.is_loud_enough`); of one that is
            not, what is predicted means nothing.
        timeline: The emotion in each window, in order; empty where the recording was not cut.
        embedding: [dim], float32, the last layer's mean over frames, of several models one after the other; where asked for.
    """

    outputs: Mapping[str, Decision | float | str]
    duration_s: float
    speech: bool = True
    timeline: tuple[Moment, ...] = ()
    embedding: np.ndarray | None = field(default=None, compare=False, repr=False)

    def __getattr__(self, name: str) -> Decision | float | str | None:
        if name not in TASKS:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return self.outputs.get(name)

    @property
    def label(self) -> str | None:
        """The likeliest emotion."""
        return self.outputs[MAIN_TASK].label if MAIN_TASK in self.outputs else None

    @property
    def scores(self) -> dict[str, float] | None:
        """Emotion -> posterior."""
        return self.outputs[MAIN_TASK].scores if MAIN_TASK in self.outputs else None

    @property
    def text(self) -> str | None:
        """Transcript."""
        return next((self.outputs[task] for task in of_kind("ctc", self.outputs)), None)

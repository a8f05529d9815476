"""What a task is: the one table of all that a system may predict. A new task is an entry of :data:`TASKS`.

Whatever else is done with a task goes by its kind, through a small table where it is done: targets (``data/loader.py``), heads
and losses (``models/``), decoding and scores (``evaluation/``), and so on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as data_field
from math import isfinite

MAIN_TASK = "emotion"
"""What every system predicts in the end; the others are auxiliary (Eq. 1)."""

KINDS = ("classes", "regression", "ctc")


@dataclass(frozen=True)
class TaskSpec:
    """A task.

    Attributes:
        name: What systems, options and files call it.
        kind: ``classes``: one of several names; ``regression``: a number; ``ctc``: words, spelt with the fold's tokens.
        field: Of an utterance (:class:`espnet_ser.data.datadir.Example`), which holds the target; by default the task's name.
        file: Of a data directory, with a line for each utterance; by default ``utt2<name>``.
        speaker_file: A file that gives it for each speaker, where there is such a one.
        classes: All classes, where they are fixed; else they are those of the corpus.
        reversible: Whether its gradient may be reversed in the encoder (Eq. 2).
        sees_skip: Whether its head sees the skip branch (Sec. 2.3).
        prefixed: Whether its scores bear its name: ``gender_ua``, but ``wer``.
        title: What the demo calls it.
        shown: Class -> what the demo calls it.
    """

    name: str
    kind: str = "classes"
    field: str = ""
    file: str = ""
    speaker_file: str = ""
    classes: tuple[str, ...] = ()
    reversible: bool = False
    sees_skip: bool = False
    prefixed: bool = True
    title: str = ""
    shown: Mapping[str, str] = data_field(default_factory=dict)

    def __post_init__(self):
        assert self.kind in KINDS, self.kind
        for name, default in {"field": self.name, "file": f"utt2{self.name}", "title": self.name.capitalize()}.items():
            object.__setattr__(self, name, getattr(self, name) or default)

    def score(self, metric: str) -> str:
        """The name of one of its scores in ``results.json``."""
        return f"{self.name}_{metric}" if self.prefixed else metric

    def fault(self, target: str) -> str:
        """What a target should be, where it is something else; '' for a good one.

        >>> TASKS["gender"].fault("x"), TaskSpec("valence", "regression").fault("2.5")
        ('f or m', '')
        """
        if self.kind == "regression":
            return "" if _is_number(target) else "a number"
        return " or ".join(self.classes) if self.classes and target not in self.classes else ""


def _is_number(text: str) -> bool:
    try:
        return isfinite(float(text))
    except ValueError:
        return False


TASKS: dict[str, TaskSpec] = {
    spec.name: spec
    for spec in (
        TaskSpec(MAIN_TASK, prefixed=False),
        TaskSpec("asr", "ctc", field="text", file="text", prefixed=False, title="Words"),
        TaskSpec(
            "gender",
            speaker_file="spk2gender",
            classes=("f", "m"),
            reversible=True,
            sees_skip=True,
            title="Voice",
            shown={"f": "female", "m": "male"},
        ),
        TaskSpec("style", reversible=True, title="Speech"),
    )
}
"""By name, in the order of a model's heads."""


def of_kind(kind: str, tasks: Iterable[str] | None = None) -> list[str]:
    """Those tasks that are of a kind, in the table's order; of all, if none are given.

    >>> of_kind("ctc", ["emotion", "asr"]), of_kind("classes")
    (['asr'], ['emotion', 'gender', 'style'])
    """
    among = TASKS if tasks is None else set(tasks)
    return [name for name, spec in TASKS.items() if name in among and spec.kind == kind]


def of_utterances(tasks: Iterable[str] | None = None) -> list[str]:
    """Those tasks whose heads see what is pooled of an utterance: all but words."""
    among = TASKS if tasks is None else set(tasks)
    return [name for name, spec in TASKS.items() if name in among and spec.kind != "ctc"]


def reversible() -> list[str]:
    """Those tasks whose gradient may be reversed."""
    return [name for name, spec in TASKS.items() if spec.reversible]


def skipping(tasks: Iterable[str]) -> list[str]:
    """Those of some tasks whose heads see the skip branch."""
    return [task for task in tasks if TASKS[task].sees_skip]


def auxiliary() -> list[TaskSpec]:
    """The tasks besides the main one, in the order in which they are shown: by kind, then as in the table."""
    return sorted((spec for spec in TASKS.values() if spec.name != MAIN_TASK), key=lambda spec: KINDS.index(spec.kind))

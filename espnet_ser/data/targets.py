"""What each task learns from, and where a corpus says it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from espnet_ser.data.datadir import Example
from espnet_ser.errors import InputError

TARGETS = {"emotion": ("emotion", "utt2emotion"), "asr": ("text", "text")}
TARGETS |= {"gender": ("gender", "utt2gender or spk2gender"), "style": ("style", "utt2style")}
"""Task -> the field of an utterance that holds its target, and the file of a data directory that holds the field."""


def refuse_missing_targets(tasks: Iterable[str], examples: Sequence[Example], folder: Path) -> None:
    """Stops a system with a task of which the corpus says nothing. ``tasks``: what is to be trained; ``examples``: the
    utterances to train on. Raises InputError: names the task, the file, and what else can be done.
    """
    for task in tasks:
        field, files = TARGETS[task]
        if not any(getattr(example, field) for example in examples):
            raise InputError(
                f"{folder}: nothing to learn {task} from: {files} is missing or empty; add it to the corpus, or take a system "
                f"without {task} (espnet-ser systems lists them)"
            )

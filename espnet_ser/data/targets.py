"""What each task learns from, and where a corpus says it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from espnet_ser.data.datadir import Example
from espnet_ser.errors import InputError
from espnet_ser.tasks_table import TASKS


def check_has_targets(tasks: Iterable[str], examples: Sequence[Example], folder: Path) -> None:
    """Stops a system with a task of which the corpus says nothing. ``tasks``: what is to be trained; ``examples``: the
    utterances to train on. Raises InputError: names the task, the file, and what else can be done.
    """
    for task in tasks:
        if not any(example.target(task) for example in examples):
            files = " or ".join(filter(None, (TASKS[task].file, TASKS[task].speaker_file)))
            raise InputError(
                f"{folder}: nothing to learn {task} from: {files} is missing or empty; add it to the corpus, or take a system "
                f"without {task} (espnet-ser systems lists them)"
            )

"""Scores of parts of the test data: by style, by whether training had the same words, by gender, by duration."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence

from espnet_ser.data.audio import SAMPLE_RATE
from espnet_ser.data.datadir import Example
from espnet_ser.errors import InputError
from espnet_ser.evaluation.metrics import part_scores
from espnet_ser.tasks_table import MAIN_TASK, of_kind

DURATION_BANDS = {"under 2 s": 2.0, "2 to 4 s": 4.0, "4 to 8 s": 8.0, "8 s and over": float("inf")}
"""Name of each band -> where it ends, in seconds; that end itself is in the next band."""


def slices_of(
    lines_by_fold: Mapping[str, Sequence[Mapping]],
    test_by_fold: Mapping[str, Sequence[Example]],
    train_texts_by_fold: Mapping[str, Collection[str]],
) -> dict[str, dict[str, dict[str, float | int]]]:
    """Scores of each slice, pooled over folds.

    A transcript is seen when the training part of the same fold has it word for word. An utterance without a word is neither
    seen nor unseen. ``lines_by_fold``: fold -> lines of predictions; ``test_by_fold``: fold -> its held-out utterances;
    ``train_texts_by_fold``: fold -> transcripts of its training part. Returns ``transcript``, ``duration`` and each auxiliary
    task of classes (``gender``, ``style``), each ``{slice: {"n", "classes", "ua", "wa"}}``: UA is over those ``classes`` that
    occur in the slice. Without empty slices, and without slicings by what the corpus does not say. Raises InputError when a
    prediction is of no held-out utterance.
    """
    slicings: dict[str, Callable[[Example, Collection[str]], str]] = {
        task: lambda example, _, task=task: example.target(task) for task in of_kind("classes") if task != MAIN_TASK
    }
    slicings |= {"transcript": _transcript, "duration": _duration}
    lines: dict[str, dict[str, list[Mapping]]] = {name: defaultdict(list) for name in slicings}
    for fold, fold_lines in lines_by_fold.items():
        examples = {example.utt: example for example in test_by_fold[fold]}
        train_texts = frozenset(train_texts_by_fold[fold])
        for line in fold_lines:
            if line["utt"] not in examples:
                raise InputError(f"fold {fold}: {line['utt']} is predicted but not held out; run stage 5 again")
            for name, slice_of in slicings.items():
                lines[name][slice_of(examples[line["utt"]], train_texts)].append(line)
    scores = {
        name: {part: part_scores(by_slice[part]) for part in sorted(by_slice, key=_by_duration_then_name) if part}
        for name, by_slice in lines.items()
    }
    return {name: by_slice for name, by_slice in scores.items() if by_slice}


def _transcript(example: Example, train_texts: Collection[str]) -> str:
    """The slice that an utterance belongs to; '' for none."""
    if not example.text:
        return ""
    return "seen" if example.text in train_texts else "unseen"


def _duration(example: Example, _: Collection[str]) -> str:
    duration_s = example.num_samples / SAMPLE_RATE
    return next(name for name, end_s in DURATION_BANDS.items() if duration_s < end_s)


def _by_duration_then_name(part: str) -> tuple[float, str]:
    return DURATION_BANDS.get(part, 0.0), part

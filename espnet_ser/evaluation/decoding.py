"""From a model's outputs to predictions: classes with posteriors, numbers, and greedy CTC."""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from espnet_ser.data.datadir import Example
from espnet_ser.data.loader import Labels
from espnet_ser.data.tokens import Tokenizer, collapse
from espnet_ser.tasks_table import TASKS


def decode(outputs: Mapping[str, Tensor], labels: Labels, tokenizer: Tokenizer | None) -> list[dict[str, dict]]:
    """What the model predicts for each utterance of a batch. ``outputs``: from :meth:`SERModel.logits`; ``labels``: class names
    of each utterance task; ``tokenizer``: for the transcript, without one there is none. Returns one dict per utterance: task
    -> ``{"hyp": name, "scores": {name: posterior}}``, ``{"hyp": number}`` or ``{"hyp": text}``.
    """
    num_frames = outputs["num_frames"].tolist()
    decoded: list[dict] = [{} for _ in num_frames]
    for task, spec in TASKS.items():
        if task in outputs and (spec.kind != "ctc" or tokenizer is not None):
            predicted = _DECODERS[spec.kind](outputs[task], num_frames, labels.get(task), tokenizer)
            for result, of_task in zip(decoded, predicted, strict=True):
                result[task] = of_task
    return decoded


def class_decision(posteriors: Sequence[float], classes: Sequence[str]) -> dict:
    """The likeliest class, the first of several, and every class's posterior."""
    scores = dict(zip(classes, posteriors, strict=True))
    return {"hyp": max(scores, key=scores.__getitem__), "scores": scores}


def _classes(output: Tensor, num_frames: Sequence[int], classes: Sequence[str], tokenizer: Tokenizer) -> list[dict]:
    return [class_decision(posteriors, classes) for posteriors in output.float().softmax(-1).tolist()]


def _numbers(output: Tensor, num_frames: Sequence[int], classes: Sequence[str], tokenizer: Tokenizer) -> list[dict]:
    return [{"hyp": number} for (number,) in output.float().tolist()]


def _words(output: Tensor, num_frames: Sequence[int], classes: Sequence[str], tokenizer: Tokenizer) -> list[dict]:
    paths = zip(output.argmax(-1).tolist(), num_frames, strict=True)
    return [{"hyp": tokenizer.ids_to_text(collapse(path[:length]))} for path, length in paths]


_DECODERS: Mapping[str, Callable[..., list[dict]]] = {"classes": _classes, "regression": _numbers, "ctc": _words}
"""By kind of task."""


def prediction_line(example: Example, decoded: Mapping[str, Mapping]) -> dict:
    """One line of ``predictions_*.jsonl``: for each task that is predicted, ``ref`` and what :func:`decode` gave."""
    who = {"utt": example.utt, "speaker": example.speaker, "session": example.session}
    return {**who, **{task: {"ref": example.reference(task), **of_task} for task, of_task in decoded.items()}}

"""From a model's outputs to predictions: classes with posteriors, and greedy CTC."""

from collections.abc import Mapping

from torch import Tensor

from espnet_ser.data.datadir import Example
from espnet_ser.data.loader import Labels
from espnet_ser.data.tokens import Tokenizer, collapse
from espnet_ser.models.ser_model import UTTERANCE_TASKS


def decode(outputs: Mapping[str, Tensor], labels: Labels, tokenizer: Tokenizer | None) -> list[dict]:
    """What the model says of each utterance of a batch. ``outputs``: from :meth:`SERModel.logits`; ``labels``: class names of
    each utterance task; ``tokenizer``: for the transcript; None where there is no ``asr`` head. Returns one dict per utterance:
    for each utterance task ``{"hyp": name, "scores": {name: posterior}}``, and ``text_hyp``.
    """
    decoded: list[dict] = [{} for _ in range(len(outputs["num_frames"]))]
    for task in UTTERANCE_TASKS:
        if task in outputs:
            for result, posteriors in zip(decoded, outputs[task].float().softmax(-1).tolist(), strict=True):
                scores = dict(zip(labels[task], posteriors, strict=True))
                result[task] = {"hyp": max(scores, key=scores.__getitem__), "scores": scores}
    if "asr" in outputs and tokenizer is not None:
        best_paths = outputs["asr"].argmax(-1).tolist()
        for result, path, num_frames in zip(decoded, best_paths, outputs["num_frames"].tolist(), strict=True):
            result["text_hyp"] = tokenizer.ids_to_text(collapse(path[:num_frames]))
    return decoded


def prediction_line(example: Example, decoded: Mapping) -> dict:
    """One line of ``predictions_*.jsonl``: what was said beside what is so."""
    emotion = decoded.get("emotion", {})
    line = {
        "utt": example.utt,
        "speaker": example.speaker,
        "session": example.session,
        "ref": example.emotion,
        "hyp": emotion.get("hyp"),
        "scores": emotion.get("scores"),
    }
    for task in ("gender", "style"):
        line[task] = {"ref": getattr(example, task), **decoded[task]} if task in decoded else None
    return {**line, "text_ref": example.text, "text_hyp": decoded.get("text_hyp")}

"""Which epoch's model counts: ``last``, ``cross`` and ``oracle``, from the predictions that every epoch left.

The paper names no development set. ``last`` lets the last epoch count, whatever its scores. ``cross`` lets each held-out
speaker be judged by others: the epoch at which *they* are told best scores *this* speaker, so nobody picks their own epoch and
no training data is lost. ``oracle`` takes the best epoch on the test fold itself, which is what published numbers often are,
and is shown to be compared with those. Of epochs that score the same, the latest counts: where few utterances judge, many do,
and a model that has learnt little should not count for one that has learnt all.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from espnet_ser.recipe import epoch_model
from espnet_ser.scoring import unweighted_accuracy
from espnet_ser.stamp import file_sha256

JUDGES = ("same fold", "same session", "other folds")
"""Where those who choose a speaker's epoch are held out, the first that there is."""

Lines = Sequence[Mapping]
"""Predictions of one epoch (lines of ``predictions_*.jsonl``)."""

_LATER = 1e-9


def selection_criteria(speakers: Iterable[str]) -> list[tuple[str, str, str]]:
    """What ESPnet's trainer keeps the best models by, so that there are weights for every selection.

    UA on the whole test fold (``oracle``), and on all but each of its speakers in turn (``cross``).

    >>> selection_criteria(["Ses01_F", "Ses01_M"])[1]
    ('valid', 'ua_without_Ses01_F', 'max')
    """
    speakers = sorted(speakers)
    others = [("valid", others_criterion(speaker), "max") for speaker in speakers] if len(speakers) > 1 else []
    return [("valid", "ua", "max"), *others]


def others_criterion(speaker: str) -> str:
    """The name of the score by which others choose a speaker's epoch."""
    return f"ua_without_{speaker}"


def standings(lines: Lines, epoch: int) -> dict[str, float]:
    """The values of :func:`selection_criteria`; the best model by one of them is that of the epoch which is chosen by it.

    Args:
        lines: Predictions of an epoch.
        epoch: Its number.
    """
    speakers = sorted({line["speaker"] for line in lines})
    others = {others_criterion(s): [line for line in lines if line["speaker"] != s] for s in speakers if len(speakers) > 1}
    return {name: _standing(part, epoch) for name, part in {"ua": lines, **others}.items()}


def choose_epochs(
    epochs_by_fold: Mapping[str, Sequence[Lines]],
) -> tuple[dict[str, str | None], dict[str, dict[str, dict[str, int]]]]:
    """The epoch of each held-out speaker, by each selection.

    The judges of a speaker are the others that the same fold holds out; where there are none (folds by speaker), the other
    speakers of the session, each in the fold that holds them out; where there are none either, all speakers of other folds.

    Args:
        epochs_by_fold: Fold -> the predictions of each epoch, in order.

    Returns:
        Fold -> who judges there, of :data:`JUDGES`; and fold -> selection -> speaker -> epoch, counted from 1. ``cross`` is
        missing, and the judges None, where a speaker has none, or only such as were trained for another number of epochs.
    """
    judges: dict[str, str | None] = {}
    chosen: dict[str, dict[str, dict[str, int]]] = {}
    for fold, epochs in epochs_by_fold.items():
        speakers = sorted({line["speaker"] for line in epochs[0]})
        oracle = best_epoch(epochs)
        chosen[fold] = {
            "last": dict.fromkeys(speakers, len(epochs)),
            "oracle": dict.fromkeys(speakers, oracle),
        }
        judged = {speaker: _judging(epochs_by_fold, fold, speaker) for speaker in speakers}
        judges[fold] = judged[speakers[0]][0]
        if all(judge is not None for judge, _ in judged.values()):
            chosen[fold]["cross"] = {speaker: best_epoch(judgement) for speaker, (_, judgement) in judged.items()}
    return judges, chosen


def best_epoch(epochs: Sequence[Lines]) -> int:
    """The epoch, counted from 1, whose predictions have the highest UA; the latest of several."""
    return max(range(1, len(epochs) + 1), key=lambda epoch: _standing(epochs[epoch - 1], epoch))


def selected_lines(epochs: Sequence[Lines], chosen: Mapping[str, int], stage1: Lines | None = None) -> list[dict]:
    """The predictions of one selection.

    What only stage 1 can tell (gender or words, where the second stage trains emotion alone) is taken from its last epoch, as
    in Table 3's figures with an asterisk; ``from_stage1`` names it.

    Args:
        epochs: Predictions of each epoch.
        chosen: Speaker -> epoch, counted from 1.
        stage1: Predictions of the first stage's model for the same utterances, where there is one.
    """
    by_utt = [{line["utt"]: line for line in at_epoch} for at_epoch in epochs]
    lines = [dict(by_utt[chosen[line["speaker"]] - 1][line["utt"]]) for line in epochs[-1]]
    if stage1 is None:
        return lines
    told = {line["utt"]: line for line in stage1}
    fields = {"asr": "text_hyp", "gender": "gender", "style": "style"}
    extra = {task: field for task, field in fields.items() if lines[0][field] is None and stage1[0][field] is not None}
    return [
        {**line, **{field: told[line["utt"]][field] for field in extra.values()}, "from_stage1": list(extra)} for line in lines
    ]


def selected_models(folder: Path, chosen: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, dict]]:
    """Selection -> speaker -> ``{"epoch", "model", "sha256"}``: the file of weights; None where that epoch's were not kept."""

    def model(epoch: int) -> dict:
        path = epoch_model(folder, epoch)
        kept = path.is_file()
        return {"epoch": epoch, "model": path.name if kept else None, "sha256": file_sha256(path) if kept else None}

    return {selection: {speaker: model(epoch) for speaker, epoch in by.items()} for selection, by in chosen.items()}


def _judging(epochs_by_fold: Mapping[str, Sequence[Lines]], fold: str, speaker: str) -> tuple[str | None, list[list[Mapping]]]:
    """Who chooses a speaker's epoch, and their predictions, epoch by epoch."""
    own = epochs_by_fold[fold]
    session = next(line["session"] for line in own[0] if line["speaker"] == speaker)
    same_fold = [[line for line in lines if line["speaker"] != speaker] for lines in own]
    if same_fold[0]:
        return JUDGES[0], same_fold
    elsewhere = [epochs for name, epochs in epochs_by_fold.items() if name != fold]
    for kind, is_judge in ((JUDGES[1], lambda line: line["session"] == session), (JUDGES[2], lambda line: True)):
        folds = [[[line for line in lines if is_judge(line)] for lines in epochs] for epochs in elsewhere]
        folds = [epochs for epochs in folds if epochs[0]]
        if folds and all(len(epochs) == len(own) for epochs in folds):
            return kind, [[line for lines in at_epoch for line in lines] for at_epoch in zip(*folds, strict=True)]
    return None, []


def _standing(lines: Lines, epoch: int) -> float:
    """UA in percent, and so little for each epoch that it decides between equals alone."""
    return unweighted_accuracy([line["ref"] for line in lines], [line["hyp"] for line in lines]) + _LATER * epoch

"""Which epoch's model counts: ``last``, ``others``, ``dev`` and ``oracle``, from the predictions that every epoch left.

The paper names no development set. ``last`` lets the last epoch count, whatever its scores: nothing is chosen, and it is the
headline. Where a corpus has a development set, ``dev`` takes the epoch that predicts it best, and is the headline in its place.
``others`` lets the other folds choose: the epoch number at which their held-out speakers are predicted best, so that no
utterance has a say in the epoch that scores it. ``oracle`` takes the best epoch on the test fold itself, which is what
published numbers often are, and is shown to be compared with those. Of epochs that score the same, the latest counts: where
few utterances choose, many do, and a model that has learnt little should not count for one that has learnt all.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from espnet_ser.evaluation.metrics import refs_and_hyps, unweighted_accuracy
from espnet_ser.layout import epoch_model
from espnet_ser.tasks_table import TASKS
from espnet_ser.utils.hashing import file_sha256

KEPT_BY = (("valid", "ua", "max"),)
"""What ESPnet's trainer keeps the best models by, for ``oracle``; the last one is kept always. Which epoch ``others`` takes is
known only when all folds are trained: there are weights of it where it is one of these."""

KEPT_BY_DEV = ("valid", "dev_ua", "max")  # likewise for ``dev``

Lines = Sequence[Mapping]  # predictions of one epoch (lines of ``predictions_*.jsonl``)


def choose_epochs(
    epochs_by_fold: Mapping[str, Sequence[Lines]], dev_by_fold: Mapping[str, Sequence[Lines]] | None = None
) -> dict[str, dict[str, int]]:
    """The epoch of each fold, by each selection.

    ``others`` takes the utterances of all other folds that were trained for as many epochs together, each predicted by the
    model of its own fold: one UA over them, not a mean over folds, in which a fold that lacks a class would count for too
    little of it. ``epochs_by_fold``: fold -> the predictions of each epoch, in order; ``dev_by_fold``: likewise of the dev
    part, for folds that have one. Returns fold -> selection -> epoch, counted from 1. ``others`` is left out where there is no
    other such fold, ``dev`` where there is no such part.
    """
    chosen: dict[str, dict[str, int]] = {}
    for fold, epochs in epochs_by_fold.items():
        chosen[fold] = {"last": len(epochs), "oracle": best_epoch(epochs)}
        if dev_by_fold and fold in dev_by_fold:
            chosen[fold]["dev"] = best_epoch(dev_by_fold[fold])
        others = [by for name, by in epochs_by_fold.items() if name != fold and len(by) == len(epochs)]
        if others:
            together = [[line for lines in at_epoch for line in lines] for at_epoch in zip(*others, strict=True)]
            chosen[fold]["others"] = best_epoch(together)
    return chosen


def best_epoch(epochs: Sequence[Lines]) -> int:
    """The epoch, counted from 1, whose predictions have the highest UA; the latest of several."""
    uas = [unweighted_accuracy(*refs_and_hyps(lines)) for lines in epochs]
    return max(range(1, len(epochs) + 1), key=lambda epoch: standing(uas[epoch - 1], epoch))


def standing(ua: float, epoch: int) -> float:
    """UA in percent, and so little for each epoch that it decides between equals alone: ESPnet would keep the first of them."""
    return ua + 1e-9 * epoch


def selected_lines(lines: Lines, intermediate: Lines | None = None) -> list[dict]:
    """The predictions of one selection. What only the intermediate model predicts (gender or words, where the SER finetuning
    trains emotion alone) is taken from its last epoch, as in Table 3's figures with an asterisk; ``from_stage1`` names
    it. ``lines``: predictions of the chosen epoch; ``stage1``: predictions of the intermediate finetuning's model for the
    same utterances, where there is one.
    """
    if intermediate is None:
        return [dict(line) for line in lines]
    predicted = {line["utt"]: line for line in intermediate}
    extra = [task for task in TASKS if task in intermediate[0] and task not in lines[0]]
    return [{**line, **{task: predicted[line["utt"]][task] for task in extra}, "from_stage1": extra} for line in lines]


def selected_models(folder: Path, chosen: Mapping[str, int]) -> dict[str, dict]:
    """Selection -> ``{"epoch", "model", "sha256"}``: the file of weights; None where that epoch's were not kept."""
    models = {}
    for selection, epoch in chosen.items():
        path = epoch_model(folder, epoch)
        kept = path.is_file()
        models[selection] = {
            "epoch": epoch,
            "model": path.name if kept else None,
            "sha256": file_sha256(path) if kept else None,
        }
    return models

"""The predictions that stage 5 left, against those that follow from every epoch's."""

import json
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path

from espnet_ser.errors import InputError
from espnet_ser.evaluation.predictions import SELECTIONS, predictions_path, predictions_text, read_epochs
from espnet_ser.evaluation.selection import choose_epochs, selected_lines, selected_models
from espnet_ser.experiment.trained_fold import TrainedFold
from espnet_ser.layout import SELECTED_FILE, SELECTION_FILE
from espnet_ser.utils.stamp import Stamp


class Selections:
    """What stage 5 left of the folds of a system, against what follows from the predictions of every epoch. ``folds``: all that
    are here.
    """

    def __init__(self, folds: Mapping[str, TrainedFold]):
        self._folds = folds
        self._epochs: dict[str, list[list[dict]]] = {}
        self._dev: dict[str, list[list[dict]]] = {}
        self._chosen: dict[tuple[str, ...], dict[str, dict[str, int]]] = {}

    def changes(self, name: str) -> Iterator[str]:
        """What a fold's predictions should not be, and which of the models they are said to be of are others now."""
        fold = self._folds[name]
        stamp = Stamp(fold.folder / SELECTED_FILE)
        if changed := stamp.changed_outputs():
            yield from changed
            return
        together = stamp.inputs().get("folds", {})
        here = tuple(sorted(together.keys() & self._folds.keys()))
        for other in here:
            if json.loads(json.dumps(self._folds[other].identity())) != together[other]:
                yield f"epochs were chosen from another model or other data of fold {other} than are here now"
        chosen = self._choose(here)
        if len(here) < len(together):
            raise InputError(f"fold {min(together.keys() - set(here))}, which helped to choose the epochs, is not here")
        intermediate = read_epochs(fold.intermediate)[-1] if fold.intermediate else None
        for selection in SELECTIONS:
            path = predictions_path(fold.folder, selection)
            if selection in chosen[name]:
                lines = selected_lines(self._epochs[name][chosen[name][selection] - 1], intermediate)
                yield from _changed_lines(path, predictions_text(lines))
            elif path.exists():
                yield f"{path.name} is there, but nobody could choose its epochs"
        record = json.loads((fold.folder / SELECTION_FILE).read_text(encoding="utf-8"))
        yield from _changed_models(record["models"], selected_models(fold.folder, chosen[name]))

    def _choose(self, names: tuple[str, ...]) -> dict[str, dict[str, int]]:
        for name in names:
            if name not in self._epochs:
                self._epochs[name] = read_epochs(self._folds[name].folder)
                if self._folds[name].dev:
                    self._dev[name] = read_epochs(self._folds[name].folder, "dev")
        if names not in self._chosen:
            self._chosen[names] = choose_epochs({name: self._epochs[name] for name in names}, self._dev)
        return self._chosen[names]


def _changed_lines(path: Path, expected: str) -> Iterator[str]:
    lines, wanted = path.read_text(encoding="utf-8").split("\n"), expected.split("\n")
    for number, (line, other) in enumerate(zip_longest(lines, wanted), 1):
        if line != other:
            yield f"{path.name}, line {number}: not what the model of the chosen epoch said"
            return


def _changed_models(recorded: Mapping[str, Mapping], now: Mapping[str, Mapping]) -> Iterator[str]:
    """Weights that a selection names against those that are there; ones that were removed are not missed."""
    if recorded.keys() != now.keys():
        yield f"{SELECTION_FILE} is of other selections"
        return
    for selection, model in now.items():
        then = recorded[selection]
        if then["epoch"] != model["epoch"]:
            yield f"{SELECTION_FILE}: {selection} is epoch {then['epoch']}, which follows from nothing"
        elif model["model"] is not None and then != model:
            yield f"{model['model']}: not the weights that stage 5 found"

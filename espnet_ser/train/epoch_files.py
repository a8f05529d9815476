"""What a training keeps on disk while it goes on: the models of its best epochs, and a checkpoint to go on from."""

import errno
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from espnet2.train.reporter import Reporter

from espnet_ser.layout import CHECKPOINT_FILE, epoch_model
from espnet_ser.train.espnet_patches import TrainerOptions, saving_by
from espnet_ser.utils.atomic import atomic_path
from espnet_ser.utils.distributed import this_rank


@dataclass
class TrainingOptions(TrainerOptions):
    """ESPnet's options of a trainer, and how often a checkpoint is written."""

    save_every_min: float


class EpochFiles:
    """Writes a training's files, each whole: a model where its epoch is among the best or the last, a checkpoint now and then.
    A model is written before the checkpoint that counts its epoch among the best. What a training goes on from is three times
    as large as what it trains, so that to write it after every short epoch takes longer than some epochs. ``folder``: of the
    training; ``options``: its options: how many epochs, which are the best, and how often to save.
    """

    def __init__(self, folder: Path, options: TrainingOptions):
        self.folder, self.options = folder, options
        self.within: dict | None = None
        """Where the checkpoint was written within an epoch, that :class:`espnet_ser.train.mid_epoch.PausableEpoch` goes on
        with."""
        self._report: dict = Reporter().state_dict()
        self._saved_s = time.monotonic()

    def finish_epoch(self, states: Mapping) -> None:
        """Takes the states that ESPnet would write after an epoch."""
        self._report = dict(states["reporter"])
        epoch, last = self._report["epoch"], self.options.max_epoch
        if epoch == last or epoch in self._best_epochs():
            save_whole(states["model"], epoch_model(self.folder, epoch))
        if epoch == last or time.monotonic() - self._saved_s >= 60.0 * self.options.save_every_min:
            self._save(states)

    def save_within(self, states: Mapping, within: Mapping) -> None:
        """Writes a checkpoint in the middle of an epoch. ``states``: those of model, optimisers, schedulers and scaler, as
        ESPnet names them; ``within``: where the training is within the epoch.
        """
        finished = {epoch: stats for epoch, stats in self._report["stats"].items() if epoch <= self._report["epoch"]}
        self._save({**states, "reporter": {**self._report, "stats": finished}, "within": within})

    def go_on(self, states: Mapping) -> None:
        """Takes the states of the checkpoint, and makes up for what a kill kept from being written or removed."""
        self._report, self.within = dict(states["reporter"]), states.get("within")
        epoch = self._report["epoch"]
        if this_rank() > 0 or epoch == 0:
            return
        best = self._best_epochs()
        if self.within is None and epoch in {*best, self.options.max_epoch} and not epoch_model(self.folder, epoch).exists():
            save_whole(states["model"], epoch_model(self.folder, epoch))
        for phase, name, mode in self.options.best_model_criterion:
            link(self.folder / f"{phase}.{name}.best.pth", epoch_model(self.folder, self._sorted(phase, name, mode)[0]).name)
        for other in range(1, epoch):
            if other not in best:
                epoch_model(self.folder, other).unlink(missing_ok=True)

    def _save(self, states: Mapping) -> None:
        save_whole(dict(states), self.folder / CHECKPOINT_FILE)
        self._saved_s = time.monotonic()

    def _best_epochs(self) -> set[int]:
        most = max(self.options.keep_nbest_models)
        return {epoch for criterion in self.options.best_model_criterion for epoch in self._sorted(*criterion)[:most]}

    def _sorted(self, phase: str, name: str, mode: str) -> list[int]:
        reporter = Reporter()
        reporter.load_state_dict(self._report)
        return reporter.sort_epochs(phase, name, mode)


def link(path: Path, target: str) -> None:
    """Makes a link, or turns the one that is there to another target."""
    temporary = path.with_name(f".{path.name}.link")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    os.replace(temporary, path)


_torch_save = torch.save


def save_whole(obj: object, path: Path | str) -> None:
    """As ``torch.save``, but atomic. The same content gives the same bytes: no name of a file is among them. Raises
    OSError: ``torch.save`` reports a full disk as a RuntimeError; here it is the error it is.
    """
    try:
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            _torch_save(obj, file)
    except RuntimeError as error:
        if "PytorchStreamWriter" not in str(error) and "unexpected pos" not in str(error):
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error


@contextmanager
def saved_by(files: EpochFiles) -> Iterator[None]:
    """While the body runs, what ESPnet's trainer would write after each epoch goes to ``files``."""

    def save(obj, f, *args, **kwargs) -> None:
        if not isinstance(f, str | Path):  # what processes that train together send one another
            _torch_save(obj, f, *args, **kwargs)
        elif Path(f).name == CHECKPOINT_FILE:
            files.finish_epoch(obj)
        elif not re.fullmatch(r"[0-9]+epoch\.pth", Path(f).name):  # else the model of the same epoch, which has been seen to
            save_whole(obj, f)

    with saving_by(save):
        yield

"""A training that was asked to end in the middle of an epoch, and how it goes on as if it had not, to the bit."""

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from pathlib import Path
from pickle import UnpicklingError
from zipfile import BadZipFile

import numpy as np
import torch
from espnet2.train.reporter import Average, SubReporter, WeightedAverage

from espnet_ser.data.loader import Batch, EpochBatches
from espnet_ser.errors import InputError
from espnet_ser.layout import CHECKPOINT_FILE
from espnet_ser.model_io.weights_file import check_checksums
from espnet_ser.models.ser_model import SERModel
from espnet_ser.train.epoch_files import EpochFiles
from espnet_ser.utils.distributed import any_rank, num_ranks, of_all_ranks, this_rank
from espnet_ser.utils.signals import STOP

_IN_REPORTS = [timedelta, np.dtype, type(np.dtype(np.float64)), np.float64(0).__reduce__()[0]]
"""What ESPnet's reporter keeps of an epoch besides plain numbers."""


@dataclass(eq=False)
class PausableEpoch:
    """One epoch of a training, which saves itself before its next step when the process is asked to end. Processes that train
    together agree on that step: whichever of them was asked, all end, and the first saves for all.
    """

    files: EpochFiles
    epoch: int
    model: SERModel
    parts: Mapping  # ``optimizers``, ``schedulers`` and ``scaler`` (of gradients); None for what is not used
    reporter: SubReporter  # of this epoch's training steps
    accum_grad: int = 1  # batches between two steps of the optimiser; in between there are gradients, which are not saved
    num_done: int = field(default=0, init=False)
    _start_s: float = field(default_factory=time.perf_counter, init=False)
    _random: dict | None = field(default=None, init=False)

    @property
    def seconds(self) -> float:
        """What the epoch has taken so far, breaks apart."""
        return time.perf_counter() - self._start_s

    def restore(self) -> bool:
        """Takes up what the checkpoint says of this very epoch, besides the states that ESPnet loads; whether it says anything.
        Raises InputError when it is damaged.
        """
        saved, self.files.within = self.files.within, None
        if saved is None:
            return False
        with damage_as_input_error(self.files.folder / CHECKPOINT_FILE):
            if self.model.probe is not None:
                self.model.probe.load_state_dict(saved["probe"])
        self.reporter.stats.update({name: [_reported(*value) for value in values] for name, values in saved["stats"].items()})
        self.reporter.count, self.reporter.total_count = saved["count"], saved["total_count"]
        self.num_done, self._start_s = saved["num_done"], self._start_s - saved["seconds"]
        if len(saved["random"]) == num_ranks():  # other numbers of processes draw other numbers
            self._random = saved["random"][this_rank()]
        return True

    def groups(self, loader: EpochBatches) -> Iterator[tuple[Iterator[Batch], int]]:
        """The batches that are still to be trained on, and how many of them make a step: at the epoch's end perhaps fewer."""
        batches, left = self.batches(loader), len(loader) - self.num_done
        if rest := left % self.accum_grad:
            yield islice(batches, left - rest), self.accum_grad
        yield batches, rest or self.accum_grad

    def batches(self, loader: EpochBatches) -> Iterator[Batch]:
        """The batches that are still to be trained on; ends the process before one when it is asked to. A batch is fetched
        while the GPU still works on the one before: asking the other processes waits for it.
        """
        rest = iter(loader.without_first(self.num_done))
        if self._random is not None:
            _set_random_states(self._random)  # the loader has drawn a number for its processes, here as in an unbroken run
        while True:
            try:
                batch = next(rest)
            except StopIteration:
                return
            if self.num_done % self.accum_grad == 0:
                self.save_if_asked()
            yield batch
            self.num_done += 1

    def save_if_asked(self) -> None:
        """Saves and ends the process if it, or one that trains with it, was asked to end; all of them come here in step. Raises
        SystemExit then.
        """
        if not any_rank(STOP.asked):
            return
        random_states = of_all_ranks(_random_states())
        if this_rank() == 0:
            self._save(random_states)
        of_all_ranks(None)  # none ends before all is saved
        STOP.end(f"saved in epoch {self.epoch}, after {self.num_done} batches" if this_rank() == 0 else "")

    def _save(self, random_states: list[dict]) -> None:
        stats = {name: [(v.value, getattr(v, "weight", None)) for v in values] for name, values in self.reporter.stats.items()}
        within = {
            "num_done": self.num_done,
            "seconds": self.seconds,
            "probe": self.model.probe.state_dict() if self.model.probe is not None else None,
            "stats": stats,
            "count": self.reporter.count,
            "total_count": self.reporter.total_count,
            "random": random_states,
        }
        scaler = self.parts["scaler"]
        states = {
            "model": self.model.state_dict(),
            **{name: [part and part.state_dict() for part in self.parts[name]] for name in ("optimizers", "schedulers")},
            "scaler": scaler and scaler.state_dict(),
        }
        self.files.save_within(states, within)


@contextmanager
def damage_as_input_error(path: Path) -> Iterator[None]:
    """One line for whatever goes wrong with the state of a training in the body. Raises InputError: names the file."""
    try:
        yield
    except (RuntimeError, OSError, EOFError, KeyError, ValueError, TypeError, UnpicklingError, BadZipFile) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise InputError(f"{path} is damaged ({reason}): remove it to train this fold from its beginning") from error


def read_state(path: Path) -> dict:
    """The state of a training from disk: tensors, numbers and text, and ESPnet's record of what epochs took; never code. Raises
    InputError when it is damaged, or holds anything else.
    """
    with damage_as_input_error(path), torch.serialization.safe_globals(_IN_REPORTS):
        check_checksums(path)
        return torch.load(path, map_location="cpu", weights_only=True)


def _reported(value: float, weight: float | None) -> Average | WeightedAverage:
    return Average(value) if weight is None else WeightedAverage(value, weight)


def _random_states() -> dict:
    name, keys, position, has_gauss, gauss = np.random.get_state()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None,
        "numpy": [name, keys.tolist(), int(position), int(has_gauss), float(gauss)],
        "python": random.getstate(),
    }


def _set_random_states(states: dict) -> None:
    torch.set_rng_state(states["torch"])
    if states["cuda"] is not None:
        torch.cuda.set_rng_state(states["cuda"])
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    random.setstate(states["python"])

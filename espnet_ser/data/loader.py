"""From a data directory to padded batches of tensors."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from espnet2.iterators.abs_iter_factory import AbsIterFactory
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

from espnet_ser.data.audio import load_audio
from espnet_ser.data.batches import compose_batches
from espnet_ser.data.datadir import Example
from espnet_ser.data.frame_cache import FrameCache
from espnet_ser.data.tokens import Tokenizer
from espnet_ser.errors import InputError, unknown_name
from espnet_ser.tasks_table import TASKS, of_kind
from espnet_ser.utils.machine import can_share_work
from espnet_ser.utils.signals import ignore_ending_signals

Labels = Mapping[str, Sequence[str]]  # utterance task -> its class names, none for a regression; a class index is a place there

_TARGETS: Mapping[str, Callable[[str, Sequence[str]], torch.Tensor]] = {  # kind of an utterance task -> its target as a scalar
    "classes": lambda target, classes: torch.tensor(classes.index(target)),
    "regression": lambda target, _: torch.tensor(float(target)),
}

Read = Callable[[Example], dict[str, torch.Tensor]]
"""What is read of an utterance for the encoder: :func:`read_speech`, or :class:`CachedFrames`."""

Batch = tuple[list[str], dict[str, torch.Tensor]]


def read_speech(example: Example) -> dict[str, torch.Tensor]:
    """An utterance's waveform: ``{"speech": [samples]}``. Raises InputError when the audio cannot be read, or is not as long as
    the data directory says.
    """
    speech = load_audio(example.wav, example.segment)
    if len(speech) != example.num_samples:
        raise InputError(
            f"{example.wav}: {len(speech)} samples, and utt2num_samples says {example.num_samples}; run stage 1 again"
        )
    return {"speech": torch.from_numpy(speech)}


class CachedFrames:
    """Reads what a cache holds of an utterance, as :data:`Read`: ``{cut: [frames, size]}``, float32. ``cache``: where the
    frames of all these utterances lie; ``cut``: what they are, of :data:`espnet_ser.models.wav2vec2.CUTS`; ``device``: ``cuda``
    keeps them in the GPU's memory where half of what is free there holds them.
    """

    def __init__(self, cache: FrameCache, cut: str, examples: Sequence[Example], device: str = "cpu"):
        self.cut = cut
        self._cache = cache
        self._resident: dict[str, torch.Tensor] = {}
        num_bytes = sum(cache.frames(example).nbytes for example in examples)
        if device != "cpu" and num_bytes < torch.cuda.mem_get_info()[0] // 2:
            frames = {example.utt: torch.from_numpy(np.array(cache.frames(example))) for example in examples}
            self._resident = {utt: tensor.to(device) for utt, tensor in frames.items()}

    def __call__(self, example: Example) -> dict[str, torch.Tensor]:
        """The utterance's frames."""
        frames = self._resident.get(example.utt)
        if frames is None:
            frames = torch.from_numpy(self._cache.frames(example).astype(np.float32))
        return {self.cut: frames.float()}


class UtteranceDataset(Dataset):
    """What the encoder reads of each utterance of a data directory, and its targets.

    Args:
        examples: The utterances.
        labels: The classes of each utterance task whose targets are wanted.
        tokenizer: Turns transcripts into targets for CTC; None where no text is wanted.
        read: Gives the encoder's input.
        dev: Ids of those utterances that choose the epoch and are not scored.

    Raises:
        InputError: When an utterance has a label that is none of the classes, or no number for a regression.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        labels: Labels,
        tokenizer: Tokenizer | None = None,
        read: Read = read_speech,
        dev: Iterable[str] = (),
    ):
        self.examples = list(examples)
        self.dev = frozenset(dev)
        self.read = read
        self.labels = {task: list(classes) for task, classes in labels.items()}
        self.tokenizer = tokenizer
        for example in self.examples:
            for task, classes in self.labels.items():
                target, spec = example.target(task), TASKS[task]
                if spec.kind == "classes" and target not in classes:
                    raise unknown_name(f"{task} label", target, classes, where=example.utt)
                if expected := spec.fault(target):
                    raise InputError(f"{example.utt}: {task} {target!r}, expected {expected}")

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> tuple[str, dict[str, torch.Tensor]]:
        """The utterance's id, the encoder's input [samples] or [frames, size], and its targets under the names of their fields:
        class indices and numbers (scalars), token ids [tokens].
        """
        example = self.examples[index]
        item = self.read(example)
        for task, classes in self.labels.items():
            item[TASKS[task].field] = _TARGETS[TASKS[task].kind](example.target(task), classes)
        for task in of_kind("ctc") if self.tokenizer is not None else ():
            item[TASKS[task].field] = torch.tensor(self.tokenizer.text_to_ids(example.target(task)), dtype=torch.long)
        return example.utt, item


def collate(items: Iterable[tuple[str, dict[str, torch.Tensor]]]) -> Batch:
    """Pads what varies in length (speech or frames, and text, each with its ``_lengths``) with zeros and stacks the rest. Of no
    utterances there are no tensors.
    """
    items = list(items)
    utts, examples = [utt for utt, _ in items], [example for _, example in items]
    batch: dict[str, torch.Tensor] = {}
    for name in examples[0] if examples else ():
        values = [torch.as_tensor(example[name]) for example in examples]
        if values[0].ndim == 0:
            batch[name] = torch.stack(values)
        else:
            batch[name] = pad_sequence(values, batch_first=True)
            batch[f"{name}_lengths"] = torch.tensor([len(value) for value in values])
    return utts, batch


@dataclass(eq=False)
class BatchFactory(AbsIterFactory):
    """What ESPnet's trainer asks for the batches of each epoch. In training each rank takes a share of every batch; in
    evaluation ranks take whole batches in turn, so that no result depends on how many there are.
    """

    dataset: UtteranceDataset
    batch_size: int | None = None  # the most utterances in a batch, over all ranks together; None for any number
    batch_bins: int | None = None  # the most samples, likewise
    seed: int = 0  # decides, with the epoch, how batches are composed
    shuffle: bool = True  # whether to train on them, in random batches
    rank: int = 0  # this process, 0 to ``world_size`` - 1
    world_size: int = 1
    num_workers: int = 0  # processes that read audio; 0 reads in this one
    pin_memory: bool = False  # for copies to a GPU

    def build_iter(self, epoch: int, shuffle: bool | None = None) -> "EpochBatches":
        """The batches of one epoch (counted from 1)."""
        batches = compose_batches(
            [example.num_samples for example in self.dataset.examples],
            self.batch_size,
            self.batch_bins,
            seed=self.seed,
            epoch=epoch,
            shuffle=self.shuffle if shuffle is None else shuffle,
        )
        mine = slice(self.rank, None, self.world_size)
        # Of a batch with fewer utterances than ranks some have an empty share: they train all the same, in step.
        shares = [batch[mine] for batch in batches] if self.shuffle else batches[mine]
        return EpochBatches(self.dataset, shares, self.num_workers, self.pin_memory)


@dataclass(frozen=True)
class EpochBatches:
    """The batches of an epoch, in order: iterating gives each as ``(utterance ids, tensors)``."""

    dataset: UtteranceDataset  # the utterances
    batches: Sequence[Sequence[int]]  # their places in the data set, batch by batch
    num_workers: int = 0  # processes that read audio; 0 reads in this one
    pin_memory: bool = False  # for copies to a GPU

    def __len__(self) -> int:
        return len(self.batches)

    def without_first(self, num_batches: int) -> "EpochBatches":
        """What is left after so many batches."""
        return replace(self, batches=self.batches[num_batches:])

    def __iter__(self) -> Iterator[Batch]:
        # Processes start, and a random number is drawn, here and not at the first batch: resumption counts on that.
        return map(self._batch_of, self._items())

    def _batch_of(self, items: list) -> Batch:
        utts, batch = collate(items)
        return utts, {name: tensor.pin_memory() for name, tensor in batch.items()} if self.pin_memory else batch

    def _items(self) -> Iterator[list]:
        """The utterances of each batch, read by as many processes as can be had."""
        where = {"batch_sampler": self.batches, "worker_init_fn": leave_signals_to_parent}
        if self.num_workers > 0 and can_share_work(self.num_workers):
            return iter(DataLoader(self.dataset, **where, num_workers=self.num_workers, collate_fn=to_numpy))
        if self.num_workers > 0:
            logging.warning("/dev/shm has no room: audio is read in this process (--num_workers 0)")
        return iter(DataLoader(self.dataset, **where, collate_fn=list))


def to_numpy(items: Iterable[tuple[str, dict[str, torch.Tensor]]]) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Utterances as a process sends them through a pipe: containers have little shared memory, which tensors would take."""
    return [(utt, {name: value.numpy() for name, value in item.items()}) for utt, item in items]


def leave_signals_to_parent(_worker: int) -> None:
    """In a process that reads audio: a signal to all of a job's processes is for the one that trains to answer."""
    ignore_ending_signals()

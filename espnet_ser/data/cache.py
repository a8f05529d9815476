"""Outputs of what is frozen, computed once: per utterance, unpadded, on disk.

A cache is a folder named after the content of what computes it (weights, configuration, precision). It holds parts, each a
plain ``.npy`` file of frames after frames, which maps into memory, and a ``.json`` beside it that says where whose frames lie.
A part without its ``.json`` is not there: it is the work of a job that was killed. Utterances are known by the content of their
audio, so that every fold, stage and system that asks the same of the same speech shares a cache; what is missing is added as a
new part.
"""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from espnet_ser.data.datadir import Example
from espnet_ser.errors import InputError
from espnet_ser.locks import lock_file
from espnet_ser.stamp import atomic_path, atomic_write, disk_errors_as_input_errors, file_sha256, remove_unfinished

LARGEST_HALF = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Span:
    """Where an utterance's frames lie: part, first frame, number of frames."""

    part: int
    start: int
    num_frames: int


class FrameCache:
    """A cache on disk.

    Args:
        folder: Where it lies; it need not exist.
        dtype: ``float16`` or ``float32``.

    Raises:
        InputError: When a part's description is damaged.
    """

    def __init__(self, folder: Path, dtype: str = "float16"):
        self.folder = folder
        self.dtype = np.dtype(dtype)
        self._parts: list[np.ndarray] = []
        self._names: set[str] = set()
        self._spans: dict[str, Span] = {}
        self._read_parts()

    def missing(self, examples: Iterable[Example]) -> list[Example]:
        """Those whose frames are not there, each audio once."""
        found = {audio_key(example): example for example in examples}
        return [example for key, example in found.items() if key not in self._spans]

    def frames(self, example: Example) -> np.ndarray:
        """An utterance's frames, mapped from disk: [frames, dim]."""
        span = self._spans[audio_key(example)]
        return self._parts[span.part][span.start : span.start + span.num_frames]

    def add(
        self,
        examples: Sequence[Example],
        compute: Callable[[Sequence[Example]], Iterator[tuple[Example, np.ndarray]]],
        count_frames: Callable[[Example], int],
        dim: int,
    ) -> None:
        """Computes what is missing and keeps it. Other processes that want the same wait meanwhile, and then find it.

        Args:
            examples: The utterances that are wanted.
            compute: Gives each utterance's frames [frames, dim], in any order.
            count_frames: How many frames an utterance will have.
            dim: Size of a frame.

        Raises:
            InputError: When a value is too large for the precision, or not a number; or the disk is full or closed to us.
        """
        if not self.missing(examples):
            return
        with disk_errors_as_input_errors(self.folder), self._alone():
            remove_unfinished(self.folder)
            self._read_parts()
            missing = self.missing(examples)
            if not missing:
                return
            spans, start = {}, 0
            for example in missing:
                spans[audio_key(example)] = (start, count_frames(example))
                start += count_frames(example)
            name = f"part-{len(list(self.folder.glob('part-*.json'))):04d}"
            with atomic_path(self.folder / f"{name}.npy") as beside:
                frames = np.lib.format.open_memmap(beside, mode="w+", dtype=self.dtype, shape=(start, dim))
                _take_space(beside)
                for example, values in compute(missing):
                    largest = float(np.abs(values).max())
                    if not largest <= (LARGEST_HALF if self.dtype == np.float16 else np.finfo(np.float32).max):
                        raise InputError(
                            f"{example.utt}: the encoder's output reaches {largest:g}, too much for a cache in {self.dtype}; "
                            f"take --cache_dtype float32, or --cache none"
                        )
                    first, count = spans[audio_key(example)]
                    frames[first : first + count] = values
                frames.flush()
                del frames
            atomic_write(self.folder / f"{name}.json", json.dumps({"utterances": spans}))
            self._read_parts()

    def _read_parts(self) -> None:
        for path in sorted(self.folder.glob("part-*.json")):
            if path.name in self._names:
                continue
            try:
                spans = json.loads(path.read_text(encoding="utf-8"))["utterances"]
                frames = np.load(path.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
                end = max(start + count for start, count in spans.values())
            except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                raise InputError(f"{path} is damaged ({error}); remove {self.folder}, and it is made again") from error
            if frames.ndim != 2 or len(frames) != end or frames.dtype != self.dtype:
                raise InputError(f"{path.with_suffix('.npy')} is damaged; remove {self.folder}, and it is made again")
            self._names.add(path.name)
            self._spans |= {key: Span(len(self._parts), start, count) for key, (start, count) in spans.items()}
            self._parts.append(frames)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / ".lock", "a") as lock:
            if not lock_file(lock):
                print(f"{self.folder}: another job is filling this cache; waiting for it", flush=True)
                lock_file(lock, wait=True)
            yield


def _take_space(path: Path) -> None:
    """Has the disk set aside what a file is long: whoever writes to a map of it dies (SIGBUS) when the disk is full."""
    with open(path, "r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # a file system that knows nothing of it
                raise


def audio_key(example: Example) -> str:
    """What an utterance's audio is known by: the SHA-256 of its file."""
    return example.sha256 or file_sha256(example.wav)


@dataclass(frozen=True)
class CacheFolder:
    """A cache as ``espnet-ser cache ls`` shows it."""

    folder: Path
    num_utts: int
    num_bytes: int
    written_s: float


def list_caches(root: Path) -> list[CacheFolder]:
    """The caches below a folder, the largest first; of a damaged part the utterances are not counted."""
    found = []
    for folder in sorted(path for path in root.glob("*") if (path / ".lock").is_file()):
        files = [path.stat() for path in folder.iterdir() if path.is_file()]
        num_utts = sum(map(_count_utterances, folder.glob("part-*.json")))
        written_s = max(status.st_mtime for status in files)
        found.append(CacheFolder(folder, num_utts, sum(status.st_size for status in files), written_s))
    return sorted(found, key=lambda cache: (-cache.num_bytes, cache.folder.name))


def _count_utterances(part: Path) -> int:
    try:
        return len(json.loads(part.read_text(encoding="utf-8"))["utterances"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return 0


def remove_cache(folder: Path) -> None:
    """Removes a cache, whole or not at all as far as readers can see."""
    aside = folder.with_name(f".{folder.name}.removed.{os.getpid()}")
    os.rename(folder, aside)
    shutil.rmtree(aside)

"""Outputs of what is frozen, computed once: per utterance, unpadded, on disk.

A cache is a folder named after the content of what computes it (weights, configuration, precision). It holds parts, each a
plain ``.npy`` file of frames after frames, which maps into memory, and a ``.json`` next to it that says where whose frames lie,
and their checksums. A part without its ``.json`` is not there: it is the work of a job that was killed. Utterances are known by
the content of their audio, so that every fold, stage and system that asks the same of the same speech shares a cache; what is
missing, or does not match its checksum, is added as a new part.
"""

import errno
import json
import operator
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from espnet_ser.data.audio import audio_sha256
from espnet_ser.data.datadir import Example
from espnet_ser.errors import InputError
from espnet_ser.utils.atomic import atomic_path, atomic_write, disk_errors_as_input_errors, remove_unfinished, temporary_name
from espnet_ser.utils.locks import lock_file
from espnet_ser.utils.say import say

_NAME = re.compile(r"(cnn|pooled|layer[0-9]+)-[0-9a-f]+")
_PART = re.compile(r"part-([0-9]+)\.(npy|json)")
LARGEST_HALF = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Span:
    """Where an utterance's frames lie: part, first frame, number of frames; and their CRC-32."""

    part: int
    start: int
    num_frames: int
    crc32: int


class FrameCache:
    """A cache on disk.

    Args:
        folder: Where it lies; it need not exist.
        dtype: ``float16`` or ``float32``.
    """

    def __init__(self, folder: Path, dtype: str = "float16"):
        self.folder = folder
        self.dtype = np.dtype(dtype)
        self._parts: list[np.ndarray] = []
        self._names: set[str] = set()
        self._spans: dict[str, Span] = {}
        self._checked: set[Span] = set()
        self._read_parts()

    def missing(self, examples: Iterable[Example]) -> list[Example]:
        """Those whose frames are not there or are damaged, each audio once. To find that out, all are read, once."""
        found = {audio_key(example): example for example in examples}
        missing = [example for key, example in found.items() if key not in self._spans]
        damaged = [example for key, example in found.items() if key in self._spans and not self._is_whole(self._spans[key])]
        if damaged:
            say(f"{self.folder}: damaged frames of {len(damaged)} utterances are made again", flush=True)
        return missing + damaged

    def _is_whole(self, span: Span) -> bool:
        if span not in self._checked and _crc32(self._parts[span.part], span.start, span.num_frames) == span.crc32:
            self._checked.add(span)
        return span in self._checked

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
            taken = [int(found[1]) for path in self.folder.iterdir() if (found := _PART.fullmatch(path.name))]
            name = f"part-{max(taken, default=-1) + 1:04d}"
            with atomic_path(self.folder / f"{name}.npy") as temporary:
                frames = np.lib.format.open_memmap(temporary, mode="w+", dtype=self.dtype, shape=(start, dim))
                _take_space(temporary)
                for example, values in compute(missing):
                    largest = float(np.abs(values).max())
                    if not largest <= (LARGEST_HALF if self.dtype == np.float16 else np.finfo(np.float32).max):
                        raise InputError(
                            f"{example.utt}: the encoder's output reaches {largest:g}, too much for a cache in {self.dtype}; "
                            f"take --cache_dtype float32, or --cache none"
                        )
                    first, count = spans[audio_key(example)]
                    frames[first : first + count] = values
                checked = {key: (*span, _crc32(frames, *span)) for key, span in spans.items()}
                frames.flush()
                del frames
            atomic_write(self.folder / f"{name}.json", json.dumps({"utterances": checked}))
            self._read_parts()

    def _read_parts(self) -> None:
        for path in sorted(self.folder.glob("part-*.json")):
            if path.name in self._names:
                continue
            self._names.add(path.name)
            try:
                recorded = json.loads(path.read_text(encoding="utf-8"))["utterances"]
                frames = np.load(path.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
                spans = {key: Span(len(self._parts), *map(operator.index, values)) for key, values in recorded.items()}
                end = max(span.start + span.num_frames for span in spans.values())
                if frames.ndim != 2 or len(frames) != end or frames.dtype != self.dtype:
                    raise ValueError(f"not {end} frames of {self.dtype}")
            except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                say(f"{path.with_suffix('')}: damaged ({error}); what it held is made again", flush=True)
                continue
            self._spans |= spans  # those of a later part, where an earlier one was damaged
            self._parts.append(frames)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / ".lock", "a") as lock:
            if not lock_file(lock):
                say(f"{self.folder}: another job is filling this cache; waiting for it", flush=True)
                lock_file(lock, wait=True)
            yield


def _crc32(frames: np.ndarray, start: int, count: int) -> int:
    return zlib.crc32(np.ascontiguousarray(frames[start : start + count]))


def _take_space(path: Path) -> None:
    """Has the disk set aside what a file is long: whoever writes to a map of it dies (SIGBUS) when the disk is full."""
    with open(path, "r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # a file system that knows nothing of it
                raise


def audio_key(example: Example) -> str:
    """What an utterance's audio is known by: from :func:`espnet_ser.data.audio.audio_sha256`."""
    return example.sha256 or audio_sha256(example.wav, example.segment)


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
    for folder in sorted(path for path in root.glob("*") if _NAME.fullmatch(path.name) and (path / ".lock").is_file()):
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


def cache_files(folder: Path) -> list[Path]:
    """The files of a cache; whatever else lies in its folder is somebody else's."""
    return sorted(path for path in folder.iterdir() if path.name == ".lock" or _PART.fullmatch(path.name))


def remove_cache(folder: Path) -> None:
    """Removes a cache, whole or not at all as far as readers can see; what else lies in its folder stays."""
    remove_unfinished(folder)
    there = Path(os.path.realpath(folder))  # on another disk, where the folder is a link
    aside = temporary_name(there)
    os.rename(there, aside)
    for path in cache_files(aside):
        path.unlink(missing_ok=True)
    if any(aside.iterdir()):
        os.rename(aside, there)
        return
    aside.rmdir()
    if folder.is_symlink():
        folder.unlink()

"""How our batches and caches grow with the corpus, no encoder involved: ``python benchmarks/scaling.py JOB.json``."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from corpus import LABELS, make_examples
from run_row import peak_memory_gb

from espnet_ser.data.datadir import Example
from espnet_ser.data.frame_cache import FrameCache
from espnet_ser.data.loader import BatchFactory, CachedFrames, UtteranceDataset
from espnet_ser.utils.atomic import atomic_write

SAMPLES_PER_FRAME = 320
DIM = 64
"""A twelfth of wav2vec2-base's 768: what is timed is finding and padding, and the disk stays small."""


def main() -> None:
    """Reads the job, writes what an epoch of batches takes."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    loaded_gb = peak_memory_gb("cpu")
    examples = make_examples(Path(job["folder"]), job["num_utts"], job["seed"])
    folder = Path(job["folder"]) / f"scaling-{job['num_utts']}"
    FrameCache(folder).add(examples, random_frames, num_frames, DIM)

    start = time.perf_counter()
    frames = CachedFrames(FrameCache(folder), "prefix", examples)
    opening_s = time.perf_counter() - start
    factory = BatchFactory(UtteranceDataset(examples, LABELS, read=frames), job["batch_size"], seed=job["seed"])
    epochs_s = []
    for epoch in (1, 2):
        start = time.perf_counter()
        num_batches = sum(1 for _ in factory.build_iter(epoch))
        epochs_s.append(time.perf_counter() - start)
    result = {
        "num_utts": job["num_utts"],
        "batches": num_batches,
        "opening_s": opening_s,
        "epoch_s": min(epochs_s),
        "memory_gb": peak_memory_gb("cpu") - loaded_gb,
        "cache_gb": sum(path.stat().st_size for path in folder.glob("*.npy")) / 1e9,
    }
    atomic_write(job["result"], json.dumps(result))


def num_frames(example: Example) -> int:
    """About as many as the encoder gives."""
    return example.num_samples // SAMPLES_PER_FRAME


def random_frames(examples: Sequence[Example]) -> Iterator[tuple[Example, np.ndarray]]:
    """Frames of noise, [frames, DIM]."""
    rng = np.random.default_rng(0)
    for example in examples:
        yield example, rng.standard_normal((num_frames(example), DIM), dtype=np.float32)


if __name__ == "__main__":
    main()

"""Runs one row in a process of its own, so that its peak memory is its own: ``python benchmarks/run_row.py JOB.json``.

The job says what to run; what was measured is written to the file that it names, and again when the memory of the epoch's
largest batch is known: a process that runs out of memory leaves what it had measured before.
"""

import importlib
import json
import resource
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from corpus import computed_s, make_examples, padding_ratio, representative, total_s, write_audio
from floor import cnn_flops, filling_flops, floor_flops
from rows import ROWS, SYSTEMS, Row

from espnet_ser.data.datadir import Example
from espnet_ser.experiment.systems import load_system
from espnet_ser.utils.atomic import atomic_write

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = {"speechbrain_recipe": ("speechbrain",), "espnet_cls": ("s3prl",)}
MAX_RSS_BYTES = 1 if sys.platform == "darwin" else 1024


def main() -> None:
    """Reads the job, trains, writes the result."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    import torch

    torch.set_num_threads(job["threads"])
    torch.manual_seed(job["seed"])
    if job["device"] == "cuda":
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, job["max_memory_gb"] * 1e9 / total))
    try:
        measure(job)
    except torch.cuda.OutOfMemoryError:
        sys.exit("out of memory")


def measure(job: dict) -> None:
    """Times the row over representative batches of its epoch."""
    row = ROWS[job["row"]]
    trainer, examples, steps, largest = prepare(job, row)
    pads = getattr(trainer, "pads", True)
    loaded_gb = peak_memory_gb(job["device"])
    # On a GPU a whole pass: kernels are chosen and memory is reserved. On a CPU a single utterance will do.
    trainer.train(steps if job["device"] == "cuda" else [steps[-1][:1]])
    start, seconds, passes = now(job["device"]), 0.0, 0
    while passes == 0 or seconds < job["min_seconds"]:
        trainer.train(steps)
        passes += 1
        seconds = now(job["device"]) - start
    timed = [examples[index] for batch in steps for index in batch]
    result = {
        "steps": passes * len(steps),
        "utterances": passes * len(timed),
        "audio_s": passes * total_s(timed),
        "seconds": seconds,
        "flops": passes * sum(flops_of(job, row, example.num_samples) for example in timed),
        "padding_of_steps": padding_ratio(steps, examples, pads),
        "padding_of_epoch": padding_ratio(trainer.batches, examples, pads),
        "longest_step_s": computed_s(steps[0], examples, pads),
        "longest_batch_s": computed_s(largest, examples, pads),
        "loaded_gb": loaded_gb,
        "versions": {package: version(package) for package in PACKAGES.get(row.kind, ())},
        "steps_gb": peak_memory_gb(job["device"]),
    }
    if row.kind == "filling":
        result["cache_gb_per_utterance"] = cache_gb(job["config"], row.cut, examples) / len(examples)
    write_result(job, result)
    if job["memory"] == "epoch":
        trainer.train([largest])
        write_result(job, {**result, "epoch_gb": peak_memory_gb(job["device"])})


def prepare(job: dict, row: Row) -> tuple:
    """The row's trainer with all that it reads in place, the epoch's utterances, its representative batches and the largest."""
    examples = make_examples(Path(job["folder"]) / "wav", job["num_utts"], job["seed"])
    job["config"] = json.loads((Path(job["encoder"]) / "config.json").read_text(encoding="utf-8"))
    system = load_system(REPOSITORY / "conf", SYSTEMS[row.stage])
    part = system.intermediate if row.stage == "stage1" else system.ser
    job["model"] = part.model_options(job["config"]["num_hidden_layers"])
    job["model"]["frozen"] = "constant" if row.cut in ("prefix", "pooled") else "alive"
    job["training"] = str(REPOSITORY / "conf" / f"train_{'stage1' if row.stage == 'stage1' else 'ser'}.yaml")

    trainer = importlib.import_module(row.kind).Trainer(job, row, examples)
    pads = getattr(trainer, "pads", True)
    steps = representative(trainer.batches, examples, job["steps"], pads)
    largest = max(trainer.batches, key=lambda batch: computed_s(batch, examples, pads))
    wanted = sorted({index for batch in [*steps, *([largest] if job["memory"] == "epoch" else [])] for index in batch})
    write_audio(examples[index] for index in wanted)
    trainer.prepare(wanted)
    return trainer, examples, steps, largest


def flops_of(job: dict, row: Row, num_samples: int) -> float:
    """The floor of one utterance."""
    if row.stage == "inference":
        return filling_flops(job["config"], num_samples, 0, "pooled")
    count = filling_flops if row.kind == "filling" else floor_flops
    return count(job["config"], num_samples, job["model"]["trainable_layers"], row.cut)


def cache_gb(config: dict, cut: str, examples: Sequence[Example]) -> float:
    """What a cache of these utterances takes in half precision."""
    dim = config["conv_dim"][-1] if cut == "cnn" else config["hidden_size"]
    frames = (1 if cut == "pooled" else cnn_flops(config, example.num_samples)[1] for example in examples)
    return sum(frames) * dim * 2 / 1e9


def now(device: str) -> float:
    """Seconds, once all that was asked of the device is done."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()
    return time.perf_counter()


def peak_memory_gb(device: str) -> float:
    """The most that tensors ever took on the GPU, or this process on the CPU."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAX_RSS_BYTES / 1e9


def write_result(job: dict, result: dict) -> None:
    """Where the driver looks for it."""
    atomic_write(job["result"], json.dumps(result))


if __name__ == "__main__":
    main()

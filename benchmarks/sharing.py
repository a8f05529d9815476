"""Several trainings at a time on one GPU: ``python benchmarks/sharing.py --device cuda --dtype bf16``.

A step of 16 utterances keeps a large GPU busy for less time than the host takes to ask for it: there is room for others.
"""

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from process import run_job
from rows import ROWS
from run_row import now, peak_memory_gb, prepare

from espnet_ser.bin.parser import CommandParser
from espnet_ser.errors import InputError
from espnet_ser.report.grid import Grid, grid_markdown


def get_parser() -> CommandParser:
    """The options."""
    parser = CommandParser(prog="sharing.py", description=__doc__)
    parser.add_argument(
        "--rows", nargs="+", default=["ours_intermediate", "ours_ser"], choices=list(ROWS), help="what is trained"
    )
    parser.add_argument("--at_a_time", type=int, nargs="+", default=[1, 2, 4], help="how many of it")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--dtype", default="float32", choices=("float32", "bf16"))
    parser.add_argument("--threads", type=int, default=1, help="of each")
    parser.add_argument("--steps", type=int, default=20, help="of an epoch's batches of 16")
    parser.add_argument("--num_utts", type=int, default=5531, help="of the corpus whose epoch it is")
    parser.add_argument("--seconds", type=float, default=5.0, help="that each is timed for")
    parser.add_argument("--encoder", default="base", help="base (wav2vec2-base, random weights), or a folder")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Prints how many utterances a second they train on together."""
    args = get_parser().parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="espnet-ser-benchmark-") as work:
        encoder = str(Path(work) / "encoder") if args.encoder == "base" else args.encoder
        job = {"folder": work, "encoder": encoder, "memory": "steps", "seed": 0, "options": [], "batch_size": 16}
        job |= {name: getattr(args, name) for name in ("device", "dtype", "threads", "steps", "num_utts", "seconds")}
        if args.encoder == "base":
            run_job("encoder.py", job, sys.executable, Path(work) / "encoder-job")
        lines = []
        for name in args.rows:
            for count in args.at_a_time:
                rates, peaks = zip(*train_together({**job, "row": name}, count), strict=True)
                lines.append((ROWS[name].title, str(count), f"{sum(rates):.0f}", f"{max(peaks):.2f}"))
                print(*lines[-1], flush=True)
    print(grid_markdown(Grid("", ("who", "at a time", "utterances/s, together", "peak GB of each"), tuple(lines))))


def train_together(job: dict, count: int) -> list[tuple[float, float]]:
    """Of so many trainings that run at the same time, each one's utterances a second and peak memory.

    Raises:
        InputError: When one of them fails; the others are ended.
    """
    spawn = multiprocessing.get_context("spawn")
    start, over, results = spawn.Barrier(count), spawn.Event(), spawn.Queue()
    processes = [spawn.Process(target=_train, args=(job, start, over, results), daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    found = []
    for _ in processes:
        while results.empty() and all(process.exitcode is None for process in processes):
            time.sleep(0.1)
        result = results.get(timeout=1.0) if not results.empty() else "one was killed, perhaps for its memory"
        if isinstance(result, str):
            raise InputError(f"{job['row']}, {count} at a time: {result}")
        found.append(result)
    over.set()
    for process in processes:
        process.join()
    return found


def _train(job: dict, start, over, results) -> None:
    import torch

    try:
        torch.set_num_threads(job["threads"])
        folder = tempfile.mkdtemp(dir=job["folder"])
        trainer, _, steps, _ = prepare({**job, "folder": folder}, ROWS[job["row"]])
        trainer.train(steps)
        start.wait()
        begin, passes = now(job["device"]), 0
        while (seconds := now(job["device"]) - begin) < job["seconds"]:
            trainer.train(steps)
            passes += 1
        results.put((passes * sum(map(len, steps)) / seconds, peak_memory_gb(job["device"])))
        while not over.is_set():  # others are still timed
            trainer.train(steps)
    except Exception as error:
        results.put(f"{type(error).__name__}: {error}")
        raise


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"sharing.py: {error}")

"""Speed and memory of training, side by side with peers; see README.md. ``python benchmarks/speed.py --help``."""

import json
import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from corpus import NUM_UTTS
from process import available_gb, run_job
from rows import PEERS, ROWS, STAGES
from table import report_markdown

from espnet_ser.bin.parser import CommandParser
from espnet_ser.errors import InputError, unknown_name
from espnet_ser.utils.atomic import atomic_write

BATCH_SIZES = (16, 8, 4, 2, 1)
CORPUS_SIZES = (500, 1000, 2000, 5000, 10000)
MEMORY_TO_SPARE_GB = 0.5
OTHER_ROWS = ("startup", "scaling")


def get_parser() -> CommandParser:
    """The options."""
    parser = CommandParser(
        prog="speed.py",
        description=__doc__,
        epilog="example: python benchmarks/speed.py --peers_python ~/peers/bin/python --output benchmarks/results",
    )
    parser.add_argument("--rows", nargs="+", default=[*ROWS, *OTHER_ROWS], help=f"some of {', '.join([*ROWS, *OTHER_ROWS])}")
    parser.add_argument("--batch_size", default="auto", help="auto: 16, or the largest below that fits a stage's rows")
    parser.add_argument("--steps", type=int, default=3, help="of an epoch's batches, spread over all lengths; 0 for all")
    parser.add_argument("--num_utts", type=int, default=NUM_UTTS, help="of the corpus whose epoch it is")
    parser.add_argument("--memory", default="steps", choices=("steps", "epoch"), help="epoch: add the epoch's largest batch")
    parser.add_argument("--min_seconds", type=float, default=3.0, help="the steps are repeated until so much has passed")
    parser.add_argument("--encoder", default="base", help="base (wav2vec2-base, random weights), or a folder")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--dtype", default="float32", choices=("float32", "bf16"), help="bf16: autocast, on a GPU")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="default: all cores")
    parser.add_argument("--max_memory_gb", type=float, help="what a row may take; default: what is free")
    parser.add_argument("--peers_python", default=sys.executable, help="interpreter that has the peers' packages")
    parser.add_argument("--options", default="", help="further ESPnet options for our rows, such as '--use_tf32 true'")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"), help="folder for speed.md and speed.json")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the rows, writes ``speed.json`` after each of them and ``speed.md`` at the end, and prints it."""
    argv = sys.argv[1:] if argv is None else list(argv)
    args = get_parser().parse_args(argv)
    check(args)
    with tempfile.TemporaryDirectory(prefix="espnet-ser-benchmark-") as work:
        report = Benchmark(args, Path(work)).run(f"python benchmarks/speed.py {shlex.join(argv)}".strip())
    markdown = report_markdown(report)
    atomic_write(args.output / "speed.md", markdown)
    print(markdown)


def check(args) -> None:
    """Refuses what cannot be.

    Raises:
        InputError: Names the option.
    """
    for name in args.rows:
        if name not in (*ROWS, *OTHER_ROWS):
            raise unknown_name("row", name, [*ROWS, *OTHER_ROWS], where="--rows")
    if args.batch_size != "auto" and not (args.batch_size.isdecimal() and int(args.batch_size) > 0):
        raise InputError(f"--batch_size must be a whole number from 1, or auto, not {args.batch_size}")
    if args.device == "cpu" and args.dtype == "bf16":
        raise InputError("--dtype bf16 needs --device cuda")
    if args.steps < 0 or args.threads < 1:
        raise InputError("--steps must be at least 0 and --threads at least 1")
    if args.encoder != "base" and not (Path(args.encoder) / "config.json").is_file():
        raise InputError(f"--encoder {args.encoder}: no such encoder; name a folder with a config.json, or base")


class Benchmark:
    """One run of the benchmark.

    Args:
        args: The options.
        work: A folder for audio, caches and logs.
    """

    def __init__(self, args, work: Path):
        self.args, self.work = args, work
        self.wanted = [name for name in ROWS if name in args.rows or self._fills_for(name)]
        self.job = {
            "folder": str(work),
            "encoder": str(work / "encoder") if args.encoder == "base" else args.encoder,
            "options": shlex.split(args.options),
            **{name: getattr(args, name) for name in ("steps", "num_utts", "memory", "min_seconds", "seed")},
            **{name: getattr(args, name) for name in ("device", "dtype", "threads")},
        }

    def _fills_for(self, name: str) -> bool:
        """Whether a row fills the cache that a wanted row reads: its own process, so that the reader's memory is its own."""
        row = ROWS[name]
        readers = (ROWS[other] for other in self.args.rows if other in ROWS)
        return row.kind == "filling" and any(reader.kind == "ours" and reader.cut == row.cut for reader in readers)

    def run(self, command: str) -> dict:
        """All rows; the report, as ``speed.json`` holds it."""
        args = self.args
        before = self._measure_machine()
        self.job["max_memory_gb"] = args.max_memory_gb or before["memory_gb"] or available_gb() - MEMORY_TO_SPARE_GB
        if args.encoder == "base":
            made = run_job("encoder.py", self.job, sys.executable, self.work / "encoder-job")
            if "failure" in made:
                raise InputError(f"cannot make the encoder: {made['failure']}")
        report = {"command": command, "environment": before["environment"], "settings": self.job, "too_large": []}
        report |= {"flops_per_s": before["flops_per_s"], "rows": {}, "startup": {}, "scaling": []}
        for stage in STAGES:
            self._run_stage(stage, report)
        if "startup" in args.rows:
            job = {**self.job, "device": "cpu"}
            report["startup"] = run_job("startup.py", job, sys.executable, self.work / "startup-job")
            if "failure" in report["startup"]:
                raise InputError(f"start-up cannot be measured: {report['startup']['failure']}")
        for num_utts in CORPUS_SIZES if "scaling" in args.rows else ():
            job = {**self.job, "num_utts": num_utts, "device": "cpu", "batch_size": BATCH_SIZES[0]}
            report["scaling"].append(run_job("scaling.py", job, sys.executable, self.work / "scaling"))
        # The machine may have had other work at one of the two times: the faster one is what it can do.
        report["flops_per_s"] = max(report["flops_per_s"], self._measure_machine()["flops_per_s"])
        write_json(args.output, report)
        return report

    def _run_stage(self, stage: str, report: dict) -> None:
        """A stage's rows, all at the largest batch size at which none of them needs too much memory."""
        names = [name for name in self.wanted if ROWS[name].stage == stage]
        sizes = BATCH_SIZES if self.args.batch_size == "auto" else (int(self.args.batch_size),)
        for batch_size in sizes:
            for name in names:
                result = self._run_row(name, batch_size)
                report["rows"][name] = {**result, "batch_size": batch_size}
                write_json(self.args.output, report)
                if result.get("out_of_memory") and batch_size != sizes[-1]:
                    report["too_large"].append({"batch_size": batch_size, "row": name, "failure": result["failure"]})
                    break
            else:
                return

    def _run_row(self, name: str, batch_size: int) -> dict:
        print(f"batches of {batch_size}, {name} ...", end=" ", flush=True)
        python = self.args.peers_python if ROWS[name].kind in PEERS else sys.executable
        result = run_job("run_row.py", {**self.job, "row": name, "batch_size": batch_size}, python, self.work / name)
        speed = f"{result['utterances'] / result['seconds']:.3g} utterances/s" if "seconds" in result else ""
        print(", ".join(filter(None, [speed, result.get("failure")])), flush=True)
        return result

    def _measure_machine(self) -> dict:
        machine = run_job("machine.py", self.job, sys.executable, self.work / "machine")
        if "failure" in machine:
            raise InputError(f"--device {self.args.device}: {machine['failure']}")
        return machine


def write_json(folder: Path, report: dict) -> None:
    """Writes ``speed.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / "speed.json", json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"speed.py: {error}")

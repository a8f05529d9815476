"""From launching a command to its first step or its prediction, compared with the least that it must do: import and load.

``python benchmarks/startup.py JOB.json``, as :mod:`speed` calls it.
"""

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from subprocess import DEVNULL, run

from corpus import LABELS, make_examples, write_audio

from espnet_ser.data.datadir import write_datadir
from espnet_ser.utils.atomic import atomic_write

REPOSITORY = Path(__file__).resolve().parent.parent
NUM_UTTS = 8
REPEATS = 3

FLOOR = "import sys, torch, transformers; transformers.Wav2Vec2Model.from_pretrained(sys.argv[1])"

TO_FIRST_STEP = """
import os, sys
from espnet_ser.bin.main import main
from espnet_ser.models.ser_model import SERModel
SERModel.forward = lambda model, **batch: os._exit(0)
main(sys.argv[1:])
sys.exit(1)
"""
"""Runs the command of its arguments until the model is given its first batch."""


def main() -> None:
    """Reads the job, writes seconds by the clock and of all cores for each command."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(job["folder"]) / "startup"
    write_fold(folder / "data" / "fold1")
    commands = {"floor": ["-c", FLOOR, job["encoder"]], "help": ["-m", "espnet_ser", "--help"]}
    for cache in ("none", "auto"):
        commands[f"train, --cache {cache}"] = ["-c", TO_FIRST_STEP, *train_command(folder, job["encoder"], cache)]
    once = ["--tag", "once", "--stage2_args=--max_epoch 1"]
    run([sys.executable, "-m", "espnet_ser", *train_command(folder, job["encoder"], "none"), *once], cwd=folder, check=True)
    wav = next((folder / "data").glob("**/*.wav"))
    commands["predict, one file"] = ["-m", "espnet_ser", "predict", "--model", str(folder / "exp/stl_once/fold1"), str(wav)]
    atomic_write(job["result"], json.dumps({name: fastest(command, folder) for name, command in commands.items()}))


def write_fold(folder: Path) -> None:
    """A fold as recipe stage 1 leaves it, of a few utterances."""
    examples = make_examples(folder / "wav", NUM_UTTS)
    emotions = [emotion for emotion in LABELS["emotion"] for _ in "fm"]  # each of a woman and of a man
    examples = [replace(example, sha256="", emotion=e) for example, e in zip(examples, emotions, strict=True)]
    write_audio(examples)
    women, men = ([example for example in examples if example.gender == gender] for gender in "fm")
    write_datadir(folder / "train", women)
    write_datadir(folder / "test", men)
    atomic_write(folder / "fold.json", json.dumps({"number": 1, "by": "speaker"}))


def train_command(folder: Path, encoder: str, cache: str) -> list[str]:
    """``espnet-ser train`` for a system of one finetuning."""
    where = {"conf": REPOSITORY / "conf", "datadir": folder / "data", "dumpdir": folder / "dump", "expdir": folder / "exp"}
    options = {"stage": "ser", "system": "stl", "ssl": encoder, "ngpu": 0, "cache": cache, "tag": cache, **where}
    options |= {f"{name}_config": REPOSITORY / "conf" / "train_ser.yaml" for name in ("stage1", "ser")}
    return ["train", *(str(word) for name, value in options.items() for word in (f"--{name}", value))]


def fastest(command: list[str], folder: Path) -> dict[str, float]:
    """Seconds by the clock, and of all cores, of the fastest of several runs; the first of them has the files read."""
    seconds, cpu_seconds = [], []
    for _ in range(REPEATS):
        before, start = cpu_s(), time.perf_counter()
        done = run([sys.executable, *command], cwd=folder, stdout=DEVNULL, stderr=DEVNULL, env=os.environ)
        seconds.append(time.perf_counter() - start)
        cpu_seconds.append(cpu_s() - before)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command[2:4])} failed")
    return {"seconds": min(seconds), "cpu_seconds": min(cpu_seconds)}


def cpu_s() -> float:
    """What processes that have ended took of all cores."""
    usage = getrusage(RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()

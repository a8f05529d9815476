"""Follows trainings: a line whenever one of them has finished an epoch (at most one in a few seconds)."""

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path

from espnet_ser.bin.parser import CommandParser
from espnet_ser.utils.say import say


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = CommandParser(
        prog="espnet-ser progress",
        description=__doc__,
        epilog="example: espnet-ser progress exp/stage1/asr_gender_skip/fold*",
    )
    parser.add_argument("folders", nargs="+", type=Path, help="folders of trainings, running or still to start")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two lines on the same training")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Prints lines until every training has finished, or the process that started this one is gone."""
    args = get_parser().parse_args(argv)
    from espnet_ser.errors import InputError
    from espnet_ser.train.history import read_history

    if not args.every >= 0:
        raise InputError(f"--every must be 0 or more seconds, not {args.every}")
    parent = os.getppid()
    shown = {folder: (len(read_history(folder)), 0.0) for folder in args.folders}
    while os.getppid() == parent:
        for folder, (num_epochs, shown_at) in shown.items():
            history = read_history(folder)
            finished = bool(history) and history[-1]["epoch"] == history[-1]["max_epoch"]
            if len(history) > num_epochs and (finished or time.monotonic() - shown_at >= args.every):
                say(_line(folder, history), flush=True)
                shown[folder] = (len(history), time.monotonic())
            elif len(history) < num_epochs:  # trained anew
                shown[folder] = (0, 0.0)
        time.sleep(0.5)


def _line(folder: Path, history: list[dict]) -> str:
    from espnet_ser.schedule.time_left import epoch_seconds, training_seconds_left

    last, left_s = history[-1], training_seconds_left(history)
    left = "" if left_s == 0 else f", about {left_s / 3600:.1f} h left" if left_s >= 3600 else f", about {left_s:.0f} s left"
    names = {"ua": "UA", "wa": "WA", "gender_ua": "gender UA", "style_ua": "style UA", "wer": "WER", "cer": "CER"}
    names["loss"] = "loss"
    scores = ", ".join(f"{names[name]} {last['valid'][name]:.2f}" for name in names if name in last["valid"])
    scores += " (every hypothesis is empty)" if last.get("silent") else ""
    where = f"{folder.parent.name}/{folder.name}: epoch {last['epoch']}/{last['max_epoch']}"
    return f"{where}, {epoch_seconds(history):.1f} s each{left}; held out: {scores}"

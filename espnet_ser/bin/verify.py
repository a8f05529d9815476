"""Recomputes scores from predictions, and checks every hash of a system, of several seeds or of a table."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from espnet_ser.bin.parser import CommandParser
from espnet_ser.utils.say import say


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = CommandParser(
        prog="espnet-ser verify",
        description=f"{__doc__} Reads the folders, and the data and intermediate models that their config.yaml name.",
        epilog="example: espnet-ser verify exp/asr_gender_skip__ser exp/table3",
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="EXP", help="folders that stage 6, a table or --seeds left")
    parser.add_argument("--datadir", type=Path, help="where the data directories lie, if they have moved")
    parser.add_argument("--expdir", type=Path, help="whose stage1/ holds the intermediate models, if they have moved")
    parser.add_argument("--audio", action="store_true", help="read the audio files too")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Prints a line for each thing that was checked. Raises InputError when something is wrong; it says how much."""
    args = get_parser().parse_args(argv)
    from espnet_ser.errors import InputError
    from espnet_ser.verification.folders import Verifier
    from espnet_ser.verification.training import Places

    verifier = Verifier(Places(args.datadir, args.expdir, args.audio))
    checked = wrong = 0
    for folder in args.folders:
        for finding in verifier.check(folder):
            say(finding.line(), flush=True)
            checked += 1
            wrong += bool(finding.faults)
    if wrong:
        raise InputError(f"{wrong} of {checked} things checked are wrong")
    say(f"all {checked} things checked are as they were made")

"""Lists or removes what trainings have left and nothing needs any more: earlier models, caches, leftovers of kills."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from espnet_ser.bin.parser import CommandParser
from espnet_ser.utils.say import say


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = CommandParser(
        prog="espnet-ser clean",
        description=f"{__doc__} What results are made of stays, and so does what is not of this project's making.",
        epilog="example: espnet-ser clean --dry_run false",
    )
    parser.add_argument("--expdir", type=Path, default=Path("exp"), help="where models and results lie")
    parser.add_argument("--dumpdir", type=Path, default=Path("dump"), help="where caches and token lists lie")
    parser.add_argument(
        "--dry_run", default="true", choices=("true", "false"), help="list it, and remove nothing (%(default)s)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Prints a line for each thing: size, place and why it may go."""
    args = get_parser().parse_args(argv)
    from espnet_ser.errors import InputError
    from espnet_ser.experiment.cleaning import find_waste

    if not args.expdir.is_dir():
        raise InputError(f"{args.expdir}: no such folder; name with --expdir where trainings have left their models")
    found = list(find_waste(args.expdir, args.dumpdir))
    num_bytes = sum(waste.num_bytes for waste in found)
    for waste in found:
        say(f"{waste.num_bytes / 1e6:10.1f} MB  {waste.path}  ({waste.why})")
        if args.dry_run == "false":
            waste.remove()
    done = "would be removed: give --dry_run false" if args.dry_run == "true" else "removed"
    say(f"{num_bytes / 1e6:10.1f} MB  {done if found else 'nothing to remove'}")

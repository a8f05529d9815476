"""Speak a release in IEMOCAP's layout with espeak-ng, for tests and the mini recipe."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from espnet_ser.bin.parser import CommandParser, whole_number
from espnet_ser.utils.say import say


def get_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = CommandParser(
        prog="espnet-ser synthesize",
        description=__doc__,
        epilog="example: espnet-ser synthesize --output release --num_utts 400 --seed 0 --nj 2",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        default=argparse.SUPPRESS,
        metavar="DIR",
        help="folder to make; nothing is done if it holds this release",
    )
    parser.add_argument(
        "--num_utts", type=int, default=480, metavar="N", help="labelled utterances, 20 to 10039 (10039: IEMOCAP's counts)"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed gives another release")
    parser.add_argument(
        "--nj", type=whole_number(1), default=4, metavar="N", help="processes that speak; the result does not depend on it"
    )
    parser.add_argument(
        "--audio",
        choices=("speech", "noise"),
        default="speech",
        help="noise: quickly made noise of the same lengths, for speed tests",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command. ``argv``: its arguments; None takes those of the process."""
    args = get_parser().parse_args(argv)

    from espnet_ser.synthetic.release import synthesize_release

    made = synthesize_release(args.output, num_utts=args.num_utts, seed=args.seed, nj=args.nj, audio=args.audio)
    if made:
        say(f"{args.output}: spoke {args.num_utts} utterances in IEMOCAP's layout")
    else:
        say(f"{args.output}: already holds this release; nothing to do")


if __name__ == "__main__":
    main()

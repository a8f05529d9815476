"""Stage 1 for a corpus of one's own: a Kaldi data directory -> checked data directories and folds."""

import argparse
import re
import sys
from pathlib import Path

from espnet_ser.bin.parser import CommandParser, add_corpus_options, add_datadir_options, corpus_of
from espnet_ser.utils.say import say


def get_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = CommandParser(
        prog="espnet-ser folds",
        description="Read and check a Kaldi data directory with utt2emotion and write all and fold<k> for the later stages.",
        epilog="example: espnet-ser folds --data data/corpus --datadir data --folds_by 5",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="wav.scp, utt2spk, utt2emotion and more")
    parser.add_argument(
        "--folds_by",
        type=folding,
        default="session",
        help="what each fold holds out: a session, a speaker, what utt2fold says, or with a number that many even groups of "
        "sessions (%(default)s; without utt2session each speaker is a session); utt2split: one fold, train, dev and test",
    )
    parser.add_argument(
        "--classes", default="", help='emotions to predict, e.g. "angry happy sad"; all that there are if empty'
    )
    add_datadir_options(parser)
    add_corpus_options(parser)
    return parser


def folding(text: str) -> str:
    """The type of ``--folds_by``."""
    if not re.fullmatch("session|speaker|utt2fold|utt2split|[2-9]|[1-9][0-9]{1,4}", text):
        raise argparse.ArgumentTypeError(
            f"takes session, speaker, utt2fold, utt2split or a number of folds from 2, not {text[:20]!r}"
        )
    return text


def main(argv: list[str] | None = None) -> None:
    """Runs the command. Raises InputError: something in the corpus or on the disk is wrong."""
    args = get_parser().parse_args(argv)
    from espnet_ser.corpus.kaldi import (
        FOLDS_FILE,
        SPLIT_FILE,
        fold_corpus,
        fold_table,
        ids_that_sort_by_speaker,
        lacking_classes,
        read_corpus,
        read_utt2fold,
        read_utt2split,
        renamed,
    )
    from espnet_ser.corpus.prepare import LAYOUT_VERSION, make_datadirs
    from espnet_ser.corpus.record import write_corpus
    from espnet_ser.data.lists import composed

    examples = read_corpus(args.data, nj=args.nj)
    classes = list(dict.fromkeys(composed(args.classes).split())) or sorted({example.emotion for example in examples})
    reader = {FOLDS_FILE: read_utt2fold, SPLIT_FILE: read_utt2split}.get(args.folds_by)
    listed = reader and reader(args.data / args.folds_by, examples)
    ids = ids_that_sort_by_speaker(examples)
    if changed := next((pair for pair in ids.items() if len(set(pair)) > 1), None):
        say(f"{args.data}: ids do not sort as speakers do, so each gets its speaker's in front: {changed[0]} is {changed[1]}")
        examples, listed = renamed(examples, ids), listed and {ids[utt]: value for utt, value in listed.items()}
    folds = fold_corpus(examples, classes, args.folds_by, listed)
    say(fold_table(folds, classes))
    if warning := lacking_classes(examples, folds, classes):
        say(f"warning: {warning}", file=sys.stderr)
    asked = {"layout": LAYOUT_VERSION, "folds_by": args.folds_by, "classes": sorted(classes), "listed": listed}
    say(f"{args.datadir}: {make_datadirs(args.datadir, examples, classes, folds, asked)}")
    write_corpus(args.datadir, corpus_of(args))


if __name__ == "__main__":
    main()

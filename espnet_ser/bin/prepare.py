"""Stage 1: a release of IEMOCAP -> checked data directories and folds."""

import argparse
from pathlib import Path

from espnet_ser.bin.parser import CommandParser, add_corpus_options, add_datadir_options, corpus_of
from espnet_ser.utils.say import say


def get_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = CommandParser(
        prog="espnet-ser prepare",
        description="Read and check a release of IEMOCAP and write Kaldi data directories: all, four_class and fold<k>.",
        epilog="example: espnet-ser prepare --iemocap /corpora/IEMOCAP_full_release --datadir data",
    )
    parser.add_argument("--iemocap", type=Path, required=True, metavar="DIR", help="the release, or the folder that holds it")
    parser.add_argument(
        "--folds_by",
        choices=["session", "speaker"],
        default="session",
        help="what each fold holds out: 5 folds by session or 10 by speaker (%(default)s)",
    )
    parser.add_argument(
        "--check_counts",
        choices=["auto", "full", "partial"],
        default="auto",
        help="compare with the published counts: auto (if the release looks full), full, partial",
    )
    add_datadir_options(parser)
    add_corpus_options(parser)
    return parser


def main(argv: list[str] | None = None) -> None:
    """Runs the command. Raises InputError: something in the release or on the disk is wrong."""
    args = get_parser().parse_args(argv)
    from espnet_ser.corpus.counts import check_counts, summary_table
    from espnet_ser.corpus.iemocap import read_release
    from espnet_ser.corpus.prepare import prepare_datadirs
    from espnet_ser.corpus.record import IEMOCAP, SYNTHETIC, is_synthetic, write_corpus

    utterances = read_release(args.iemocap, nj=args.nj)
    say(summary_table(utterances))
    if derived := check_counts(utterances, args.check_counts):
        say(derived)
    say(f"{args.datadir}: {prepare_datadirs(args.datadir, utterances, args.folds_by)}")
    known = SYNTHETIC if is_synthetic(utterance.wav for utterance in utterances) else IEMOCAP
    write_corpus(args.datadir, corpus_of(args).or_else(known))


if __name__ == "__main__":
    main()

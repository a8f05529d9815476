"""Stage 2: a token list for every fold, from that fold's training text alone; and the encoder, fetched once."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from espnet_ser.bin.parser import CommandParser, add_token_options
from espnet_ser.utils.say import say


def get_parser() -> argparse.ArgumentParser:
    """The options of stage 2."""
    parser = CommandParser(
        prog="espnet-ser tokens",
        description=__doc__,
        epilog="example: espnet-ser tokens --datadir data --dumpdir dump --folds '1 2 3 4 5' --ssl facebook/wav2vec2-base",
    )
    parser.add_argument("--datadir", type=Path, default=Path("data"), help="what stage 1 leaves")
    parser.add_argument("--dumpdir", type=Path, default=Path("dump"), help="what stage 2 leaves, and caches")
    parser.add_argument("--folds", default="", help='folds to run, e.g. "1 2 3"; all if empty')
    add_token_options(parser)
    parser.add_argument("--ssl", help="pretrained encoder: a folder or a hub name")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Writes ``dump/fold<k>/tokens_<type>/`` for each fold."""
    args = get_parser().parse_args(argv)
    from espnet_ser.data.datadir import read_datadir
    from espnet_ser.data.tokens import BPETokenizer, CharTokenizer, save_tokenizer
    from espnet_ser.data.unchanged import check_unchanged_data
    from espnet_ser.experiment.folds import fold_names, token_folder
    from espnet_ser.layout import TOKENS_STAMP
    from espnet_ser.utils.atomic import disk_errors_as_input_errors
    from espnet_ser.utils.locks import locked
    from espnet_ser.utils.replacing import keep_others
    from espnet_ser.utils.stamp import Stamp
    from espnet_ser.version import __version__

    for fold in fold_names(args.datadir, args.folds):
        check_unchanged_data(args.datadir, fold)
        texts = sorted({example.text for example in read_datadir(args.datadir / f"fold{fold}" / "train")} - {""})
        folder = token_folder(args.dumpdir, fold, args.token_type, args.nbpe)
        num_bpe = args.nbpe if args.token_type == "bpe" else None
        inputs = {"texts": texts, "token_type": args.token_type, "nbpe": num_bpe, "espnet_ser": __version__}
        stamp = Stamp(folder / TOKENS_STAMP)
        if stamp.difference(inputs) is None:
            say(f"fold {fold}: token list up to date")
            continue
        if not texts:
            say(f"fold {fold}: no words in {args.datadir}/fold{fold}/train/text: no token list, and no system with asr")
            continue
        if args.token_type == "bpe":
            tokens, bpe_model = BPETokenizer.train(texts, args.nbpe)
        else:
            tokens, bpe_model = CharTokenizer.make_tokens(texts), None
        with disk_errors_as_input_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder):
                for name in ("tokens.txt", "bpe.model"):
                    keep_others(folder / name, stamp)
                save_tokenizer(folder, tokens, bpe_model)
                stamp.write(inputs, [folder / name for name in ("tokens.txt", "bpe.model") if (folder / name).is_file()])
        say(f"fold {fold}: {len(tokens)} tokens from {len(texts)} distinct training transcripts -> {folder}/tokens.txt")
    if args.ssl is not None:
        from espnet_ser.errors import InputError
        from espnet_ser.model_io.encoder_folder import wants_normalized_waveform
        from espnet_ser.model_io.hub import resolve_encoder

        encoder = resolve_encoder(args.ssl)
        say(f"encoder: {args.ssl} -> {encoder}")
        try:
            wants_normalized_waveform(encoder)
        except InputError as error:  # the options of later stages may say it
            say(f"warning: {error}", file=sys.stderr)

"""Stage 7: a trained fold as others use it: an archive for ESPnet's model zoo, folders for transformers and ONNX, a card."""

import argparse
from collections.abc import Sequence

from espnet_ser.bin.parser import CommandParser, add_recipe_options
from espnet_ser.utils.say import say


def get_parser() -> argparse.ArgumentParser:
    """The options of stage 7."""
    parser = CommandParser(
        prog="espnet-ser pack",
        description=__doc__,
        epilog="example: espnet-ser pack --system asr_gender_skip__ser --conf conf --fold 1",
    )
    add_recipe_options(parser)
    parser.add_argument("--fold", default="", help="the fold to pack, or 'all'; default the first: no score chooses it")
    parser.add_argument(
        "--onnx",
        default="auto",
        choices=("auto", "true", "false"),
        help="export to ONNX too: auto (where onnx is installed), true, false",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Writes ``packed/fold<k>/`` and ``packed/fold<k>.zip`` into the system's folder."""
    args = get_parser().parse_args(argv)
    from espnet_ser.errors import InputError, unknown_name
    from espnet_ser.experiment.folds import fold_names
    from espnet_ser.experiment.systems import load_system
    from espnet_ser.experiment.trained_fold import TrainedFold
    from espnet_ser.layout import system_folder
    from espnet_ser.utils.locks import locked

    system = load_system(args.conf, args.system)
    names = fold_names(args.datadir, args.folds)
    if args.fold not in ("", "all", *names):
        raise unknown_name("fold", args.fold, ("all", *names), where="--fold")
    base = system_folder(args.expdir, system.name, args.tag)
    with locked(base):  # stages 5 and 6 write what is read here
        where = (args.datadir, args.expdir, args.tag, args.stage1_tag)
        wanted = names if args.fold == "all" else [args.fold or names[0]]
        folds = {name: TrainedFold.find(system, name, *where) for name in wanted}
        from espnet_ser.publish.onnx import missing_packages
        from espnet_ser.publish.pack import FoldToPack

        missing = missing_packages() if args.onnx != "false" else []
        if missing:
            remedy = f"{', '.join(missing)} not installed: pip install 'espnet-ser[export]'"
            if args.onnx == "true":
                raise InputError(f"--onnx true: {remedy}")
            say(f"no ONNX export: {remedy}", flush=True)
        for name, fold in folds.items():
            packing = FoldToPack(system.name, name, fold, base, with_onnx=args.onnx != "false" and not missing)
            done = "packed" if packing.pack() else "up to date"
            say(f"fold {name}: {done}: {packing.folder}, {packing.archive}", flush=True)

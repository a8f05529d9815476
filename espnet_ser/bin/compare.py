"""A paired test between two systems: is the difference more than chance?"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from espnet_ser.bin.parser import CommandParser
from espnet_ser.errors import InputError, unknown_name
from espnet_ser.evaluation.predictions import SELECTIONS, WITHOUT_DEV, predictions_path, read_predictions
from espnet_ser.layout import trained_folds
from espnet_ser.utils.say import say

MAX_DRAWS = 1_000_000


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = CommandParser(
        prog="espnet-ser compare",
        description=__doc__,
        epilog="example: espnet-ser compare stl asr_gender_skip__ser --expdir exp",
    )
    parser.add_argument("a", metavar="A", help="a system's experiment folder, or its name below --expdir")
    parser.add_argument("b", metavar="B", help="the system to compare with it")
    parser.add_argument("--expdir", type=Path, default=Path("exp"), help="where the systems' folders lie")
    parser.add_argument("--folds", default="", help="folds, separated by spaces; default all, which must be the same in both")
    parser.add_argument("--selection", choices=SELECTIONS, default=WITHOUT_DEV, help="how the epoch was chosen (%(default)s)")
    parser.add_argument("--draws", type=int, default=10_000, help="of the bootstrap")
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="what to print")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Prints both systems' scores, their difference, and whether it is more than chance."""
    args = get_parser().parse_args(argv)
    from espnet_ser.evaluation.significance import compare, comparison_text

    if not 1 <= args.draws <= MAX_DRAWS:
        raise InputError(f"--draws must be 1 to {MAX_DRAWS}, not {args.draws}")
    if args.seed < 0:
        raise InputError(f"--seed must be 0 or more, not {args.seed}")
    folders = [_system_folder(name, args.expdir) for name in (args.a, args.b)]
    folds, folds_b = (_folds_to_compare(folder, args.folds, args.selection) for folder in folders)
    if folds != folds_b:
        raise InputError(
            f"{folders[0]} has predictions_{args.selection}.jsonl of folds {' '.join(folds)}, {folders[1]} of "
            f"{' '.join(folds_b)}: run stage 5 for the others, or name common ones with --folds"
        )
    a, b = (
        {fold: read_predictions(predictions_path(folder / f"fold{fold}", args.selection)) for fold in folds}
        for folder in folders
    )
    result = compare(a, b, args.draws, args.seed)
    if args.format == "table":
        say(comparison_text(result, *(f"{folder} ({args.selection})" for folder in folders)))
    else:
        systems = {"a": str(folders[0]), "b": str(folders[1])}
        chosen = {"folds": folds, "selection": args.selection, "draws": args.draws, "seed": args.seed}
        say(json.dumps({**systems, **chosen, **result}, indent=1))


def _system_folder(name: str, expdir: Path) -> Path:
    if not name:
        raise InputError("an empty name; give a system's experiment folder, or its name below --expdir")
    for folder in (Path(name), expdir / name):
        if folder.is_dir():
            return folder
    known = {path.parent.name for path in expdir.glob("*/fold*")}
    if known and "/" not in name:
        raise unknown_name("system", name, known, where=str(expdir))
    raise InputError(f"{name}: no such folder, nor one below {expdir}; give a system's experiment folder, or --expdir")


def _folds_to_compare(folder: Path, asked: str, selection: str) -> list[str]:
    """Those asked for, or all with predictions."""
    paths = trained_folds(folder, asked)
    folds = [fold for fold, path in paths.items() if asked.split() or predictions_path(path, selection).is_file()]
    if not folds:
        raise InputError(f"{folder}: no fold*/predictions_{selection}.jsonl; run stage 5, or choose another --selection")
    return folds

"""Stage 5: predictions for the held-out utterances of each fold."""

import argparse
from collections.abc import Sequence

from espnet_ser.bin.parser import CommandParser, add_recipe_options


def get_parser() -> argparse.ArgumentParser:
    """The options of stage 5."""
    parser = CommandParser(
        prog="espnet-ser infer",
        description=__doc__,
        epilog="example: espnet-ser infer --system asr_gender_skip__ser --conf conf --folds '1 2'",
    )
    add_recipe_options(parser)
    parser.add_argument("--batch_size", type=int, default=16, help="utterances at a time; the results do not depend on it")
    parser.add_argument("--ngpu", type=int, default=0, help="1 to use a GPU")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Writes ``predictions_last.jsonl`` for each fold."""
    args = get_parser().parse_args(argv)
    from espnet_ser.data.datadir import read_datadir
    from espnet_ser.errors import InputError
    from espnet_ser.predictions import predictions_path, write_predictions
    from espnet_ser.provenance import data_identity
    from espnet_ser.recipe import (
        DONE_FILE,
        INFERRED_FILE,
        fold_names,
        read_fold,
        stage1_folder,
        system_folder,
        trained_model_identity,
    )
    from espnet_ser.stamp import Stamp, disk_errors_as_input_errors
    from espnet_ser.systems import load_system

    if args.batch_size < 1:
        raise InputError(f"--batch_size must be 1 or more, not {args.batch_size}")
    system = load_system(args.conf, args.system)
    for fold in fold_names(args.datadir, args.folds):
        folder = system_folder(args.expdir, system.name, args.tag) / f"fold{fold}"
        models = {"ser": folder}
        if system.stage1 is not None:
            models["stage1"] = stage1_folder(args.expdir, system, fold, args.stage1_tag)
        test = read_datadir(args.datadir / f"fold{fold}" / "test")
        inputs = {
            "models": {
                name: trained_model_identity(model, stage=3 if name == "stage1" else 4) for name, model in models.items()
            },
            "test": data_identity(test),
        }
        trained_on = Stamp(folder / DONE_FILE).inputs()
        if trained_on.get("stage1") != inputs["models"].get("stage1") or trained_on.get("test") != inputs["test"]:
            raise InputError(
                f"{folder} was trained from other data or another stage-1 model than is here now: run stage 4 again"
            )
        stamp = Stamp(folder / INFERRED_FILE)
        if stamp.difference(inputs) is None:
            print(f"fold {fold}: predictions up to date")
            continue
        from espnet_ser.inference import predict_fold

        lines = predict_fold(
            models, test, read_fold(args.datadir, fold)["by"], args.batch_size, "cuda" if args.ngpu else "cpu", f"fold {fold}"
        )
        with disk_errors_as_input_errors(folder):
            path = predictions_path(folder)
            write_predictions(path, lines)
            stamp.write(inputs, [path])
        print(f"fold {fold}: {len(lines)} utterances -> {path}")

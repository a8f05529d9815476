"""Stage 6: scores, tables and figures of a system."""

import argparse
from collections.abc import Sequence

from espnet_ser.bin.parser import CommandParser, add_recipe_options


def get_parser() -> argparse.ArgumentParser:
    """The options of stage 6."""
    parser = CommandParser(
        prog="espnet-ser score",
        description=__doc__,
        epilog="example: espnet-ser score --system asr_gender_skip__ser --conf conf --folds '1 2 3 4 5'",
    )
    add_recipe_options(parser)
    parser.add_argument("--command", default="", help="the command line to record beside the figures")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Writes ``results.json``, ``RESULTS.md`` and ``figures/``, and prints the table."""
    args = get_parser().parse_args(argv)
    import json

    from espnet_ser.data.datadir import read_datadir
    from espnet_ser.errors import InputError
    from espnet_ser.history import read_history
    from espnet_ser.predictions import SELECTIONS, predictions_path, read_predictions
    from espnet_ser.recipe import INFERRED_FILE, describe_run, fold_names, stage1_folder, system_folder
    from espnet_ser.report import plot_confusion, plot_curves, results_markdown
    from espnet_ser.results import summarise
    from espnet_ser.stamp import Stamp, atomic_write, disk_errors_as_input_errors, file_sha256
    from espnet_ser.systems import load_system

    system = load_system(args.conf, args.system)
    base = system_folder(args.expdir, system.name, args.tag)
    folders = {fold: base / f"fold{fold}" for fold in fold_names(args.datadir, args.folds)}
    predictions = {}
    for fold, folder in folders.items():
        selections = [name for name in SELECTIONS if name == "last" or predictions_path(folder, name).is_file()]
        predictions[fold] = {name: read_predictions(predictions_path(folder, name)) for name in selections}
        changed = Stamp(folder / INFERRED_FILE).changed_outputs()
        utts = {line["utt"] for line in predictions[fold]["last"]}
        if changed or utts != {example.utt for example in read_datadir(args.datadir / f"fold{fold}" / "test")}:
            reason = "; ".join(changed) or "they are not of the utterances that this fold holds out"
            raise InputError(f"predictions in {folder}: {reason}; run stage 5 again")
    runs = {fold: describe_run(folder) for fold, folder in folders.items()}
    first = next(iter(folders))
    for fold, run in runs.items():
        for key, value in run.items():
            if value != runs[first][key]:
                raise InputError(
                    f"{folders[fold]} was trained with {key} {value}, {folders[first]} with {runs[first][key]}: "
                    f"scores of different systems are not pooled; run stages 3 to 5 for all folds alike"
                )
    made_from = {
        "paper": dict(system.paper),
        "runs": runs,
        "predictions": {
            fold: {name: file_sha256(predictions_path(folders[fold], name)) for name in by} for fold, by in predictions.items()
        },
    }
    stamp = Stamp(base / ".scored.json")
    if stamp.difference(made_from) is None:
        print((base / "RESULTS.md").read_text(encoding="utf-8").partition("\n## ")[0])
        print(f"{base}/RESULTS.md: up to date")
        return
    results = summarise(system.name, predictions)
    histories = {"SER": {fold: read_history(folder) for fold, folder in folders.items()}}
    if system.stage1 is not None:
        stage1 = {fold: read_history(stage1_folder(args.expdir, system, fold, args.stage1_tag)) for fold in folders}
        histories = {"stage 1": stage1, **histories}
    text = results_markdown(results, system.paper, args.command, runs[first])
    with disk_errors_as_input_errors(base):
        pooled = [line for by in predictions.values() for line in by["last"]]
        plot_confusion(pooled, base / "figures" / "confusion.png", f"{system.name}: {len(pooled)} held-out utterances")
        plot_curves(histories, base / "figures" / "curves.png")
        atomic_write(base / "results.json", json.dumps(results, indent=1) + "\n")
        atomic_write(base / "RESULTS.md", text)
        stamp.write(made_from, [base / "results.json", base / "RESULTS.md", base / "figures"])
    print(text.partition("\n## ")[0])
    print(f"{base}/RESULTS.md, results.json and figures/ written")

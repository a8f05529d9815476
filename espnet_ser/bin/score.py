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
    """Writes ``results.json``, ``run.json``, ``RESULTS.md``, ``report.html`` and ``figures/``, and prints the table."""
    args = get_parser().parse_args(argv)
    from espnet_ser.errors import InputError
    from espnet_ser.history import read_history
    from espnet_ser.predictions import EMBEDDINGS_FILE, SELECTIONS, predictions_path, read_predictions
    from espnet_ser.recipe import SELECTED_FILE, TrainedFold, describe_run, fold_names, system_folder
    from espnet_ser.report.environment import describe_environment
    from espnet_ser.report.system import SystemReport
    from espnet_ser.report.write import labelled_embeddings, write_system_report
    from espnet_ser.results import headline_of, summarise
    from espnet_ser.slices import slices_of
    from espnet_ser.stamp import Stamp, disk_errors_as_input_errors, file_sha256, fingerprint
    from espnet_ser.systems import load_system

    system = load_system(args.conf, args.system)
    base = system_folder(args.expdir, system.name, args.tag)
    names = fold_names(args.datadir, args.folds)
    folds = {name: TrainedFold.find(system, name, args.datadir, args.expdir, args.tag, args.stage1_tag) for name in names}
    predictions = {}
    for name, fold in folds.items():
        paths = {selection: predictions_path(fold.folder, selection) for selection in SELECTIONS}
        predictions[name] = {s: read_predictions(path) for s, path in paths.items() if s == "last" or path.is_file()}
        changed = Stamp(fold.folder / SELECTED_FILE).changed_outputs()
        if changed or {line["utt"] for line in predictions[name]["last"]} != {example.utt for example in fold.test}:
            reason = "; ".join(changed) or "they are not of the utterances that this fold holds out"
            raise InputError(f"predictions in {fold.folder}: {reason}; run stage 5 again")
    runs = {fold.folder: describe_run(fold.folder) for fold in folds.values()}
    first, settings = next(iter(runs.items()))
    for folder, run in runs.items():
        if differing := [key for key in settings if run.get(key) != settings[key]]:
            raise InputError(
                f"{folder} was trained with {differing[0]} {run.get(differing[0])}, {first} with {settings[differing[0]]}: "
                f"scores of different systems are not pooled; run stages 3 to 5 for all folds alike"
            )
    train_texts = {name: fold.train_texts() for name, fold in folds.items()}
    embeddings = {name: path for name, fold in folds.items() if (path := fold.folder / EMBEDDINGS_FILE).is_file()}
    made_from = {
        "paper": dict(system.paper),
        "run": settings,
        "predictions": {
            name: {s: file_sha256(predictions_path(folds[name].folder, s)) for s in by} for name, by in predictions.items()
        },
        "train_texts": {name: fingerprint(sorted(texts)) for name, texts in train_texts.items()},
        "embeddings": {name: file_sha256(path) for name, path in embeddings.items()},
    }
    stamp = Stamp(base / ".scored.json")
    if stamp.difference(made_from) is not None:
        main_lines = {name: by[headline_of(predictions)] for name, by in predictions.items()}
        slices = slices_of(main_lines, {name: fold.test for name, fold in folds.items()}, train_texts)
        histories = {"SER": {name: read_history(fold.folder) for name, fold in folds.items()}}
        if system.stage1 is not None:
            histories = {"stage 1": {name: read_history(fold.stage1) for name, fold in folds.items()}, **histories}
        run = {"command": args.command, "settings": settings, "environment": describe_environment()}
        report = SystemReport.of(system, base, summarise(system.name, predictions, slices), run)
        labelled = {name: labelled_embeddings(path, folds[name].test) for name, path in embeddings.items()}
        with disk_errors_as_input_errors(base):
            lines = [line for fold_lines in main_lines.values() for line in fold_lines]
            stamp.write(made_from, write_system_report(report, lines, histories, labelled))
    print((base / "RESULTS.md").read_text(encoding="utf-8").partition("\n- ")[0])
    print(f"{base}/RESULTS.md, report.html, results.json and figures/ are up to date")

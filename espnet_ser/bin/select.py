"""Stage 5: predictions for the held-out utterances of each fold, by each way of choosing the epoch."""

import argparse
from collections.abc import Sequence

from espnet_ser.bin.parser import CommandParser, add_recipe_options
from espnet_ser.utils.say import say


def get_parser() -> argparse.ArgumentParser:
    """The options of stage 5."""
    parser = CommandParser(
        prog="espnet-ser select",
        description=__doc__,
        epilog="example: espnet-ser select --system asr_gender_skip__ser --conf conf --folds '1 2'",
    )
    add_recipe_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Writes ``predictions_{last,others,dev,oracle}.jsonl`` and ``selection.json`` for each fold."""
    args = get_parser().parse_args(argv)
    import json

    from espnet_ser.errors import InputError
    from espnet_ser.evaluation.predictions import SELECTIONS, predictions_path, read_epochs, write_predictions
    from espnet_ser.evaluation.selection import choose_epochs, selected_lines, selected_models
    from espnet_ser.experiment.folds import fold_names, set_aside_folds_of_another_split
    from espnet_ser.experiment.systems import load_system
    from espnet_ser.experiment.trained_fold import TrainedFold
    from espnet_ser.layout import SELECTED_FILE, SELECTION_FILE, system_folder
    from espnet_ser.report.wording import SELECTION_NEEDS
    from espnet_ser.utils.atomic import atomic_write, disk_errors_as_input_errors, remove_unfinished
    from espnet_ser.utils.locks import locked
    from espnet_ser.utils.stamp import Stamp
    from espnet_ser.version import __version__

    system = load_system(args.conf, args.system)
    known, asked = fold_names(args.datadir), fold_names(args.datadir, args.folds)
    # Predictions and what is said of them belong together: another run of stage 5 or 6 on this system waits.
    with locked(system_folder(args.expdir, system.name, args.tag)):
        folds, inputs = {}, {}
        for name in known:  # all that are trained: they choose for one another, whatever is asked for
            fold = TrainedFold.find(system, name, args.datadir, args.expdir, args.tag, args.stage1_tag)
            try:
                inputs[name] = fold.identity()
            except InputError:
                if name in asked:
                    raise
                continue
            folds[name] = fold
        set_aside_folds_of_another_split(system_folder(args.expdir, system.name, args.tag), known)
        stamps = {name: Stamp(fold.folder / SELECTED_FILE) for name, fold in folds.items()}
        made_from = {"folds": inputs, "espnet_ser": __version__}
        if all(stamp.difference(made_from) is None for stamp in stamps.values()):
            say("predictions up to date")
            return
        epochs = {name: read_epochs(fold.folder) for name, fold in folds.items()}
        dev = {name: read_epochs(fold.folder, "dev") for name, fold in folds.items() if fold.dev}
        for name, fold in folds.items():
            for lines_by_epoch, examples in ((epochs[name], fold.test), (dev.get(name, []), fold.dev)):
                if any({line["utt"] for line in lines} != {example.utt for example in examples} for lines in lines_by_epoch):
                    raise InputError(
                        f"{fold.folder}: its predictions are not of the utterances that this fold holds out; run stage 4"
                    )
        for name, chosen in choose_epochs(epochs, dev).items():
            fold, outputs = folds[name], []
            intermediate = read_epochs(fold.intermediate)[-1] if fold.intermediate else None
            with disk_errors_as_input_errors(fold.folder):
                remove_unfinished(fold.folder)
                for selection in SELECTIONS:
                    path = predictions_path(fold.folder, selection)
                    if selection in chosen:
                        write_predictions(path, selected_lines(epochs[name][chosen[selection] - 1], intermediate))
                        outputs.append(path)
                    else:
                        path.unlink(missing_ok=True)
                record = {"models": selected_models(fold.folder, chosen)}
                atomic_write(fold.folder / SELECTION_FILE, json.dumps(record, indent=1) + "\n")
                stamps[name].write(made_from, [*outputs, fold.folder / SELECTION_FILE])
            shown = ", ".join(
                f"{s} {chosen[s]}" if s in chosen else f"{s} none ({SELECTION_NEEDS[s]})"
                for s in SELECTIONS
                if s in chosen or s in SELECTION_NEEDS
            )
            say(f"fold {name}: {len(fold.test)} utterances; epochs: {shown}")

"""Measures how far the gradients of a system's tasks agree, per encoder layer, while it trains (Sec. 2.2)."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace

from espnet_ser.bin.parser import CommandParser, add_recipe_options, add_training_options, setup_of
from espnet_ser.experiment.processes import Ranks
from espnet_ser.utils.say import say
from espnet_ser.utils.signals import STOP

TAG = "gradients"


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = CommandParser(
        prog="espnet-ser gradients",
        description=f"{__doc__} The training is the system's own, in a folder of its own: --tag, then '{TAG}'.",
        epilog="example: espnet-ser gradients --system mtl_asr --folds 1 --ssl facebook/wav2vec2-base",
    )
    add_recipe_options(parser)
    add_training_options(parser)
    parser.add_argument("--stage", default="ser", choices=("stage1", "ser"), help="which training of the system")
    parser.add_argument("--every", type=int, default=10, help="steps between two measurements")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Trains the folds, where that has not been done, and writes ``GRADIENTS.md`` and the figure next to them."""
    args = get_parser().parse_args(argv)
    import json

    from espnet_ser.errors import InputError
    from espnet_ser.experiment.folds import fold_names
    from espnet_ser.experiment.systems import load_system
    from espnet_ser.experiment.trained_fold import describe_run
    from espnet_ser.experiment.training_run import Experiment
    from espnet_ser.train.history import read_records
    from espnet_ser.utils.atomic import disk_errors_as_input_errors
    from espnet_ser.utils.replacing import keep_others, write_output
    from espnet_ser.utils.stamp import Stamp

    if args.every < 1:
        raise InputError(f"--every must be 1 or more, not {args.every}")
    system = load_system(args.conf, args.system)
    part = system.intermediate if args.stage == "stage1" else system.ser
    if part is None or len(part.tasks) < 2:
        raise InputError(f"{args.stage} of {args.system} does not train two tasks: there are no gradients to compare")
    setup = setup_of(args)
    extras = {**setup.extras, args.stage: (*setup.extras[args.stage], "--gradient_every", str(args.every))}
    option = "stage1_tag" if args.stage == "stage1" else "tag"
    tags = filter(None, (getattr(args, option), TAG))  # the model trained with the tag alone stays where it is
    setup = replace(setup, extras=extras, **{option: "_".join(tags)})
    folds = fold_names(args.datadir, args.folds)
    experiments = {fold: Experiment.of_fold(system, args.stage, fold, setup) for fold in folds}
    command = shlex.join(["espnet-ser", "gradients", *(sys.argv[2:] if argv is None else argv)])
    ranks = Ranks.of(args)
    with STOP.handled():
        for experiment in experiments.values():
            if not experiment.is_done():
                experiment.run(experiment.check(ngpu=ranks.num_gpus), command, ranks)
    from espnet_ser.report.gradients import cosines_over_training, gradients_markdown, plot_gradients
    from espnet_ser.train.gradient_probe import GRADIENTS_FILE
    from espnet_ser.utils.environment import describe_environment

    folders = {fold: experiment.folder for fold, experiment in experiments.items()}
    records = {fold: read_records(folder / GRADIENTS_FILE, ("epoch", "step")) for fold, folder in folders.items()}
    if empty := [folders[fold] for fold in folds if not records[fold]]:
        raise InputError(f"{empty[0]}: trained, but {GRADIENTS_FILE} is missing or empty; remove the folder and run again")
    cosines = cosines_over_training(records)
    settings = {"folds": " ".join(folds), "every": f"{args.every} steps"} | describe_run(folders[folds[0]])
    run = {"command": command, "settings": settings, "environment": describe_environment()}
    base = folders[folds[0]].parent
    with disk_errors_as_input_errors(base):
        text = gradients_markdown(f"{system.name} ({args.stage})", cosines, run)
        stamp, figures = Stamp(base / ".gradients.json"), [base / "gradients.png", base / "gradients.pdf"]
        for figure in figures:
            keep_others(figure, stamp)
        plot_gradients(cosines, figures[0])
        write_output(base / "gradients.json", json.dumps(cosines) + "\n", stamp)
        write_output(base / "GRADIENTS.md", text, stamp)
        stamp.write({}, [*figures, base / "gradients.json", base / "GRADIENTS.md"])
    say(text.partition("\n## Environments")[0])
    say(f"{base}/GRADIENTS.md, gradients.json, gradients.png and gradients.pdf written")

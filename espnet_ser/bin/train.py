"""Stages 3 and 4: finetune one fold's intermediate model, or its SER model."""

import argparse
import shlex
import sys
from collections.abc import Sequence

from espnet_ser.bin.parser import CommandParser, add_recipe_options, add_training_options, setup_of
from espnet_ser.experiment.processes import Ranks
from espnet_ser.tasks.launch_options import LAUNCH_OPTIONS
from espnet_ser.utils.say import say
from espnet_ser.utils.signals import STOP


def get_parser() -> argparse.ArgumentParser:
    """The options of stages 3 and 4."""
    parser = CommandParser(
        prog="espnet-ser train",
        description=__doc__,
        epilog="example: espnet-ser train --stage stage1 --system asr_gender_skip__ser --conf conf --folds 1 "
        "--ssl facebook/wav2vec2-base --stage1_args '--max_epoch 50'",
    )
    add_recipe_options(parser)
    add_training_options(parser)
    parser.add_argument("--stage", required=True, choices=("stage1", "ser"), help="which training of the system")
    parser.add_argument(
        "--stage1_from",
        default="",
        help="a public ASR model in place of the intermediate one, e.g. facebook/wav2vec2-base-960h: stage 3 trains nothing",
    )
    parser.add_argument("--job", type=int, default=1, help="which fold to train, counted from 1 (JOB of a job array)")
    launched = parser.add_argument_group("Several machines", "what espnet2.bin.launch adds to the command, on each of them")
    for name, kind in LAUNCH_OPTIONS.items():
        launched.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Trains one fold, goes on with an interrupted training, or says that there is nothing to do. Asked to end by SIGTERM or
    SIGINT, it saves itself and exits with :data:`espnet_ser.utils.signals.REQUEUE_CODE`.
    """
    with STOP.handled():
        command = shlex.join(["espnet-ser", "train", *(sys.argv[2:] if argv is None else argv)])
        args = get_parser().parse_args(argv)
        ranks = Ranks.of(args)
        with ranks.failure_told():
            train(args, command, ranks)


def train(args: argparse.Namespace, command: str, ranks: Ranks) -> None:
    """One training, the command to record with it, and the processes that share it."""
    from espnet_ser.errors import InputError
    from espnet_ser.experiment.folds import fold_names
    from espnet_ser.experiment.systems import check_tag, load_system
    from espnet_ser.experiment.training_run import Experiment

    folds = fold_names(args.datadir, args.folds)
    if not 1 <= args.job <= len(folds):
        raise InputError(f"--job {args.job}: there are {len(folds)} folds")
    system = load_system(args.conf, args.system)
    check_tag(args.conf, args.system, args.tag)
    fold, setup = folds[args.job - 1], setup_of(args)
    experiment = Experiment.of_fold(system, args.stage, fold, setup)
    if experiment.is_done():
        say(f"{experiment.folder}: up to date")
        return
    following = Experiment.of_fold(system, "ser", fold, setup, planned=True) if args.stage == "stage1" else None
    experiment.run(experiment.check(ranks.num_gpus, following), command, ranks)
    say(f"{experiment.folder}: finished")

"""Stages 3 and 4: finetune one fold's stage-1 model, or its SER model."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from espnet_ser.bin.parser import CommandParser, add_recipe_options


def get_parser() -> argparse.ArgumentParser:
    """The options of stages 3 and 4."""
    parser = CommandParser(
        prog="espnet-ser train",
        description=__doc__,
        epilog="example: espnet-ser train --stage stage1 --system asr_gender_skip__ser --conf conf "
        "--config conf/train_stage1.yaml --folds 1 --ssl facebook/wav2vec2-base --args '--max_epoch 50'",
    )
    add_recipe_options(parser)
    parser.add_argument("--stage", required=True, choices=("stage1", "ser"), help="which training of the system")
    parser.add_argument("--config", type=Path, required=True, help="how to train: YAML of ESPnet options")
    parser.add_argument("--job", type=int, default=1, help="which of them to train, counted from 1 (JOB of a job array)")
    parser.add_argument("--dumpdir", type=Path, default=Path("dump"), help="what stage 2 left")
    parser.add_argument("--ssl", required=True, help="pretrained encoder: a folder or a hub name")
    parser.add_argument("--token_type", default="char", choices=("char", "bpe"), help="as in stage 2")
    parser.add_argument("--nbpe", type=int, default=100, help="as in stage 2")
    parser.add_argument("--stage1_data", default="four", choices=("four", "all"), help="utterances of stage 1")
    parser.add_argument("--seed", type=int, default=0, help="random seed")
    parser.add_argument("--ngpu", type=int, default=0, help="GPUs; 0 trains on the CPU")
    parser.add_argument("--args", default="", help="further ESPnet options, as one string")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Trains one fold, goes on with an interrupted training, or says that there is nothing to do."""
    args = get_parser().parse_args(argv)
    from espnet_ser.errors import InputError
    from espnet_ser.experiment import Experiment
    from espnet_ser.recipe import fold_names
    from espnet_ser.systems import load_system

    folds = fold_names(args.datadir, args.folds)
    if not 1 <= args.job <= len(folds):
        raise InputError(f"--job {args.job}: there are {len(folds)} folds")
    fold = folds[args.job - 1]
    try:
        extra = shlex.split(args.args)
    except ValueError as error:
        raise InputError(f"--args {args.args!r}: {error}") from error
    experiment = Experiment.of_fold(
        system=load_system(args.conf, args.system),
        stage=args.stage,
        fold=fold,
        datadir=args.datadir,
        dumpdir=args.dumpdir,
        expdir=args.expdir,
        ssl=args.ssl,
        config=args.config,
        extra=extra,
        token=(args.token_type, args.nbpe),
        stage1_data=args.stage1_data,
        tags=(args.tag, args.stage1_tag),
        seed=args.seed,
    )
    if experiment.is_done():
        print(f"{experiment.folder}: up to date")
        return
    experiment.run(experiment.check(ngpu=args.ngpu))
    print(f"{experiment.folder}: finished")

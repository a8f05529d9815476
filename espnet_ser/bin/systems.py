"""Lists the systems, or says of one what it is made of."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from espnet_ser.bin.parser import CommandParser
from espnet_ser.experiment.systems import PAPER_LAYERS, Stage
from espnet_ser.utils.say import say


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = CommandParser(prog="espnet-ser systems", description=__doc__, epilog="example: espnet-ser systems --conf conf")
    parser.add_argument("--conf", type=Path, default=Path("conf"), help="the recipe's folder of configurations")
    parser.add_argument("--system", help="this system alone")
    parser.add_argument("--print", choices=("table", "stage1"), default="table", help="a table, or the name of its first stage")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Prints a table of the systems with the paper's figures, or the name of a system's first stage."""
    args = get_parser().parse_args(argv)
    from espnet_ser.errors import InputError
    from espnet_ser.experiment.systems import list_systems, load_system, systems_of_table

    if args.print == "stage1":
        if args.system is None:
            raise InputError("--print stage1 needs --system NAME")
        say(load_system(args.conf, args.system).stage1_name or "")
        return
    in_tables = systems_of_table(args.conf, "all")
    names = [args.system] if args.system else [*in_tables, *sorted(set(list_systems(args.conf)) - set(in_tables))]
    say(f"{'system':28} {'tables':7} {'stage 1':16} {'SER training':34} {'paper: UA':>9} {'WA':>6} {'gender':>6} {'WER':>6}")
    for name in names:
        system = load_system(args.conf, name)
        tables = ", ".join(map(str, system.rows)) or "-"
        figures = [f"{system.paper[score]:.2f}" if score in system.paper else "" for score in ("ua", "wa", "gender_ua", "wer")]
        say(
            f"{name:28} {tables:7} {system.stage1_name or '-':16} {describe(system.ser):34} "
            f"{figures[0]:>9} {figures[1]:>6} {figures[2]:>6} {figures[3]:>6}"
        )


def describe(stage: Stage) -> str:
    """A stage in a few words.

    >>> describe(Stage(("emotion", "gender"), reversed=("gender",)))
    'emotion + reversed gender'
    >>> describe(Stage(("emotion",), trainable_layers=8))
    'emotion, top 8'
    """
    text = " + ".join(f"reversed {task}" if task in stage.reversed else task for task in stage.tasks)
    text += ", skip" if stage.skip else ""
    text += ", surgery" if stage.surgery else ""
    text += f", {stage.encoder}" if stage.encoder != "ssl" else ""
    return text + (f", top {stage.trainable_layers}" if stage.trainable_layers < PAPER_LAYERS else "")

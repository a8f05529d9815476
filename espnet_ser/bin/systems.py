"""Lists the systems, or says of one what it is made of."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from espnet_ser.bin.parser import CommandParser
from espnet_ser.experiment.systems import PAPER_LAYERS, PAPER_SCORES, Finetuning
from espnet_ser.utils.say import say


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = CommandParser(prog="espnet-ser systems", description=__doc__, epilog="example: espnet-ser systems --conf conf")
    parser.add_argument("--conf", type=Path, default=Path("conf"), help="the recipe's folder of configurations")
    parser.add_argument("--system", help="this system alone")
    parser.add_argument(
        "--print",
        choices=("table", "stage1"),
        default="table",
        help="a table, or the name of its intermediate finetuning",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Prints a table of the systems with the paper's figures, or the name of a system's intermediate finetuning."""
    args = get_parser().parse_args(argv)
    from espnet_ser.errors import InputError
    from espnet_ser.experiment.systems import list_systems, load_system, systems_of_table

    if args.print == "stage1":
        if args.system is None:
            raise InputError("--print stage1 needs --system NAME")
        say(load_system(args.conf, args.system).intermediate_name or "")
        return
    in_tables = systems_of_table(args.conf, "all")
    names = [args.system] if args.system else [*in_tables, *sorted(set(list_systems(args.conf)) - set(in_tables))]
    say(f"{'system':28} {'tables':7} {'stage1':16} {'SER':34} {'paper: UA':>9} {'WA':>6} {'gender':>6} {'WER':>6}")
    for name in names:
        system = load_system(args.conf, name)
        tables = ", ".join(map(str, system.rows)) or "-"
        figures = [f"{system.paper[score]:.2f}" if score in system.paper else "" for score in PAPER_SCORES]
        say(
            f"{name:28} {tables:7} {system.intermediate_name or '-':16} {describe(system.ser):34} "
            f"{figures[0]:>9} {figures[1]:>6} {figures[2]:>6} {figures[3]:>6}"
        )


def describe(finetuning: Finetuning) -> str:
    """A finetuning in a few words.

    >>> describe(Finetuning(("emotion", "gender"), reversed=("gender",)))
    'emotion + reversed gender'
    >>> describe(Finetuning(("emotion",), trainable_layers=8))
    'emotion, top 8'
    """
    text = " + ".join(f"reversed {task}" if task in finetuning.reversed else task for task in finetuning.tasks)
    text += "" if finetuning.skip_layer is None else ", skip"
    text += ", surgery" if finetuning.surgery else ""
    text += f", {finetuning.encoder}" if finetuning.encoder != "ssl" else ""
    return text + (f", top {finetuning.trainable_layers}" if finetuning.trainable_layers < PAPER_LAYERS else "")

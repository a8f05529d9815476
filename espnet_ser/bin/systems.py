"""Lists the systems, or says of one what it is made of."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from espnet_ser.bin.parser import CommandParser


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
    from espnet_ser.systems import list_systems, load_system

    if args.print == "stage1":
        if args.system is None:
            raise InputError("--print stage1 needs --system NAME")
        print(load_system(args.conf, args.system).stage1_name or "")
        return
    names = [args.system] if args.system else list_systems(args.conf)
    print(f"{'system':32} {'stage 1':20} {'SER training':30} {'paper UA':>8} {'WA':>6}")
    for name in names:
        system = load_system(args.conf, name)
        ser = f"{' + '.join(system.ser.tasks)}, top {system.ser.trainable_layers}"
        ua, wa = (f"{system.paper[score]:.2f}" if score in system.paper else "" for score in ("ua", "wa"))
        print(f"{name:32} {system.stage1_name or '-':20} {ser:30} {ua:>8} {wa:>6}")

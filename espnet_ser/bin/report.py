"""Sets a table's systems next to the paper's figures, in Markdown and on a page that opens from disk."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from espnet_ser.bin.parser import CommandParser, tag_name
from espnet_ser.utils.say import say


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = CommandParser(
        prog="espnet-ser report", description=__doc__, epilog="example: espnet-ser report --table 3 --conf conf --expdir exp"
    )
    parser.add_argument("--table", default="", choices=("", "1", "2", "3", "all"), help="the paper's table; default all")
    parser.add_argument("--systems", default="", help="these systems alone, separated by spaces; with --table, rows of it")
    parser.add_argument("--conf", type=Path, default=Path("conf"), help="the recipe's folder of configurations")
    parser.add_argument("--expdir", type=Path, default=Path("exp"), help="where results lie")
    parser.add_argument("--tag", type=tag_name, default="", help="suffix of the systems' experiment folders")
    parser.add_argument(
        "--output", type=Path, help="where to write; default EXPDIR/table<N>, table_all or systems, with the tag"
    )
    parser.add_argument("--command", default="", help="the command line to record; default this one")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Writes ``results.json``, ``RESULTS.md``, ``report.html`` and ``figures/``, and prints the table."""
    args = get_parser().parse_args(argv)
    import shlex
    import sys

    from espnet_ser.layout import system_folder
    from espnet_ser.report.system import SystemReport, beside_each_other
    from espnet_ser.report.wording import table_names
    from espnet_ser.report.write import write_table_report
    from espnet_ser.schedule.table_jobs import table_systems
    from espnet_ser.utils.atomic import disk_errors_as_input_errors
    from espnet_ser.utils.locks import locked

    table = args.table or ("" if args.systems else "all")
    systems = table_systems(args.conf, table, args.systems.split(), args.tag)
    folders = [system_folder(args.expdir, system.name, args.tag) for system in systems]
    reports = beside_each_other([SystemReport.read(system, folder) for system, folder in zip(systems, folders, strict=True)])
    name, title = table_names(table)
    title += f" ({args.tag})" if args.tag else ""
    output = args.output or system_folder(args.expdir, name, args.tag)
    command = args.command or shlex.join(["espnet-ser", "report", *(sys.argv[2:] if argv is None else argv)])
    with disk_errors_as_input_errors(output):
        output.mkdir(parents=True, exist_ok=True)
        with locked(output):
            write_table_report(title, reports, output, command)
    say((output / "RESULTS.md").read_text(encoding="utf-8").partition("\n- ")[0])
    say(f"{output}/RESULTS.md, report.html, results.json and figures/ written")

"""Stage 6: scores, tables and figures of a system."""

import argparse
import sys
from collections.abc import Sequence

from espnet_ser.bin.parser import CommandParser, add_recipe_options
from espnet_ser.utils.say import say


def get_parser() -> argparse.ArgumentParser:
    """The options of stage 6."""
    parser = CommandParser(
        prog="espnet-ser score",
        description=__doc__,
        epilog="example: espnet-ser score --system asr_gender_skip__ser --conf conf --folds '1 2 3 4 5'",
    )
    add_recipe_options(parser)
    parser.add_argument("--command", default="", help="the command line to record with the figures")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Writes ``results.json``, ``run.json``, ``RESULTS.md``, ``report.html`` and ``figures/``, and prints the table."""
    args = get_parser().parse_args(argv)
    from dataclasses import asdict

    from espnet_ser.corpus.record import read_corpus
    from espnet_ser.experiment.folds import fold_names
    from espnet_ser.experiment.scored_folds import PooledFolds
    from espnet_ser.experiment.systems import load_system
    from espnet_ser.experiment.trained_fold import TrainedFold
    from espnet_ser.layout import SCORED_FILE, system_folder
    from espnet_ser.utils.atomic import disk_errors_as_input_errors, remove_unfinished
    from espnet_ser.utils.environment import describe_environment, host_name
    from espnet_ser.utils.locks import locked
    from espnet_ser.utils.stamp import Stamp
    from espnet_ser.version import __version__

    system = load_system(args.conf, args.system)
    base = system_folder(args.expdir, system.name, args.tag)
    names, num_folds = fold_names(args.datadir, args.folds), len(fold_names(args.datadir))
    with locked(base):  # stage 5 writes what is read here
        pooled = PooledFolds.read(
            {name: TrainedFold.find(system, name, args.datadir, args.expdir, args.tag, args.stage1_tag) for name in names}
        )
        made_from = {"system": system.name, "paper": dict(system.paper), "num_folds": num_folds, "espnet_ser": __version__}
        made_from["corpus"] = asdict(read_corpus(args.datadir))
        made_from |= pooled.identity()
        stamp = Stamp(base / SCORED_FILE)
        if stamp.difference(made_from) is not None:
            from espnet_ser.report.system import SystemReport
            from espnet_ser.report.wording import absence_notes
            from espnet_ser.report.write import labelled_embeddings, write_system_report

            run = {
                "command": args.command,
                "corpus": made_from["corpus"],
                "settings": pooled.settings(),
                "trained_with": pooled.trained_with(),
                "scored_with": describe_environment(),
                "scored_on": {"host": host_name()},
                "trace": pooled.trace(),
                "trained_by": pooled.trained_by(),
            }
            results = pooled.summarise(system.name, num_folds)
            for note in absence_notes(results):
                say(f"warning: {note}", file=sys.stderr)
            report = SystemReport.of(system, base, results, run)
            lines = [line for fold_lines in pooled.headline_lines().values() for line in fold_lines]
            labelled = {
                name: labelled_embeddings(path, pooled.folds[name].test) for name, path in pooled.embeddings_paths().items()
            }
            with disk_errors_as_input_errors(base):
                remove_unfinished(base)
                stamp.write(made_from, write_system_report(report, lines, pooled.histories(), labelled))
    say((base / "RESULTS.md").read_text(encoding="utf-8").partition("\n- ")[0])
    say(f"{base}/RESULTS.md, report.html, results.json and figures/ are up to date")

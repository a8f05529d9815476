"""Sets runs of one system with several random seeds next to each other."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from espnet_ser.bin.parser import CommandParser, tag_name
from espnet_ser.utils.say import say


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = CommandParser(
        prog="espnet-ser seeds",
        description=f"{__doc__} Each run has the tag seed<N>, as run.sh --seeds leaves them.",
        epilog="example: espnet-ser seeds --system asr_gender_skip__ser --seeds '1 2 3' --expdir exp",
    )
    parser.add_argument("--system", required=True, help="name of a file in conf/systems")
    parser.add_argument("--seeds", required=True, help="numbers, separated by spaces")
    parser.add_argument("--folds", default="", help="which folds every run must have; default those of the first run")
    parser.add_argument("--conf", type=Path, default=Path("conf"), help="the recipe's folder of configurations")
    parser.add_argument("--expdir", type=Path, default=Path("exp"), help="where the runs' folders lie")
    parser.add_argument("--tag", type=tag_name, default="", help="what comes before seed<N> in the runs' tags")
    parser.add_argument("--command", default="", help="the command line to record with the figures")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Writes ``exp/<system>_seeds/results.json`` and ``RESULTS.md``, and prints the table."""
    args = get_parser().parse_args(argv)
    import json

    from espnet_ser.errors import InputError
    from espnet_ser.evaluation.results import read_results, read_run, summarise_seeds
    from espnet_ser.experiment.systems import load_system
    from espnet_ser.layout import system_folder
    from espnet_ser.report.seeds import common_settings, seeds_markdown
    from espnet_ser.report.system import corpus_in
    from espnet_ser.utils.atomic import disk_errors_as_input_errors
    from espnet_ser.utils.environment import describe_environment
    from espnet_ser.utils.replacing import REPORT_STAMP, write_output
    from espnet_ser.utils.stamp import Stamp

    system = load_system(args.conf, args.system)
    seeds = args.seeds.split()
    if not all(seed.isdecimal() for seed in seeds) or len({int(seed) for seed in seeds}) < max(len(seeds), 2):
        raise InputError(f"--seeds {args.seeds!r}: name two seeds or more, whole numbers, each once")
    prefix = f"{args.tag}_" if args.tag else ""
    folders = {seed: system_folder(args.expdir, system.name, f"{prefix}seed{seed}") for seed in seeds}
    runs = {seed: read_results(folder, system.name) for seed, folder in folders.items()}
    folds = args.folds.split() or list(runs[seeds[0]]["folds"])
    for seed, folder in folders.items():
        if set(runs[seed]["folds"]) != set(folds):
            scored = " ".join(runs[seed]["folds"]) or "none"
            raise InputError(
                f"{folder / 'results.json'} is of folds {scored}, not {' '.join(folds)}: run every seed on the same"
            )
    results = summarise_seeds(runs)
    base = system_folder(args.expdir, system.name, f"{prefix}seeds")
    settings = {**common_settings(folders, folds), "seed": " ".join(seeds), "folds": " ".join(folds)}
    is_iemocap = all(corpus_in(read_run(folder)).is_iemocap for folder in folders.values())
    text = seeds_markdown(
        results,
        system.paper if is_iemocap else {},
        {"command": args.command, "settings": settings, "environment": describe_environment()},
    )
    with disk_errors_as_input_errors(base):
        base.mkdir(parents=True, exist_ok=True)
        stamp, contents = Stamp(base / REPORT_STAMP), {"results.json": json.dumps(results, indent=1) + "\n", "RESULTS.md": text}
        for name, content in contents.items():
            write_output(base / name, content, stamp)
        stamp.write({}, [base / name for name in contents])
    say(text.partition("\n## ")[0])
    say(f"{base}/RESULTS.md and results.json written")

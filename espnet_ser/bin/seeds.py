"""Sets runs of one system with several random seeds beside each other."""

import argparse
from collections.abc import Sequence

from espnet_ser.bin.parser import CommandParser, add_recipe_options


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = CommandParser(
        prog="espnet-ser seeds",
        description=f"{__doc__} Each run has the tag seed<N>, as run.sh --seeds leaves them.",
        epilog="example: espnet-ser seeds --system asr_gender_skip__ser --seeds '1 2 3' --expdir exp",
    )
    add_recipe_options(parser)
    parser.add_argument("--seeds", required=True, help="numbers, separated by spaces")
    parser.add_argument("--command", default="", help="the command line to record beside the figures")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Writes ``exp/<system>_seeds/results.json`` and ``RESULTS.md``, and prints the table."""
    args = get_parser().parse_args(argv)
    import json

    from espnet_ser.errors import InputError
    from espnet_ser.recipe import describe_run, system_folder
    from espnet_ser.report.environment import describe_environment
    from espnet_ser.report.seeds import seeds_markdown
    from espnet_ser.results import read_results, summarise_seeds
    from espnet_ser.stamp import atomic_write, disk_errors_as_input_errors
    from espnet_ser.systems import load_system

    system = load_system(args.conf, args.system)
    seeds = args.seeds.split()
    if len(set(seeds)) < max(len(seeds), 2):
        raise InputError(f"--seeds {args.seeds!r}: name two seeds or more, each once")
    prefix = f"{args.tag}_" if args.tag else ""
    folders = {seed: system_folder(args.expdir, system.name, f"{prefix}seed{seed}") for seed in seeds}
    runs = {seed: read_results(folder) for seed, folder in folders.items()}
    settings = {seed: describe_run(next(folder.glob("fold*"))) for seed, folder in folders.items()}
    for seed, setting in settings.items():
        other = [key for key, value in setting.items() if key != "seed" and value != settings[seeds[0]][key]]
        if other or runs[seed]["folds"].keys() != runs[seeds[0]]["folds"].keys():
            differing = ", ".join(other) or "folds"
            raise InputError(
                f"{folders[seed]} differs from {folders[seeds[0]]} in {differing}, not in the seed alone; run both alike"
            )
    results = summarise_seeds(runs)
    base = system_folder(args.expdir, system.name, f"{prefix}seeds")
    settings = {**settings[seeds[0]], "seed": " ".join(seeds)}
    run = {"command": args.command, "settings": settings, "environment": describe_environment()}
    text = seeds_markdown(results, system.paper, run)
    with disk_errors_as_input_errors(base):
        base.mkdir(parents=True, exist_ok=True)
        atomic_write(base / "results.json", json.dumps(results, indent=1) + "\n")
        atomic_write(base / "RESULTS.md", text)
    print(text.partition("\n## ")[0])
    print(f"{base}/RESULTS.md and results.json written")

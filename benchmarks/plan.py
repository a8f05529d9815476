"""What the paper's tables cost, from the rates that speed.py has measured: ``python benchmarks/plan.py speed.json``.

The time on several machines is that of the recipe's own scheduler, played through on the jobs that it would run.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from costs import Costs

from espnet_ser.bin.parser import CommandParser
from espnet_ser.errors import InputError
from espnet_ser.experiment.setup import Setup
from espnet_ser.experiment.systems import PAPER_LAYERS, load_system, systems_of_table
from espnet_ser.report.grid import Grid, grid_markdown
from espnet_ser.schedule.jobs import Job
from espnet_ser.schedule.simulation import IN_QUEUE, simulate
from espnet_ser.schedule.table_jobs import table_jobs

TABLES = ("1", "2", "3", "all")
IEMOCAP_HOURS = 6.99
"""Of the four classes, whose lengths the measured rates are of."""


def get_parser() -> CommandParser:
    """The options."""
    parser = CommandParser(
        prog="plan.py", description=__doc__, epilog="example: python benchmarks/plan.py benchmarks/results/speed.json"
    )
    parser.add_argument("speed", type=Path, help="speed.json that a run of the benchmark has left")
    parser.add_argument("--machines", type=int, nargs="+", default=[1, 4, 16], help="how many train at a time")
    parser.add_argument(
        "--tflops", type=float, nargs="*", default=[10, 30, 100], help="rates of machines that were not measured, in TFLOP/s"
    )
    parser.add_argument("--epochs", type=int, default=100, help="of every training")
    parser.add_argument("--hours", type=float, nargs="+", default=[IEMOCAP_HOURS, 400, 7000], help="audio of larger corpora")
    parser.add_argument("--conf", type=Path, default=Path(__file__).parents[1] / "conf", help="where the systems are")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the plan of what has been measured."""
    args = get_parser().parse_args(argv)
    if min(*args.machines, args.epochs, *args.hours) < 1 or min(args.tflops, default=1.0) <= 0:
        raise InputError("--machines, --epochs and --hours must be 1 or more, and --tflops above 0")
    try:
        speed = json.loads(args.speed.read_text(encoding="utf-8"))
        rows = speed["rows"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{args.speed}: not the speed.json of a run of the benchmark ({error})") from error
    measured = Costs(rows, args.epochs)
    tables = [name for name in TABLES if not Table(measured, args.conf, name).missing()]
    if not tables:
        missing = sorted({row for name in TABLES for row in Table(measured, args.conf, name).missing()})
        raise InputError(f"{args.speed}: not measured: {', '.join(missing)}; run speed.py with these rows")
    supposed = {f"{rate:g} TFLOP/s": Costs(rows, args.epochs, rate * 1e12) for rate in args.tflops}
    grids = [
        _training_grid(measured),
        _table_grid(measured, args.conf, tables),
        _hours_grid({"as measured": measured, **supposed}, args.conf, tables, args.machines),
        _growth_grid(measured, args.hours),
    ]
    print("\n\n".join(map(grid_markdown, grids)))
    read_mb = 1e3 * measured.cache_gb() / (measured.training_flops(8) / measured.epochs / 1e12)
    print(f"\nAn epoch of n = 8 reads {read_mb:.1f} MB of its cache for each TFLOP.")


class Table:
    """The jobs of a table, and what they cost."""

    def __init__(self, costs: Costs, conf: Path, name: str):
        self.name, self._costs = name, costs
        self._systems = [load_system(conf, system) for system in systems_of_table(conf, name)]
        nowhere = Path("nowhere")
        setup = Setup(nowhere, nowhere, nowhere, "", {}, {})
        self.jobs = table_jobs(self._systems, tuple("12345"), setup, [], [])

    @cached_property
    def trainings(self) -> dict[str, tuple[str, int]]:
        """Name of each training -> its stage, and how many layers it trains."""
        layers = {f"stage1/{s.stage1_name}": ("stage1", s.stage1.trainable_layers) for s in self._systems if s.stage1}
        layers |= {s.name: ("ser", s.ser.trainable_layers) for s in self._systems}
        return {job.name: layers[job.row] for job in self.jobs if job.folder is not None}

    def missing(self) -> set[str]:
        """Rows that would have to be measured to know what this table costs."""
        return {row for training in self.trainings.values() for row in self._costs.missing(*training)}

    def seconds(self, job: Job) -> float:
        """Of one job, with the cache that it fills; to choose epochs and to score takes next to nothing."""
        if job.name not in self.trainings:
            return 0.0
        filling_s = self._costs.filling_s() if job.name == next(iter(self.trainings)) else 0.0  # the CNN's cache is everybody's
        return self._costs.training_s(*self.trainings[job.name]) + filling_s

    def pflop(self) -> float:
        """Operations of all trainings, in 10^15."""
        return sum(self._costs.training_flops(layers) for _, layers in self.trainings.values()) / 1e15

    def model_gb(self) -> float:
        """Of all models and checkpoints together."""
        return sum(self._costs.model_gb(*training) for training in self.trainings.values())

    def hours_on(self, machines: int) -> float:
        """From the first job's start to the last one's end."""
        return max(job.ended_s for job in simulate(self.jobs, self.seconds, machines, max(IN_QUEUE, machines))) / 3600.0


def _training_grid(costs: Costs) -> Grid:
    """One training of each kind."""
    header = ("training", "PFLOP", "hours", "its models: GB")
    kinds = [("stage 1, all layers", "stage1", PAPER_LAYERS)]
    kinds += [(f"emotion, n = {layers}", "ser", layers) for layers in (12, 10, 8, 6, 4, 2, 0)]
    rows = (_training_row(title, *kind, costs) for title, *kind in kinds if not costs.missing(*kind))
    return Grid("", header, tuple(rows))


def _training_row(title: str, stage: str, layers: int, costs: Costs) -> tuple[str, ...]:
    values = (costs.training_flops(layers) / 1e15, costs.training_s(stage, layers) / 3600.0, costs.model_gb(stage, layers))
    return (title, *(f"{value:.3g}" for value in values))


def _table_grid(costs: Costs, conf: Path, names: Sequence[str]) -> Grid:
    """What each table takes, on whatever machine."""
    rows = []
    for name in names:
        table = Table(costs, conf, name)
        stages = [stage for stage, _ in table.trainings.values()]
        cells = (str(stages.count("stage1")), str(stages.count("ser")), f"{table.pflop():.0f}")
        rows.append((name, *cells, f"{costs.cache_gb():.0f}", f"{table.model_gb():.0f}"))
    header = ("table", "stage-1 trainings", "emotion trainings", "PFLOP", "cache GB", "models GB")
    return Grid("", header, tuple(rows))


def _hours_grid(all_costs: Mapping[str, Costs], conf: Path, names: Sequence[str], machines: Sequence[int]) -> Grid:
    """From beginning to end, on so many machines."""
    header = ("table", "each machine's rate", *(f"hours on {count}" for count in machines))
    tables = [(title, Table(costs, conf, name)) for name in names for title, costs in all_costs.items()]
    rows = [(table.name, title, *(f"{table.hours_on(count):.3g}" for count in machines)) for title, table in tables]
    return Grid("", header, tuple(rows))


def _growth_grid(costs: Costs, hours: Iterable[float]) -> Grid:
    """An epoch of each stage on more audio of the same lengths, and its caches."""
    header = ("hours of audio", "an epoch of stage 1: PFLOP", "hours", "of stage 2, n = 8: PFLOP", "hours")
    header += ("cache of the CNN's output: hours", "GB")
    rows = []
    for audio in hours:
        times, cells = audio / IEMOCAP_HOURS, []
        for training in (("stage1", PAPER_LAYERS), ("ser", 8)):
            cells += [
                costs.training_flops(training[1]) / costs.epochs / 1e15,
                costs.training_s(*training) / costs.epochs / 3600.0,
            ]
        cells += [costs.filling_s() / 3600.0, costs.cache_gb()]
        rows.append((f"{audio:g}", *(f"{times * value:.3g}" for value in cells)))
    return Grid("", header, tuple(rows))


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"plan.py: {error}")

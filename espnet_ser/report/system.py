"""A system as the reports see it: what the paper gives for it, and what its experiment folder holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from espnet_ser.corpus.record import Corpus
from espnet_ser.errors import InputError
from espnet_ser.evaluation.results import RESULTS_FILE, read_results, read_run
from espnet_ser.experiment.systems import System
from espnet_ser.models.encoders import ENCODERS

_TABLE_OF_LAYERS = 1
"""The paper's table whose rows differ in how many layers are finetuned."""

_ENVIRONMENTS = {"trained_with": "trained with", "scored_with": "scored with", "environment": "reported with"}
"""Machines and versions that a ``run.json`` may hold -> what they are called."""


@dataclass(frozen=True)
class SystemReport:
    """A row of a table, and what there is to show below it.

    Attributes:
        name: The system's name.
        folder: Its experiment folder: ``exp/<system>``.
        paper: The paper's figures for it: UA, WA, gender UA, WER in percent, where it gives them; none where the scores are
            of another corpus.
        from_stage1: Tasks that only its intermediate finetuning trains: their scores are of that model.
        layers: Transformer layers trained, where it is one of Table 1's with a pretrained encoder; None for the others.
        results: The content of ``results.json``; None where the system has not been scored.
        run: The content of ``run.json``: ``command``, ``settings``, ``trained_with``, ``scored_with`` and so on; empty where
            there is no such file.
    """

    name: str
    folder: Path
    paper: Mapping[str, float] = field(default_factory=dict)
    from_stage1: tuple[str, ...] = ()
    layers: int | None = None
    results: Mapping | None = None
    run: Mapping = field(default_factory=dict)

    @classmethod
    def read(cls, system: System, folder: Path) -> "SystemReport":
        """Reads what stage 6 left of a system; a system that it has not reached has no results.

        Raises:
            InputError: When a file is damaged, or is of another system.
        """
        results = read_results(folder, system.name) if (folder / RESULTS_FILE).is_file() else None
        return cls.of(system, folder, results, read_run(folder))

    @classmethod
    def of(cls, system: System, folder: Path, results: Mapping | None, run: Mapping) -> "SystemReport":
        """What is known of a system, from its parts."""
        intermediate_tasks = () if system.intermediate is None else system.intermediate.tasks
        of_layers = _TABLE_OF_LAYERS in system.rows and ENCODERS[system.ser.encoder].pretrained
        return cls(
            name=system.name,
            folder=folder,
            paper=system.paper if not run or corpus_in(run).is_iemocap else {},
            from_stage1=tuple(task for task in intermediate_tasks if task not in system.ser.tasks),
            layers=system.ser.trainable_layers if of_layers else None,
            results=results,
            run=run,
        )

    @property
    def starred(self) -> tuple[str, ...]:
        """Tasks whose scores here are of the intermediate model."""
        return tuple((self.results or {}).get("from_stage1", self.from_stage1))

    @property
    def is_constant_below(self) -> bool:
        """Whether layers that were not trained had neither masks nor dropout, which rows that train all layers have."""
        return self.run.get("settings", {}).get("frozen") == "constant"

    @property
    def ua(self) -> Mapping | None:
        """The headline UA: ``mean``, ``std``, ``pooled``, ``ci95``; None where the system has not been scored."""
        return None if self.results is None else self.results["summary"][self.results["headline"]]["ua"]


def beside_each_other(reports: Sequence[SystemReport]) -> list[SystemReport]:
    """Systems for a table: one that has not been scored has the paper's figures only where another was scored on IEMOCAP."""
    comparable = any(report.paper for report in reports if report.results is not None)
    return [report if comparable else replace(report, paper={}) for report in reports]


def run_facts(run: Mapping) -> dict[str, object]:
    """The content of ``run.json`` as one mapping, in the order in which to show it; a machine with its versions in a line."""
    environments = {
        label: "; ".join(f"{name} {value}" for name, value in run[key].items())
        for key, label in _ENVIRONMENTS.items()
        if run.get(key)
    }
    known = [corpus_in(run).name, f"sha256 {run['trace']['corpus']}" if run.get("trace") else ""]
    corpus = {"corpus": ", ".join(filter(None, known))} if any(known) else {}
    return {"command": run.get("command") or "not recorded", **run.get("settings", {}), **corpus, **environments}


def corpus_in(run: Mapping) -> Corpus:
    """The corpus that a ``run.json`` names.

    Raises:
        InputError: When it is none.
    """
    try:
        return Corpus(**run.get("corpus", {}))
    except (TypeError, ValueError) as error:
        raise InputError(f"run.json: not a record of a corpus ({error}); run stage 6 again, which makes it anew") from error

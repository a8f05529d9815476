"""A system as the reports see it: what the paper gives for it, and what its experiment folder holds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from espnet_ser.errors import InputError
from espnet_ser.systems import System

RESULTS_FILE = "results.json"
RUN_FILE = "run.json"


@dataclass(frozen=True)
class SystemReport:
    """A row of a table, and what there is to show below it.

    Attributes:
        name: The system's name.
        folder: Its experiment folder: ``exp/<system>``.
        paper: The paper's figures for it: UA, WA, gender UA, WER in percent, where it gives them.
        from_stage1: Tasks that only its stage 1 trains: their scores are told by that model.
        layers: Transformer layers trained, where it is one of Table 1's (emotion alone, one stage); None for the others.
        results: The content of ``results.json``; None where the system has not been scored.
        run: The content of ``run.json``: ``command``, ``settings``, ``environment``; empty where there is none.
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
        results, run = _read_json(folder / RESULTS_FILE), _read_json(folder / RUN_FILE)
        if results is not None:
            if not {"summary", "folds"} <= results.keys():
                raise InputError(f"{folder / RESULTS_FILE}: not the results of a system; remove it and run stage 6 again")
            if results.get("system") != system.name:
                raise InputError(f"{folder / RESULTS_FILE} is of system {results.get('system')}, not of {system.name}")
        return cls.of(system, folder, results, run or {})

    @classmethod
    def of(cls, system: System, folder: Path, results: Mapping | None, run: Mapping) -> "SystemReport":
        """What is known of a system, from its parts."""
        stage1_tasks = () if system.stage1 is None else system.stage1.tasks
        plain = system.stage1 is None and system.ser.tasks == ("emotion",) and system.ser.encoder == "ssl"
        return cls(
            name=system.name,
            folder=folder,
            paper=system.paper,
            from_stage1=tuple(task for task in stage1_tasks if task not in system.ser.tasks),
            layers=system.ser.trainable_layers if plain else None,
            results=results,
            run=run,
        )

    @property
    def starred(self) -> tuple[str, ...]:
        """Tasks whose scores here were told by the stage-1 model."""
        return tuple((self.results or {}).get("from_stage1", self.from_stage1))

    @property
    def ua(self) -> Mapping | None:
        """The headline UA: ``mean``, ``std``, ``pooled``, ``ci95``; None where the system has not been scored."""
        return None if self.results is None else self.results["summary"][headline(self.results)]["ua"]


def headline(results: Mapping) -> str:
    """The selection whose scores stand for the system: ``cross`` where all folds have it, else ``last``."""
    return results.get("headline") or ("cross" if "cross" in results["summary"] else "last")


def run_facts(run: Mapping) -> dict[str, object]:
    """The content of ``run.json`` as one mapping, in the order in which to show it."""
    return {"command": run.get("command") or "not recorded", **run.get("settings", {}), **run.get("environment", {})}


def _read_json(path: Path) -> dict | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); remove it and run stage 6 again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a JSON object; remove it and run stage 6 again")
    return content

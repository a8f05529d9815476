"""Recomputes a system's scores from what its trainings left, and checks every hash on the way (``espnet-ser verify``).

Nothing that a stage wrote is taken at its word: files are held against stamps, stamps against each other, predictions against
those of every epoch, and scores against predictions. What it cannot find is a whole folder that was forged with care.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from espnet_ser.errors import InputError
from espnet_ser.evaluation.results import RESULTS_FILE, RUN_FILE, read_results, summarise_seeds
from espnet_ser.experiment.scored_folds import PooledFolds
from espnet_ser.experiment.trained_fold import TrainedFold, trained_model_identity
from espnet_ser.layout import DONE_FILE, SCORED_FILE, SELECTED_FILE, system_folder, trained_folds
from espnet_ser.report.wording import table_names
from espnet_ser.utils.replacing import REPORT_STAMP
from espnet_ser.utils.stamp import Stamp, flat
from espnet_ser.verification.finding import Finding
from espnet_ser.verification.selection import Selections
from espnet_ser.verification.training import Places, Training, check_training


@dataclass
class Verifier:
    """Checks folders of ``exp/``, each once."""

    places: Places = field(default_factory=Places)  # where to look for what models name
    checked: set[Path] = field(default_factory=set)  # folders that have been checked

    def check(self, folder: Path) -> Iterator[Finding]:
        """Everything about a system, about runs with several seeds, or about a table, and about what these are made of. Raises
        InputError when the folder is none of these.
        """
        if folder.resolve() in self.checked:
            return
        self.checked.add(folder.resolve())
        results = _results(folder)
        if "seeds" in results:
            yield from self._check_seeds(folder, results)
        elif "systems" in results:
            yield from self._check_table(folder, results)
        else:
            yield from self._check_system(folder, results)

    def _check_system(self, folder: Path, results: Mapping) -> Iterator[Finding]:
        stamp = Stamp(folder / SCORED_FILE)
        scored = list(results.get("folds") or stamp.inputs().get("predictions") or ())
        there = trained_folds(folder) if folder.is_dir() else {}
        if not there and not results and not stamp.path.exists():
            raise InputError(f"{folder}: neither a system's folder nor a table's; name one below exp, such as exp/stl")
        folds: dict[str, TrainedFold] = {}
        for name in [name for name in there if name in scored or (there[name] / DONE_FILE).exists()]:
            yield from self._check_fold(there[name], name, folds)
        yield Finding.of(f"{folder}: folds that were scored", lambda: _missing(folder, scored, there))
        selections = Selections(folds)
        for name in folds:
            if name in scored or (there[name] / SELECTED_FILE).exists():
                yield Finding.of(f"{there[name]}: predictions follow from each epoch's", partial(selections.changes, name))
        yield Finding.of(f"{folder}: files of stage 6", stamp.changed_outputs)
        yield Finding.of(f"{folder}/{RESULTS_FILE}: follows from the predictions", lambda: _rescored(folder, scored, folds))

    def _check_fold(self, folder: Path, name: str, folds: dict[str, TrainedFold]) -> Iterator[Finding]:
        """Both trainings of a fold; adds it to ``folds`` where it can be read at all."""
        yield from check_training(str(folder), folder, self.places)
        intermediate: list[Path] = []

        def find() -> Iterator[str]:
            training = Training.find(folder, self.places)
            intermediate.extend(filter(None, [self.places.intermediate(folder, training.config)]))
            if intermediate and not intermediate[0].is_dir():
                raise InputError(f"no intermediate model at {intermediate[0]}; say with --expdir whose stage1/ holds it now")
            first = intermediate[0] if intermediate else None
            folds[name] = TrainedFold(
                folder, first, training.test_dir.parent, training.test, training.config["fold_by"], training.dev
            )
            if (trained_model_identity(first, stage=3) if first else None) != training.inputs.get("stage1"):
                yield f"{first or 'no model'} is not what the training began with"

        yield Finding.of(f"{folder}: begins with its intermediate model", find)
        if intermediate and intermediate[0].is_dir() and intermediate[0].resolve() not in self.checked:
            self.checked.add(intermediate[0].resolve())
            yield from check_training(str(intermediate[0]), intermediate[0], self.places)

    def _check_seeds(self, folder: Path, results: Mapping) -> Iterator[Finding]:
        prefix = folder.name.removesuffix("seeds")
        members = {seed: folder.with_name(f"{prefix}seed{seed}") for seed in results["seeds"]}
        for member in members.values():
            yield from self.check(member)

        def compare() -> Iterator[str]:
            runs = {seed: read_results(member, results.get("system")) for seed, member in members.items()}
            return _differences(results, summarise_seeds(runs), "the runs give")

        yield Finding.of(f"{folder}: files of the report", Stamp(folder / REPORT_STAMP).changed_outputs)
        yield Finding.of(f"{folder}/{RESULTS_FILE}: follows from its runs", compare)

    def _check_table(self, folder: Path, results: Mapping) -> Iterator[Finding]:
        tag = _tag_of_table(folder.name)
        if tag is None:
            yield Finding(f"{folder}: derived from systems whose folders it does not name: verify those")
            return
        members = {name: system_folder(folder.parent, name, tag) for name in results["systems"]}
        for member in members.values():
            if (member / RESULTS_FILE).is_file():
                yield from self.check(member)

        def compare() -> Iterator[str]:
            for name, member in members.items():
                now = read_results(member, name) if (member / RESULTS_FILE).is_file() else None
                yield from _differences({name: results["systems"][name]["results"]}, {name: now}, "its folder says")

        yield Finding.of(f"{folder}: files of the report", Stamp(folder / REPORT_STAMP).changed_outputs)
        yield Finding.of(f"{folder}/{RESULTS_FILE}: follows from its systems", compare)


def _results(folder: Path) -> dict:
    """Whatever ``results.json`` holds; nothing where it cannot be read."""
    try:
        content = json.loads((folder / RESULTS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    kinds = {"seeds": dict, "systems": dict, "folds": dict}
    known = isinstance(content, dict) and all(isinstance(content.get(key, {}), kind) for key, kind in kinds.items())
    return content if known else {}


def _missing(folder: Path, scored: list[str], there: Mapping[str, Path]) -> Iterator[str]:
    if not scored:
        yield f"{RESULTS_FILE} is missing or damaged: run stage 6"
    for name in scored:
        if name not in there:
            yield f"fold {name} was scored, and {folder / f'fold{name}'} is not there"


def _rescored(folder: Path, scored: list[str], folds: Mapping[str, TrainedFold]) -> Iterator[str]:
    """``results.json`` and ``run.json`` against what the folds give now."""
    if missing := [name for name in scored if name not in folds] or ([] if scored else ["any"]):
        raise InputError(f"cannot be recomputed without {', '.join(f'fold {name}' for name in missing)}")
    pooled = PooledFolds.read({name: folds[name] for name in scored})
    recorded = Stamp(folder / SCORED_FILE).inputs()
    known = {key: recorded.get(key) for key in ("system", "paper", "corpus", "num_folds", "espnet_ser")}
    yield from Stamp(folder / SCORED_FILE).difference({**known, **pooled.identity()}) or ()
    results, run = (json.loads((folder / name).read_text(encoding="utf-8")) for name in (RESULTS_FILE, RUN_FILE))
    now = pooled.summarise(results["system"], results["num_folds"])
    yield from _differences(results, now, "the predictions give")
    if known["system"] != results["system"] or known["num_folds"] != results["num_folds"]:
        yield f"{RESULTS_FILE} and {SCORED_FILE} are of different systems or folds"
    traced = {"trace": pooled.trace(), "trained_by": pooled.trained_by(), "trained_with": pooled.trained_with()}
    yield from _differences({key: run.get(key) for key in traced}, traced, f"not as in {RUN_FILE}: the folds say")


def _differences(recorded: Mapping, now: Mapping, who: str) -> Iterator[str]:
    before, after = flat(dict(recorded)), flat(json.loads(json.dumps(now)))
    for key in sorted(before.keys() | after.keys()):
        if before.get(key, "nothing") != after.get(key, "nothing"):
            yield f"{key} is {before.get(key, 'nothing')}, {who} {after.get(key, 'nothing')}"


def _tag_of_table(name: str) -> str | None:
    """The tag of a table's systems, from the name of its folder; None where the folder has a name of its own."""
    for table in ("1", "2", "3", "all", ""):
        known = table_names(table)[0]
        if name == known:
            return ""
        if name.startswith(f"{known}_"):
            return name.removeprefix(f"{known}_")
    return None

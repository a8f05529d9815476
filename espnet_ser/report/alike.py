"""Which rows of a table compare: what all systems share, in what they differ though their files do not say so, and the best."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from espnet_ser.models.encoders import ENCODERS
from espnet_ser.report.grid import code_markdown
from espnet_ser.report.system import SystemReport
from espnet_ser.report.wording import folds_text

_OF_THE_SYSTEM = {"tasks", "trainable_layers", "skip_layer", "reversed_tasks", "gradient_surgery"}
"""Settings that a system's file makes: the very thing that a table compares."""


def num_utterances(results: Mapping) -> int:
    """How many utterances were scored, over all folds."""
    return sum(by["n"] for by in results["folds"].values())


def scored_results(reports: Sequence[SystemReport]) -> list[Mapping]:
    """The results of those systems that have been scored."""
    return [report.results for report in reports if report.results is not None]


def best_row(reports: Sequence[SystemReport]) -> int | None:
    """The system with the highest headline UA, the first of equals; None where none has been scored, or rows are unlike."""
    scored = [(report.ua["mean"], -index) for index, report in enumerate(reports) if report.ua is not None]
    return -max(scored)[1] if scored and not _unlike(reports) else None


def likeness_notes(reports: Sequence[SystemReport]) -> list[str]:
    """What keeps the rows of a table from being compared, as sentences with code in backticks; none where all are alike."""
    lines = []
    if unlike := _unlike(reports):
        lines.append(f"No system is marked as the best: rows differ in {' and in '.join(unlike)}.")
    if differing := _differing(reports):
        lines.append(f"Rows differ in how they were trained: {'; '.join(differing)}.")
    return lines + training_notes(reports)


def training_notes(reports: Sequence[SystemReport]) -> list[str]:
    """What of its training a reader of a system's scores must know, as sentences with code in backticks."""
    lines = []
    if any(report.is_constant_below for report in reports):
        lines.append(
            "`†` `frozen: constant`: layers that were not trained had neither masks nor dropout, so that systems which train "
            "other numbers of layers were trained on speech that was augmented otherwise."
        )
    silent = [report.name for report in reports if any(by.get("wer") == 100.0 for by in _folds(report))]
    if silent:
        lines.append(
            f"A WER of 100.00 ({', '.join(map(code_markdown, silent))}) is nearly always that of empty transcripts: CTC has "
            "stayed on blanks, and has taught the encoder no words. `docs/howto/iemocap.md` says what to change."
        )
    return lines


def _folds(report: SystemReport) -> Collection[Mapping]:
    return report.results["folds"].values() if report.results is not None else ()


def shared_by_all(reports: Sequence[SystemReport], part: str) -> dict[str, object]:
    """What is the same for all systems with a ``run.json``, of a part of it, ``settings`` or ``trained_with``."""
    parts = [report.run.get(part, {}) for report in reports if report.run]
    return {key: v for key, v in parts[0].items() if all(other.get(key, ...) == v for other in parts)} if parts else {}


def _unlike(reports: Sequence[SystemReport]) -> list[str]:
    """In what scored rows differ that forbids setting one above another."""
    scored = {report.name: report.results for report in reports if report.results is not None}
    folds = {name: {fold: by["n"] for fold, by in results["folds"].items()} for name, results in scored.items()}
    shown = {name: f"{folds_text(by)} ({sum(by.values())} utterances)" for name, by in folds.items()}
    return [f"folds: {_rows_by_value(shown)}"] if len({tuple(by.items()) for by in folds.values()}) > 1 else []


def _differing(reports: Sequence[SystemReport]) -> list[str]:
    """Settings that rows do not share, each with its values, beyond what the systems' files make differ."""
    by_setting: dict[str, dict[str, str]] = {}
    for report in reports:
        for key, value in report.run.get("settings", {}).items() if report.results is not None else ():
            if key.removeprefix("intermediate: ") not in _OF_THE_SYSTEM and value not in _own_encoders():
                by_setting.setdefault(key, {})[report.name] = str(value)
    return [f"{code_markdown(key)} {_rows_by_value(rows)}" for key, rows in by_setting.items() if len(set(rows.values())) > 1]


def _own_encoders() -> list[str]:
    """The encoders that a system's file names; the others are what the recipe is given."""
    return [name for name, spec in ENCODERS.items() if not spec.pretrained]


def _rows_by_value(value_of_row: Mapping[str, str]) -> str:
    """Each value with its rows; the most common one last, for all the others."""
    *few, most = reversed(Counter(value_of_row.values()).most_common())
    texts = [
        f"{code_markdown(value)} of {', '.join(code_markdown(name) for name, v in value_of_row.items() if v == value)}"
        for value, _ in few
    ]
    return f"{', '.join(texts)}, else {code_markdown(most[0])}"

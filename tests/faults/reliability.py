"""The tables of ``docs/reliability.md``, from the rows that a run of the fault tests has counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from espnet_ser.report.grid import Grid, grid_markdown

TABLES = {
    "kills": ("Killed anywhere", "kills", "survived", "what the run ended with, beside an unbroken one"),
    "disk": ("Trouble with the disk", "cases", "ended in one clear line, the rerun in success", "the line"),
    "stale work": (
        "What is made anew after a change",
        "changes",
        "re-ran exactly what depends on them",
        "stages that run again",
    ),
    "bad input": ("Bad input", "cases", "ended in one clear line", "the line"),
    "attacks": ("Strangers' models", "attacks", "refused", "the line"),
    "numbers": ("Numbers that go wrong", "cases", "said so", "the line"),
}
"""Name -> heading, what its rows are, what they are meant to do, and what is shown of each."""


@dataclass(frozen=True)
class Row:
    """A case that was tried: its name, whether it went as it should, and what is shown of it."""

    name: str
    passed: bool
    shown: str = ""


def report_markdown(rows: Mapping[str, Sequence[Row]], command: str, environment: Mapping[str, str]) -> str:
    """All tables, with their counts above them."""
    sections = [
        "# Reliability",
        f"Every row was tried by `{command}`, which writes this page.",
        "\n".join(_count_line(name, rows[name]) for name in TABLES if rows.get(name)),
    ]
    for name, (heading, _, _, shown) in TABLES.items():
        if rows.get(name):
            cells = tuple((row.name, row.shown if row.passed else f"FAILED {row.shown}") for row in rows[name])
            sections += [f"## {heading}", grid_markdown(Grid("", ("case", shown), cells))]
    sections += ["## Environments", "\n".join(f"- {name}: `{value}`" for name, value in environment.items())]
    return "\n\n".join(sections) + "\n"


def _count_line(name: str, rows: Sequence[Row]) -> str:
    heading, what, did, _ = TABLES[name]
    return f"- {heading}: {sum(row.passed for row in rows)} of {len(rows)} {what} {did}."

"""``docs/reliability.md``: how many cases of each kind the fault tests tried, how they ended, and an example of each kind."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from espnet_ser.report.grid import Grid, grid_markdown

TABLES = {
    "kills": ("Killed anywhere", "kills", "survived: the run, started again, ended with the results of an unbroken one"),
    "disk": ("Trouble with the disk", "cases", "ended in one clear line, and the rerun in success"),
    "stale work": ("What is made anew after a change", "changes", "re-ran what depends on them, and nothing else"),
    "bad input": ("Bad input", "cases", "ended in one clear line"),
    "attacks": ("Strangers' models", "attacks", "refused in one line"),
    "numbers": ("Numbers that go wrong", "cases", "said so"),
}
"""Name -> heading, what its rows are, and how they are meant to end."""
SHORT = 160
"""Characters of an example."""


@dataclass(frozen=True)
class Row:
    """A case that was tried: its name, whether it went as it should, and what is shown of it."""

    name: str
    passed: bool
    shown: str = ""

    @property
    def kind(self) -> str:
        """What stands before the first colon or comma."""
        return re.split("[:,]", self.name)[0] if re.search("[:,]", self.name) else "others"


def report_markdown(rows: Mapping[str, Sequence[Row]], command: str, environment: Mapping[str, str]) -> str:
    """A table for each that has rows: their kinds, how many there are, and one of them; what failed is listed in full."""
    sections = ["# Reliability", f"Made by `{command}`, which tries every case; the tests name them."]
    for table, (heading, what, did) in TABLES.items():
        if rows.get(table):
            sections += [f"## {heading}", f"{sum(row.passed for row in rows[table])} of {len(rows[table])} {what} {did}."]
            sections += [f"- FAILED: {row.name} ({row.shown})" for row in rows[table] if not row.passed]
            sections.append(grid_markdown(_kinds(rows[table])))
    sections += ["## Environment", "\n".join(f"- {name}: `{value}`" for name, value in environment.items())]
    return "\n\n".join(sections) + "\n"


def _kinds(rows: Sequence[Row]) -> Grid:
    kinds = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.name):
        kinds[row.kind].append(row)
    cells = []
    for kind, members in sorted(kinds.items()):
        example = min((row for row in members if row.passed), key=lambda row: not row.shown, default=members[0])
        shown = example.shown if len(example.shown) <= SHORT else example.shown[: SHORT - 1] + "…"
        case = example.name.removeprefix(kind).lstrip(":, ")
        cells.append((kind, str(len(members)), case, shown))
    return Grid("", ("what", "cases", "for example", "ends with"), tuple(cells))

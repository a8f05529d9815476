"""A table before it is Markdown or HTML, so that both say the same."""

from collections.abc import Mapping
from dataclasses import dataclass

MISSING = "–"
"""Stands where there is no number."""


class Strong(str):
    """The text of a cell that is to stand out."""


@dataclass(frozen=True)
class Grid:
    """A table of texts; a :class:`Strong` one stands out.

    Attributes:
        caption: What it shows.
        header: Names of the columns; the first column names the rows, the others hold numbers.
        rows: As many texts in each as in the header.
        groups: Names that span columns, with the number of columns; empty, or over all columns.
        best: The row to mark, if any.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    groups: tuple[tuple[str, int], ...] = ()
    best: int | None = None

    def __post_init__(self):
        assert all(len(row) == len(self.header) for row in self.rows), self.rows
        assert not self.groups or sum(span for _, span in self.groups) == len(self.header), self.groups


def number(value: float | None) -> str:
    """A score in percent, as it is shown everywhere.

    >>> number(73.5), number(None)
    ('73.50', '–')
    """
    return MISSING if value is None else f"{value:.2f}"


def spread(score: Mapping[str, float | None]) -> str:
    """Mean and deviation of a score; the mean alone where no deviation is known.

    >>> spread({"mean": 50.0, "std": 2.5}), spread({"mean": 50.0, "std": None})
    ('50.00 ± 2.50', '50.00')
    """
    return number(score["mean"]) + (f" ± {number(score['std'])}" if score["std"] is not None else "")


def grid_markdown(grid: Grid) -> str:
    """The table in Markdown, without its caption; a group's name goes before those of its columns.

    >>> print(grid_markdown(Grid("", ("fold", "UA"), (("1", "50.00"), ("mean", Strong("50.00"))), (("", 1), ("ours", 1)))))
    | fold | ours: UA |
    | --- | ---: |
    | 1 | 50.00 |
    | mean | **50.00** |
    """
    prefixes = [name + ": " if name else "" for name, span in grid.groups for _ in range(span)] or [""] * len(grid.header)
    header = [type(name)(prefix + name) for prefix, name in zip(prefixes, grid.header, strict=True)]
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *grid.rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def text_markdown(text: str) -> str:
    """Text as one line of Markdown, nothing in it read as HTML or as the end of a cell.

    >>> text_markdown("a <b> | c")
    'a &lt;b&gt; \\\\| c'
    """
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("|", "\\|")


def code_markdown(text: str) -> str:
    """Text as code in a line of Markdown, backticks in it or not.

    >>> code_markdown("run.sh --tag a"), code_markdown("echo `date`")
    ('`run.sh --tag a`', '`` echo `date` ``')
    """
    text = " ".join(text.split())
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _cell(text: str) -> str:
    return f"**{text_markdown(text)}**" if isinstance(text, Strong) else text_markdown(text)

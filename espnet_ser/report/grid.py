"""A table before it is Markdown or HTML, so that both say the same."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from espnet_ser.characters import spelt_out

MISSING = "–"  # stands where there is no number


_MARKDOWN = re.compile(r"[|`\\~$]|\*(?=\S)|\[(?=.*\])|(?<!\w)_|_(?!\w)")
"""What begins something other than text; a star that ends a name, or an underscore in one, does not."""


class Strong(str):
    """The text of a cell that is to stand out."""


@dataclass(frozen=True)
class Grid:
    """A table of texts; a :class:`Strong` one stands out."""

    caption: str
    header: tuple[str, ...]  # names of the columns; the first column names the rows, the others hold numbers
    rows: tuple[tuple[str, ...], ...]  # as many texts in each as in the header
    groups: tuple[tuple[str, int], ...] = ()  # names that span columns, with the number of columns; empty, or over all columns
    best: int | None = None  # the row to mark, if any

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


def interval(ends: Sequence[float] | None) -> str:
    """The ends of an interval; nothing where there is none.

    >>> interval([69.44, 77.21])
    '69.44 to 77.21'
    """
    return " to ".join(map(number, ends)) if ends else ""


def score_text(name: str, score: Mapping, strong: str = "") -> str:
    """A score of a system in words: its mean over folds, and apart from that the pooled one, which the intervals are of. Of a
    single fold both are the same, and there is one.

    >>> score_text("UA", {"mean": 50.0, "std": 2.5, "pooled": 51.0, "ci95": [48.0, 54.0], "ci95_speakers": [40.0, 62.0]})
    'UA mean over folds 50.00 ± 2.50; pooled 51.00, 95 % interval 48.00 to 54.00 (utterances), 40.00 to 62.00 (speakers)'
    """
    over = [(interval(score.get(key)), of) for key, of in (("ci95", "utterances"), ("ci95_speakers", "speakers"))]
    ends = ", ".join(f"{ends} ({of})" for ends, of in over if ends)
    several = f" mean over folds {strong}{spread(score)}{strong}; pooled" if score["std"] is not None else ""
    text = f"{name}{several} {strong}{number(score['pooled'])}{strong}"
    return text + (f", 95 % interval {ends}" if ends else "")


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
    r"""Text as one line of Markdown that is shown as it is spelt: no HTML, cell, code, emphasis, link, image or formula in it.

    >>> text_markdown("a <b> | c"), text_markdown("*x* [y](http://z) _q_ asr_skip")
    ('a &lt;b&gt; \\| c', '\\*x* \\[y](http:&#47;/z) \\_q\\_ asr_skip')
    """
    text = " ".join(spelt_out(text, keep="\n\t").split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\g<0>", text).replace("://", ":&#47;/")


def code_markdown(text: str) -> str:
    """Text as code in a line of Markdown, backticks in it or not.

    >>> code_markdown("run.sh --tag a"), code_markdown("echo `date`")
    ('`run.sh --tag a`', '`` echo `date` ``')
    """
    text = " ".join(spelt_out(text, keep="\n\t").split())
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence} {text} {fence}" if len(fence) > 1 else f"`{text}`"


def _cell(text: str) -> str:
    return f"**{text_markdown(text)}**" if isinstance(text, Strong) else text_markdown(text)

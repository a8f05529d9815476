"""What commands print: names and texts of others change nothing on the terminal that they are shown on."""

from collections.abc import Iterable, Sequence
from typing import TextIO

from espnet_ser.characters import spelt_out


def say(text: object, file: TextIO | None = None, end: str = "\n", flush: bool = False) -> None:
    r"""As ``print``, with each character that is not shown as itself spelt out, but for ends of lines and tabs.

    >>> say("class a\x1b[2J")
    class a\x1b[2J
    """
    print(spelt_out(str(text), keep="\n\t"), file=file, end=end, flush=flush)


def aligned(rows: Iterable[Sequence[str]], right: bool = False) -> list[str]:
    """Lines of a table whose columns are as wide as their widest cell, two spaces between them.

    >>> aligned([["fold", "UA"], ["1", "7"]])
    ['fold  UA', '1     7']
    """
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    justify = str.rjust if right else str.ljust
    return ["  ".join(map(justify, row, widths)).rstrip() for row in rows]

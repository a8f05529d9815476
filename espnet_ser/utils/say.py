"""What commands print: names and texts of others change nothing on the terminal that they are shown on."""

from typing import TextIO

from espnet_ser.characters import spelt_out


def say(text: object, file: TextIO | None = None, end: str = "\n", flush: bool = False) -> None:
    r"""As ``print``, with each character that is not shown as itself spelt out, but for ends of lines and tabs.

    >>> say("class a\x1b[2J")
    class a\x1b[2J
    """
    print(spelt_out(str(text), keep="\n\t"), file=file, end=end, flush=flush)

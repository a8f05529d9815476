"""Errors that the user can fix: one clear line each, never a traceback.

Commands in ``espnet_ser.bin`` print an :class:`InputError` as one line and exit with status 1; any other exception is a bug
of ours and keeps its traceback.
"""

from collections.abc import Iterable
from difflib import get_close_matches

from espnet_ser.characters import spelt_out

LONGEST_LINE = 800  # characters of an error that are shown

MAX_SHOWN_PROBLEMS = 100  # problems of a corpus that an error lists; of the others it says how many there are


class InputError(ValueError):
    """Something the user gave is wrong. The message says what, where, and what to do about it.

    Args:
        message: May quote what stands in a file: characters that would change the terminal are spelt out.
    """

    def __init__(self, message: str):
        super().__init__(printable(message))


class CorpusError(InputError):
    """Every problem found in a corpus, together.

    Args:
        source: The corpus or folder that was read.
        problems: One line per problem, each naming its file (and line, where it has one).
    """

    def __init__(self, source: object, problems: Iterable[str]):
        self.problems = [one_line(problem) for problem in problems]
        count = len(self.problems)
        heading = (
            f"{source}: {count} problem{'s' if count != 1 else ''} found; fix {'them' if count != 1 else 'it'} and run again"
        )
        hidden = [f"and {count - MAX_SHOWN_PROBLEMS} more"] if count > MAX_SHOWN_PROBLEMS else []
        super().__init__("\n  ".join([one_line(heading), *self.problems[:MAX_SHOWN_PROBLEMS], *hidden]))


def one_line(text: str) -> str:
    """A text as one line for a terminal: whatever is not printed as itself (newlines, escapes, stray bytes) is spelt out. Of a
    very long one the beginning and the end are kept: they say where, and what to do.

    >>> print(one_line("two\\nlines of caf\u00e9.wav"))
    two\\nlines of caf\u00e9.wav
    """
    if len(text) > LONGEST_LINE:
        text = f"{text[: LONGEST_LINE // 2]} ... {text[-LONGEST_LINE // 2 :]}"
    return spelt_out(text)


def printable(text: str) -> str:
    r"""A text with its control characters (but the newline) spelt out.

    >>> printable("a\x1b[2Jb") == r"a\x1b[2Jb"
    True
    """
    return spelt_out(text, keep="\n")


def unknown_name(kind: str, name: str, known: Iterable[str], where: str = "") -> InputError:
    """An error for a name that nothing is called, with the nearest name that something is.

    >>> str(unknown_name("system", "stl_n1", ["stl_n10", "mtl_asr"]))
    "unknown system 'stl_n1' (did you mean 'stl_n10'?); known: mtl_asr, stl_n10"
    """
    known = sorted(known)
    near = get_close_matches(name, known, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    place = f"{where}: " if where else ""
    return InputError(f"{place}unknown {kind} {name!r}{hint}; known: {', '.join(known)}")

"""Which characters are shown as they are, how the others are spelt out, and what a name may be.

What stands in a file may be a stranger's: an escape clears a terminal, an override turns a line around, a character without
width hides. Whatever is printed, or written for people, goes through here.
"""

import html
import json
import unicodedata
from collections.abc import Callable

JOINERS = "\u200c\u200d"  # without width, and a part of how Persian, Hindi and many emoji are spelt

MAX_NAME = 250  # characters of a name: of a class, a speaker, a session, an utterance

MAX_CLASSES = 1000  # classes of a task

_TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Embeddings, overrides and isolates: they change the direction of what is written around them."""


def is_shown(character: str) -> bool:
    """Whether a character shows itself and changes nothing else: no control, no override, no line end but a space."""
    return character.isprintable() or character in JOINERS


def spelt_out(text: str, keep: str = "") -> str:
    r"""A text with each character that is not shown as itself spelt out.

    >>> spelt_out("a\x1b[2Jb\n"), spelt_out("a\n", keep="\n")
    ('a\\x1b[2Jb\\n', 'a\n')
    """
    return _replaced(text, keep, lambda character: character.encode("unicode_escape").decode("ascii"))


def spelt_out_json(text: str) -> str:
    r"""The same for JSON that has been written, whose own escapes are taken: it means what it meant.

    >>> spelt_out_json('{"speaker": "a\x9b\u202e"}')
    '{"speaker": "a\\u009b\\u202e"}'
    """
    return _replaced(text, "\n", lambda character: json.dumps(character)[1:-1])


def escape(text: str, quote: bool = True) -> str:
    r"""A text for an HTML page, where it is neither HTML nor anything that turns or hides what stands around it.

    >>> escape("<b>\u202e")
    '&lt;b&gt;\\u202e'
    """
    return html.escape(spelt_out(text, keep="\n\t"), quote)


def name_fault(text: str) -> str:
    r"""Why a text is no name of a class, a speaker, a session or an utterance; nothing where it is one. A name is one word of
    up to :data:`MAX_NAME` characters that are shown, letters of any script and emoji among them. What training takes and what a
    trained model's ``config.yaml`` may hold are this very thing.

    >>> name_fault("\u0645\u06cc\u200c\u0631\u0648\u0645"), name_fault("very happy"), name_fault("sad\u202e")
    ('', 'has a space in it', 'has U+202E in it, which is not shown')
    """
    if not text:
        return "is empty"
    if len(text) > MAX_NAME:
        return f"has {len(text)} characters, and a name has at most {MAX_NAME}"
    for character in text:
        if character.isspace() and character.isprintable():
            return "has a space in it"
        if not is_shown(character):
            return f"has U+{ord(character):04X} in it, which is not shown"
    if all(unicodedata.category(character)[0] in "MC" for character in text):
        return "has nothing in it that is shown by itself"
    return ""


def text_fault(text: str) -> str:
    r"""Why a text is no transcript, nor a token of one; nothing where it is. Beside what :func:`is_shown`, it may hold what
    scripts are spelt with and does not show: marks of direction, soft hyphens.

    >>> text_fault("\u05e9\u05dc\u05d5\u05dd\u200f 1"), text_fault("a\x1b[2J")
    ('', 'has U+001B in it, which is no character of a text')
    """
    for character in text:
        if character in _TURNS or unicodedata.category(character) in ("Cc", "Cs"):
            return f"has U+{ord(character):04X} in it, which is no character of a text"
    return ""


def is_token(text: str) -> bool:
    """Whether a text is one or more characters of a transcript without white space."""
    return text != "" and text.split() == [text] and not text_fault(text)


def _replaced(text: str, keep: str, spelling: Callable[[str], str]) -> str:
    if text.isprintable():
        return text
    return "".join(c if is_shown(c) or c in keep else spelling(c) for c in text)

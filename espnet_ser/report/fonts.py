"""Fonts for figures: whichever of this machine's have the letters that are drawn, in any script."""

import functools
import sys
import unicodedata
from collections.abc import Iterable
from contextlib import suppress

from matplotlib import font_manager, ft2font
from matplotlib.figure import Figure
from matplotlib.text import Text

from espnet_ser.utils.say import say

FAMILIES = ("DejaVu Sans", "Noto Sans", "Liberation Sans", "Arial", "FreeSans", "Unifont")
"""Taken first, in this order; whatever other font has a letter that these lack comes after them."""

_ADVICE = {
    **dict.fromkeys(("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC"), "fonts-noto-cjk"),
    "THAI": "fonts-thai-tlwg",
}
"""First word of a character's name in Unicode -> the package (of Debian and Ubuntu) with a font that has it."""

_ANY_SCRIPT = "fonts-noto-core"
_NO_LETTERS = ("Last Resort", "cm", "STIXSize", "STIXNonUnicode")
"""Fonts of mathematical signs, whose letters lie in others' places, and of boxes."""


@functools.cache
def _characters_of(path: str) -> frozenset[int]:
    try:
        return frozenset(ft2font.FT2Font(path).get_charmap())
    except (OSError, RuntimeError, ValueError):  # a font that FreeType cannot read
        return frozenset()


@functools.cache
def _paths() -> tuple[tuple[str, str], ...]:
    """Family and file of each upright font of ordinary weight, those of :data:`FAMILIES` first."""
    for path in {*font_manager.findSystemFonts()} - {font.fname for font in font_manager.fontManager.ttflist}:
        with suppress(OSError, RuntimeError, ValueError):  # installed since matplotlib made its list, which it keeps in a file
            font_manager.fontManager.addfont(path)
    found = {}
    for font in font_manager.fontManager.ttflist:
        is_plain = font.style == "normal" and font.stretch == "normal" and font.weight in (400, "normal", "regular", "book")
        if is_plain and not font.name.startswith(_NO_LETTERS):
            found[font.name] = font.fname
    order = {name: place for place, name in enumerate(FAMILIES)}
    return tuple(sorted(found.items(), key=lambda item: (order.get(item[0], len(order)), item[0])))


def families_for(texts: Iterable[str]) -> tuple[list[str], str]:
    """The families with which these texts can be drawn, in matplotlib's order of trial; and the letters that none has.

    >>> families_for(["happy"])
    (['DejaVu Sans'], '')
    """
    missing = {ord(c) for text in texts for c in text if not c.isspace() and unicodedata.category(c) not in ("Cf", "Cc")}
    families = ["DejaVu Sans"]  # comes with matplotlib
    missing -= _characters_of(font_manager.findfont("DejaVu Sans"))
    for family, path in _paths() if missing else ():
        having = missing & _characters_of(path)
        if having and family not in families:
            families.append(family)
        missing -= having
    return families, "".join(map(chr, sorted(missing)))


def advice(letters: str) -> str:
    """What to install for letters that no font here has: one line."""
    names = {unicodedata.name(letter, "").split(" ")[0].split("-")[0] for letter in letters}
    packages = sorted({_ADVICE.get(name, _ANY_SCRIPT) for name in names})
    return (
        f"no font on this machine has {' '.join(letters[:8])}: figures show boxes in their place; install "
        f"{' '.join(packages)} (or another font that has them), and run stage 6 again"
    )


@functools.cache
def _say_once(line: str) -> None:
    say(f"warning: {line}", file=sys.stderr, flush=True)


def use_fonts(figure: Figure) -> list[str]:
    """Gives a figure's texts fonts that have their letters: the families. Says once which letters none has."""
    texts = figure.findobj(Text)
    families, missing = families_for(text.get_text() for text in texts)
    if len(families) > 1:
        for text in texts:
            text.set_fontfamily(families)
    if missing:
        _say_once(advice(missing))
    return families

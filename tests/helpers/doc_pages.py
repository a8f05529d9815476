"""The pages of the documentation as tests see them: their blocks, the commands in them, links and anchors."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from checkout import ROOT

PATTERNS = ("README.md", "CONTRIBUTING.md", "docs/**/*.md", "egs/*/README.md", "benchmarks/README.md")
PAGES = sorted({path.relative_to(ROOT) for pattern in PATTERNS for path in ROOT.glob(pattern)})

LANGUAGES = {"sh": "run, in order", "python": "run, in order", "pycon": "a doctest of its module"}
LANGUAGES |= {"text": "what is printed, or a picture", "yaml": "a file's content"}
"""What the blocks of a page may be."""

_FENCE = re.compile(r"(?:^<!-- not run: (?P<reason>.+?) -->\n+)?^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: Its page, relative to the checkout.
        line: Where it begins.
        language: What stands behind the fence.
        code: What stands within.
        not_run: Why no test runs it; empty for one that is run.
    """

    page: Path
    line: int
    language: str
    code: str
    not_run: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def read(page: Path) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text = read(page)
    return [
        Block(page, text.count("\n", 0, found.start("language")) + 1, found["language"], found["code"], found["reason"] or "")
        for found in _FENCE.finditer(text)
    ]


def prose(page: Path) -> str:
    """A page without its blocks, and the comments that belong to them."""
    return _FENCE.sub("", read(page))


def anchors(page: Path) -> set[str]:
    """What a link may name behind '#': the page's headings as GitHub spells them."""
    found: dict[str, int] = {}
    for heading in re.findall(r"^#{1,6} (.+)$", prose(page), re.M):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found[name] = found.get(name, -1) + 1
    return {f"{name}-{number}" if number else name for name, most in found.items() for number in range(most + 1)}


def links(page: Path) -> list[str]:
    """The targets of a page's links and images."""
    text = re.sub(r"`[^`\n]*`", "", prose(page))
    return re.findall(r"\]\(([^)\s]+)\)", text)


def commands(code: str) -> list[list[str]]:
    """The words of every simple command of a block, without what is redirected and the variables set before it."""
    found = []
    for line in code.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        command: list[str] = []
        redirected = False
        for word in [*lexer, ";"]:
            if set(word) <= set("<>"):
                redirected = True
            elif set(word) <= set("|&;()"):
                found += [command] if command else []
                command = []
            elif redirected:
                redirected = False
            elif command or not re.fullmatch(r"[A-Za-z_]\w*=.*", word):
                command.append(word)
    return found

"""The documentation says what is there: its links lead somewhere, its commands and options exist, its reference is the code's.

That its commands work is tests/recipe/test_docs.py's matter.
"""

import ast
import importlib
import re
import shlex
import subprocess
from functools import cache
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path

import pytest
from checkout import ROOT
from doc_pages import LANGUAGES, PAGES, anchors, blocks, commands, links, prose, read

from espnet_ser.bin.main import COMMANDS
from espnet_ser.errors import InputError
from espnet_ser.tasks.ser import SERTask

ORDINARY = {".", "-c", "cat", "cd", "cp", "echo", "export", "git", "grep", "head", "hf", "ls", "mkdir", "pip"}
ORDINARY |= {"ruff", "shellcheck", "tail", "time", "venv", "xargs"}
"""Programs of other people that a page may call."""

SHELL = [block for page in PAGES for block in blocks(page) if block.language == "sh"]


def place(block):
    return block.place


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_block_says_what_it_is(page):
    fences = re.findall(r"^\s*```.*$", read(page), re.M)
    assert len(fences) == 2 * len(blocks(page)), "a block is indented or not closed"
    for block in blocks(page):
        assert block.language in LANGUAGES, block.place
    assert "<!-- not run" not in prose(page), "'<!-- not run: why -->' stands before a block"


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_leads_somewhere(page):
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / page.parent / name).resolve() if name else ROOT / page
        assert target.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in anchors(target.relative_to(ROOT)), f"{page}: {link}"


@pytest.mark.parametrize("block", SHELL, ids=place)
def test_every_command_and_option_exists(block):
    assert subprocess.run(["bash", "-n"], input=block.code, text=True, check=False).returncode == 0
    check_all(block.code)


@pytest.mark.parametrize("block", [b for page in PAGES for b in blocks(page) if b.language == "python"], ids=place)
def test_every_program_names_modules_that_exist(block):
    for node in ast.walk(ast.parse(block.code)):
        names = [node.module] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        assert all(find_spec(name) for name in names), f"{block.place}: {names}"


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_option_that_is_spoken_of_exists(page):
    for span in re.findall(r"`([^`\n]+)`", prose(page)):
        for name in re.findall(r"(?<![\w-])--([A-Za-z][\w-]*)", span):
            assert name.replace("-", "_") in every_option(), f"{page}: {span}"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("espnet-ser predicts a.wav", "predicts"),
        ("espnet-ser predict --modell exp a.wav", "did you mean '--model'"),
        ("egs/iemocap/run.sh --stages 1", "stages"),
        ("egs/iemocap/run.sh --stage1_args '--max_epochs 5'", "max_epochs"),
        ("egs/mini_iemocap/run.sh --num_utt 5", "num_utt"),
        ("egs/iemocap/runs.sh", "runs.sh"),
        ("utils/validate_data_dir.sh --no-feat data", "no-feat"),
        ("python3 benchmarks/speed.py --row floor", "row"),
        ("python3 -m pytest tests/units", "tests/units"),
        ("espnetser predict a.wav", "espnetser"),
    ],
)
def test_what_does_not_exist_is_found(command, message):
    with pytest.raises((AssertionError, InputError), match=message):
        check_all(command)


def test_commands_are_told_apart():
    code = "A=1 egs/run.sh --tag 'a b' \\\n    --nj 2   # all of it\ncd x && espnet-ser predict - < talk.flac | head\n"
    assert commands(code) == [
        ["egs/run.sh", "--tag", "a b", "--nj", "2"],
        ["cd", "x"],
        ["espnet-ser", "predict", "-"],
        ["head"],
    ]


def test_the_reference_is_what_the_code_says():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    for path, text in generate.pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path} is not what the code says: python3 docs/generate.py"


def check_all(code):
    for words in commands(code):
        check(words)


def check(words):
    """Whether a command, the files that it is given by the checkout, and its options exist."""
    program, *arguments = words
    if Path(program).name in ("python", "python3"):
        skipped = arguments[0] == "-m"
        program, *arguments = arguments[skipped:]
    if program in ("espnet-ser", "espnet_ser"):
        check_ours(arguments)
    elif program == "pytest":
        tests = [word for word in arguments if word.startswith("tests/")]
        assert all((ROOT / test).exists() for test in tests), tests
    elif program.endswith((".sh", ".pl", ".py")):
        check_script(program, arguments)
    else:
        assert program in ORDINARY, program


def check_ours(arguments):
    """Of ``espnet-ser``: by its own parser."""
    if arguments == ["--help"]:
        return
    name, *rest = arguments
    assert name in COMMANDS, name
    if rest == ["--help"]:
        return
    args = importlib.import_module(f"espnet_ser.bin.{name}").get_parser().parse_args(rest)
    for stage in ("stage1_args", "stage2_args"):
        check_espnet(getattr(args, stage, ""))


def check_script(name, arguments):
    """Of a script: its options by what it assigns or asks for, those of ESPnet within them by the task."""
    path = next((folder / name for folder in (ROOT, ROOT / "utils", *ROOT.glob("egs/*")) if (folder / name).is_file()), None)
    if name.startswith("egs/mine/"):
        path = ROOT / name.replace("mine", "TEMPLATE")  # the copy that readers make
    assert path is not None, name
    for word, value in zip_longest(arguments, arguments[1:], fillvalue=""):
        if word.startswith("--"):
            option = word.removeprefix("--").replace("-", "_")
            assert option == "help" or option in options_of(path), f"{name}: {word}"
            if option in ("stage1_args", "stage2_args"):
                check_espnet(value)


def check_espnet(value):
    for word in shlex.split(value):
        if word.startswith("--"):
            name = word.removeprefix("--").partition("=")[0]
            assert name in espnet_options(), name


@cache
def options_of(path: Path) -> set[str]:
    """The options of a script; those of the recipe's wrappers are the recipe's too."""
    texts = [path.read_text()]
    if path.parent.parent == ROOT / "egs":
        texts += [(path.parent / name).read_text() for name in ("ser.sh", "local/options.sh")]
    found = set()
    for text in texts:
        found |= set(re.findall(r"^([a-z]\w*)=", text, re.M))  # for parse_options.sh
        found |= set(re.findall(r"""(?:== |^ *|")--([a-z][\w-]*)(?=["\s)])""", text, re.M))
    return {name.replace("-", "_") for name in found}


@cache
def espnet_options() -> set[str]:
    return {action.dest for action in SERTask.get_parser()._actions}


@cache
def every_option() -> set[str]:
    """All that any command of ours takes; and other people's that pages speak of."""
    parsers = [importlib.import_module(f"espnet_ser.bin.{name}").get_parser() for name in COMMANDS]
    names = {option.lstrip("-").replace("-", "_") for parser in parsers for a in parser._actions for option in a.option_strings}
    scripts = [
        *ROOT.glob("egs/*/run*.sh"),
        *ROOT.glob("utils/*.*"),
        *ROOT.glob("tests/**/run.sh"),
        *ROOT.glob("benchmarks/*.py"),
    ]
    names |= {name for script in scripts for name in options_of(script)} | espnet_options()
    names |= set(re.findall(r"^  --([a-z-]+)", (ROOT / "utils" / "run.pl").read_text(), re.M))
    for conf in ROOT.glob("conf/*.conf"):  # what they make of the runners' options, and of sbatch's
        names |= set(re.findall(r"^option (\w+)=", conf.read_text(), re.M)) | set(re.findall(r" --(\w+)", conf.read_text()))
    return names | {"help", "version"}

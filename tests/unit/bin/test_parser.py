"""The parser of every command, given whatever there is."""

import importlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet_ser.bin.main import COMMANDS
from espnet_ser.bin.parser import CommandParser, tag_name, whole_number
from espnet_ser.errors import InputError


def parser():
    made = CommandParser(prog="espnet-ser try")
    made.add_argument("--text", default="")
    made.add_argument("--stage", choices=("stage1", "ser"), default="ser")
    made.add_argument("--nj", type=whole_number(1), default=1)
    made.add_argument("--tag", type=tag_name, default="")
    made.add_argument("--folder", type=Path)
    return made


def outcome(parser, words):
    """What comes of a command line: options, a refusal that says why, or a good end after --help."""
    try:
        return parser.parse_args(words)
    except (InputError, SystemExit) as error:
        ended = error
    assert str(ended)
    assert isinstance(ended, InputError) or ended.code == 0
    return ended


@given(st.text())
def test_a_value_arrives_as_it_is(value):
    assert parser().parse_args([f"--text={value}"]).text == value


WORD = st.one_of(
    st.sampled_from(
        [
            "--text",
            "--stage",
            "--nj",
            "--tag",
            "--folder",
            "--",
            "-",
            "-h1",
            "--te",
            "ser",
            "1",
            "",
            "%s",
            "%(prog)s",
            "{}",
        ]
    ),
    st.text(max_size=6),
)


@settings(max_examples=200)
@given(st.lists(WORD, max_size=5))
def test_any_command_line_is_understood_or_refused(words):
    args = outcome(parser(), words)
    if not isinstance(args, InputError | SystemExit):
        assert args.nj >= 1
        assert args.stage in ("stage1", "ser")


@settings(max_examples=20)
@pytest.mark.parametrize("command", COMMANDS)
@given(words=st.lists(st.one_of(st.text(max_size=6), st.sampled_from(["--system", "--folds", "--nj", "--tag"])), max_size=4))
def test_so_it_is_for_every_command(command, words):
    outcome(importlib.import_module(f"espnet_ser.bin.{command}").get_parser(), words)


@given(st.integers(-5, 2**40))
def test_a_whole_number_is_within_its_limits(value):
    if 1 <= value < 2**31:
        assert parser().parse_args([f"--nj={value}"]).nj == value
    else:
        with pytest.raises(InputError, match="must be a whole number from 1, not"):
            parser().parse_args([f"--nj={value}"])


@given(st.text(max_size=8))
def test_a_tag_never_leaves_its_folder(tag):
    try:
        folder = Path("/exp") / f"stl_{parser().parse_args([f'--tag={tag}']).tag}"
    except InputError:
        return
    assert folder.parent == Path("/exp")
    assert ".." not in folder.name


def test_an_empty_name_is_no_folder():
    with pytest.raises(InputError, match="--folder: an empty name; name a file or a folder"):
        parser().parse_args(["--folder", ""])

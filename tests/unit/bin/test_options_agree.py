"""An option of the recipe says the same in ser.sh, in the command of its stage and on the reference page."""

import argparse
import importlib
import re

import pytest
from checkout import ROOT

EGS = ROOT / "egs"
OF_STAGES = ("prepare", "folds", "tokens", "train", "select", "score", "pack", "table")
"""The commands that ser.sh and local/data.sh give options to."""

DEFAULT_ELSEWHERE = {"system", "ssl", "ngpu", "iemocap"}
"""Needed by the command, so that only the recipe has a default; or what ser.sh makes of auto."""

SAYS_MORE = {"folds_by", "nj", "ngpu", "table", "systems", "iemocap"}
"""One text for several commands in ser.sh, or the other way round."""


ANOTHER = {"stage"}
"""Of ser.sh a step of the recipe, of train which of a system's two finetunings."""


def declared():
    texts = [
        part for part in (EGS / "TEMPLATE/ser.sh").read_text().split("\n\n") if re.fullmatch(r"# .*(\n[a-z0-9_]+=.*)+", part)
    ]
    texts += [(EGS / recipe / "local/options.sh").read_text() for recipe in ("iemocap", "TEMPLATE")]
    found = re.findall(r"^([a-z0-9_]+)=(\S*) *(?:# (.*))?$", "\n".join(texts), re.M)
    assert len(found) >= 45
    return {name: (default, says) for name, default, says in found}


@pytest.mark.parametrize("command", OF_STAGES)
def test_names_defaults_and_help_agree(command):
    shell, compared = declared(), 0
    for action in importlib.import_module(f"espnet_ser.bin.{command}").get_parser()._actions:
        if action.dest in shell.keys() - ANOTHER:
            default, says = shell[action.dest]
            compared += 1
            if action.dest not in DEFAULT_ELSEWHERE:
                assert str(action.default) == default, action.dest
            if action.dest not in SAYS_MORE:
                assert argparse.HelpFormatter("")._expand_help(action) == says, action.dest
    assert compared >= 5


@pytest.mark.parametrize("recipe", ["iemocap", "mini_iemocap", "TEMPLATE", "ravdess"])
def test_a_recipe_chooses_among_the_options_that_there_are(recipe):
    words = re.findall(r"^    --(\w+) ", (EGS / recipe / "run.sh").read_text(), re.M)
    assert len(words) >= 3
    assert set(words) <= set(declared())

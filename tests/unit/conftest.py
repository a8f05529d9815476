"""Recipes on tiny data, as fixtures."""

import platform
import signal
import sys

import pytest
from packed_recipe import PackedRecipe
from tiny_recipe import Recipe
from whole_recipe import WholeRecipe

from espnet_ser.utils.signals import ENDING_SIGNALS


@pytest.fixture(autouse=True)
def _signals():
    """A process that is ending ignores signals, and errors that nobody can catch; the tests' own goes on."""
    before, hook = {signum: signal.getsignal(signum) for signum in ENDING_SIGNALS}, sys.unraisablehook
    yield
    sys.unraisablehook = hook
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Both stages of the default system, trained, with predictions. Who changes anything puts it back."""
    recipe = Recipe(tmp_path_factory.mktemp("recipe"))
    recipe.train("stage1")
    recipe.train("ser")
    recipe.select()
    return recipe


@pytest.fixture(scope="session")
def scored(tmp_path_factory):
    """All six stages of a tiny release, one of its folds, in a folder ``run``. Who changes anything puts it back."""
    whole = WholeRecipe(tmp_path_factory.mktemp("scored") / "run")
    whole.configure("ser", max_epoch=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(platform, "node", lambda: "the-host-of-the-training")
        whole.run()
    return whole


@pytest.fixture(scope="session")
def packed(scored, tmp_path_factory):
    """A copy of it after stage 7, with its ONNX export. Who changes anything puts it back."""
    recipe = PackedRecipe(scored, tmp_path_factory.mktemp("packed") / "run")
    recipe.pack()
    return recipe


@pytest.fixture
def recipe(tmp_path):
    """A recipe of its own, up to stage 2."""
    return Recipe(tmp_path)

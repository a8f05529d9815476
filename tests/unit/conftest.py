"""Recipes on tiny data, as fixtures."""

import pytest
from tiny_recipe import Recipe


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Both stages of the default system, trained, with predictions. Who changes anything puts it back."""
    recipe = Recipe(tmp_path_factory.mktemp("recipe"))
    recipe.train("stage1")
    recipe.train("ser")
    recipe.select()
    return recipe


@pytest.fixture
def recipe(tmp_path):
    """A recipe of its own, up to stage 2."""
    return Recipe(tmp_path)

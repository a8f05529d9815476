"""A recipe on tiny data, as the unit tests have it."""

import pytest
from tiny_recipe import Recipe


@pytest.fixture
def recipe(tmp_path):
    """A recipe of its own, up to stage 2."""
    return Recipe(tmp_path)

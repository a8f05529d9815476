"""A trained mini recipe, for all tests here. Who changes anything puts it back, or takes a copy."""

import pytest
from checkout import MINI_OPTIONS, copy_of_repository, run


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A checkout of a module's own."""
    return copy_of_repository(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session")
def mini(tmp_path_factory):
    """The mini recipe's folder in a checkout, and what came of running it."""
    recipe = copy_of_repository(tmp_path_factory.mktemp("mini")) / "egs" / "mini_iemocap"
    return recipe, run(recipe / "run.sh", *MINI_OPTIONS, cwd="/")

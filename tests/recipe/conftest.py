"""A trained mini recipe, for all tests here. Who changes anything puts it back, or takes a copy."""

import os

import pytest
from checkout import MINI_OPTIONS, copy_of_repository, run
from warm_python import warm_python


@pytest.fixture(scope="session", autouse=True)
def real_path():
    """Scripts have a ``python3`` that starts at once; gives the ``PATH`` with the real one."""
    before = os.environ["PATH"]
    with warm_python() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}{os.pathsep}{before}")
        yield before


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A checkout of a module's own."""
    return copy_of_repository(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session")
def mini(real_path, tmp_path_factory):
    """The mini recipe's folder in a checkout, and what came of running it."""
    recipe = copy_of_repository(tmp_path_factory.mktemp("mini")) / "egs" / "mini_iemocap"
    return recipe, run(recipe / "run.sh", *MINI_OPTIONS, cwd="/", PATH=real_path)

"""Settings that all tests share."""

import pytest
from hypothesis import settings

# A shared machine can be slow; how long an example takes is not what these tests are about.
settings.register_profile("espnet_ser", deadline=None, max_examples=60)
settings.load_profile("espnet_ser")


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="run what takes longest too: tests marked so")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--long"):
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="takes long: tests/run.sh --long true"))

"""Counts what the fault tests show, and writes it down: ``pytest tests/faults --reliability docs/reliability.md``.

A test under ``@pytest.mark.table("bad input")`` is a row of that table, named by its parameters.
"""

from collections import defaultdict
from pathlib import Path

import pytest
from reliability import Row, report_markdown

from espnet_ser.environment import describe_environment
from espnet_ser.stamp import atomic_write


def pytest_addoption(parser):
    group = parser.getgroup("faults")
    group.addoption("--reliability", type=Path, help="write the tables of what was tried to this file")
    group.addoption("--kills", type=int, default=0, help="kill the mini recipe at so many random moments (0: not at all)")


def pytest_configure(config):
    config.addinivalue_line("markers", "table(name): the test is a row of this table of docs/reliability.md")
    config.stash[ROWS] = defaultdict(list)


ROWS = pytest.StashKey[dict[str, list[Row]]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    marker = item.get_closest_marker("table")
    if marker is not None and call.when == "call" and not report.skipped:
        spec = getattr(item, "callspec", None)
        name = spec.id if spec is not None else item.name.removeprefix("test_").replace("_", " ")
        shown = dict(item.user_properties).get("shown", "")
        item.config.stash[ROWS][marker.args[0]].append(Row(name, report.passed, shown))
    return report


def pytest_sessionfinish(session):
    path = session.config.getoption("--reliability")
    if path is not None:
        command = "tests/faults/run.sh"
        atomic_write(path, report_markdown(session.config.stash[ROWS], command, describe_environment()))

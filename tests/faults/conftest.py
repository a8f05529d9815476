"""Counts what the fault tests show, and writes it down: ``pytest tests/faults --reliability docs/reliability.md``.

A test under ``@pytest.mark.table("bad input")`` is a row of that table, named by its parameters; what it records as ``shown``
fills the second cell. One that records several as ``row``, each a name and what is shown, stands for as many.
"""

from collections import defaultdict
from pathlib import Path

import pytest
from reliability import Row, report_markdown

from espnet_ser.utils.atomic import atomic_write
from espnet_ser.utils.environment import describe_environment


def pytest_addoption(parser):
    group = parser.getgroup("faults")
    group.addoption("--reliability", type=Path, help="write the tables of what was tried to this file")
    group.addoption("--kills", type=int, default=0, help="kill the mini recipe at so many random moments (0: not at all)")


def pytest_configure(config):
    config.addinivalue_line("markers", "table(name): the test is a row of this table of docs/reliability.md")
    config.stash[ROWS] = defaultdict(list)
    config.pluginmanager.register(Counted(config.stash[ROWS]))


ROWS = pytest.StashKey[dict[str, list[Row]]]()
TABLE = "table"
"""The property by which a report carries its test's table from the process that ran it."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    marker = item.get_closest_marker("table")
    if marker is not None and call.when == "call" and not report.skipped:
        spec = getattr(item, "callspec", None)
        name = spec.id if spec is not None else item.name.removeprefix("test_").replace("_", " ")
        report.user_properties.append((TABLE, (marker.args[0], name)))
    return report


class Counted:
    """Collects the rows of all reports, also those that other processes made."""

    def __init__(self, rows: dict[str, list[Row]]) -> None:
        self.rows = rows

    def pytest_runtest_logreport(self, report):
        if report.when != "call":
            return
        for table, name in (value for key, value in report.user_properties if key == TABLE):
            several = [value for key, value in report.user_properties if key == "row"]
            single = (name, dict(report.user_properties).get("shown", ""))
            self.rows[table] += [Row(name, report.passed, shown) for name, shown in several or [single]]


def pytest_sessionfinish(session):
    path = session.config.getoption("--reliability")
    if path is not None and not hasattr(session.config, "workerinput"):
        command = f"tests/faults/run.sh --kills {session.config.getoption('--kills')}"
        atomic_write(path, report_markdown(session.config.stash[ROWS], command, describe_environment()))

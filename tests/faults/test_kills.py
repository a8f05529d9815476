"""The mini recipe, killed at random moments of every stage and started again, ends as an unbroken run does."""

import contextlib
import random
import shutil
import signal
import subprocess
import time

import pytest
from checkout import copy_of_repository
from mini import LEAVES, MiniRun, outcome

SAYS = {"starting": "", "speaking": "stage 1: ", "stage 1": "release/120: "}
SAYS |= {f"stage {number}": f"stage {number}: " for number in range(2, 7)}
"""What the log says when each begins; stage 1 first speaks."""
WEIGHTS = (1, 1, 1, 1, 5, 5, 1, 1)
"""How often a kill is aimed at each; most of the time goes into trainings."""


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The recipe's folder, what an unbroken run leaves there, and how long each stage takes."""
    recipe = copy_of_repository(tmp_path_factory.mktemp("kills")) / "egs" / "mini_iemocap"
    run = MiniRun(recipe, recipe / "unbroken.txt")
    begins, start_s = {}, time.monotonic()
    for stage, says in SAYS.items():
        assert run.wait_for(says), run.said()
        begins[stage] = time.monotonic() - start_s
    assert run.process.wait() == 0, run.said()
    ends = [*list(begins.values())[1:], time.monotonic() - start_s]
    run.close()
    durations_s = {stage: end - begin for (stage, begin), end in zip(begins.items(), ends, strict=True)}
    return recipe, outcome(recipe), durations_s


def planned(num_kills: int) -> list[list[tuple[str, str]]]:
    """Chains of kills; in a chain the stages come in their order, so that each kill meets work that is still to be done."""
    rng = random.Random(0)
    stages = [stage for stage, weight in zip(SAYS, WEIGHTS, strict=True) for _ in range(weight)]
    chains = []
    while num_kills > 0:
        chosen = sorted(rng.sample(range(len(stages)), min(num_kills, len(stages))))
        chains.append([(stages[index], rng.choice(["SIGKILL", "SIGKILL", "SIGTERM", "SIGINT"])) for index in chosen])
        num_kills -= len(chosen)
    return chains


def pytest_generate_tests(metafunc):
    if "chain" in metafunc.fixturenames:
        chains = planned(metafunc.config.getoption("--kills"))
        metafunc.parametrize("chain", chains, ids=[f"chain {number}" for number in range(1, len(chains) + 1)])


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT"])
def test_speaking_ends_with_the_recipe(tmp_path, how):
    recipe = copy_of_repository(tmp_path) / "egs" / "mini_iemocap"
    run = MiniRun(recipe, tmp_path / "log.txt")
    while not any((recipe / "release").rglob("*.wav")):
        assert run.process.poll() is None, run.said()
        time.sleep(0.02)
    assert run.ask(getattr(signal, how)) == 128 + getattr(signal, how)
    assert run.leftovers() == []
    run.close()
    assert "Traceback" not in run.said()


@pytest.mark.table("kills")
def test_a_run_that_was_killed_ends_as_an_unbroken_one(chain, unbroken, request, record_property):
    recipe, expected, durations_s = unbroken
    rng = random.Random(request.node.name)
    for name in LEAVES:
        shutil.rmtree(recipe / name, ignore_errors=True)
    log = recipe / f"{request.node.callspec.id}.txt"
    rows = []
    for stage, how in chain:
        run = MiniRun(recipe, log)
        assert run.wait_for(SAYS[stage]), run.said()
        delay_s = rng.uniform(0.0, durations_s[stage])
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.process.wait(timeout=delay_s)
        if run.process.poll() is None:
            said = ""
            if how == "SIGKILL":
                run.kill_all()
            else:
                code = run.ask(getattr(signal, how))
                # Before the recipe handles signals, bash ends by them.
                by_signal = -getattr(signal, how) if stage == "starting" else 0
                assert code in (85, 128 + getattr(signal, how), by_signal, 0), run.said()
                assert run.leftovers() == []
                said = f", exit {code}"
            name = f"{how} in {stage}: {request.node.callspec.id}, kill {len(rows) + 1}"  # none where it had ended before
            rows.append((name, f"after {delay_s:.1f} s{said}"))
        run.close()
    last = MiniRun(recipe, log)
    assert last.process.wait() == 0, last.said()
    last.close()
    assert "Traceback" not in log.read_text()
    found = outcome(recipe)
    assert sorted(found) == sorted(expected)
    assert [name for name in expected if found[name] != expected[name]] == []
    for row in rows:
        record_property("row", row)

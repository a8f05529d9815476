"""Schedules that are only played through."""

import random
from pathlib import Path

import pytest

from espnet_ser.schedule.jobs import GOOD, Job, State
from espnet_ser.schedule.simulation import simulate


def job(name, *after):
    row, column = name.split(" ", 1)
    return Job(row, column, ("true",), Path("log"), depends_on=after, folder=Path(row))


CHAINS = [job("a fold 1"), job("a fold 2"), job("b fold 1", "a fold 1"), job("b fold 2", "a fold 2")]


def makespan(jobs, seconds, machines, **more):
    return max(job.ended_s for job in simulate(jobs, seconds, machines, **more))


def test_one_machine_takes_the_sum_and_many_the_longest_chain():
    seconds = {"a fold 1": 10.0, "a fold 2": 7.0, "b fold 1": 2.0, "b fold 2": 4.0}
    takes = lambda job: seconds[job.name]  # noqa: E731
    assert makespan(CHAINS, takes, 1) == pytest.approx(23.0)
    assert makespan(CHAINS, takes, 100) == pytest.approx(12.0)


def test_what_a_cluster_has_been_given_waits_in_the_order_in_which_it_came():
    # Both first ones are in the cluster's hands, so that the second comes before the follower of the first.
    played = {job.name: (job.started_s, job.ended_s) for job in simulate(CHAINS, lambda _: 1.0, 1, max_jobs_run=100)}
    assert [name for name, _ in sorted(played.items(), key=lambda item: item[1])] == [job.name for job in CHAINS]
    assert sorted(played.values()) == [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, 4.0)]


def test_the_jobs_themselves_are_left_as_they_are():
    simulate(CHAINS, lambda _: 1.0, 2)
    assert {(job.state, job.ended_s) for job in CHAINS} == {(State.WAITS, 0.0)}


@pytest.mark.parametrize("seed", range(20))
def test_no_job_begins_before_its_parents_end_and_no_machine_runs_two(seed):
    rng = random.Random(seed)
    names = [f"row{n} fold {rng.randint(1, 3)}" for n in range(rng.randint(1, 30))]
    jobs = [job(name, *rng.sample(names[:n], min(n, rng.randint(0, 2)))) for n, name in enumerate(names)]
    seconds = {name: rng.choice([0.0, 1.0, rng.uniform(0, 9)]) for name in names}
    machines, at_a_time = rng.randint(1, 5), rng.choice([None, 100])
    played = {job.name: job for job in simulate(jobs, lambda job: seconds[job.name], machines, at_a_time)}
    assert {job.state for job in played.values()} <= set(GOOD)
    for one in played.values():
        assert one.ended_s - one.started_s == pytest.approx(seconds[one.name])
        assert all(played[name].ended_s <= one.started_s for name in one.depends_on)
        at_once = [other for other in played.values() if other.started_s <= one.started_s < other.ended_s]
        assert len(at_once) <= machines
    longest = max(job.ended_s for job in played.values())
    assert longest >= sum(seconds.values()) / machines - 1e-9
    assert longest <= sum(seconds.values()) + 1e-9

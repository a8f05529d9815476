"""How jobs are shown: tables, lines and times, on states set by hand."""

import io
import json
from pathlib import Path

import pytest

from espnet_ser.schedule import views
from espnet_ser.schedule.jobs import Job, State
from espnet_ser.schedule.status import event_line, failures, job_cell, status_line, status_table
from espnet_ser.schedule.time_left import jobs_seconds_left
from espnet_ser.schedule.views import Lines, LiveTable, view_on


def job(name, state=State.WAITS, after=(), folder=Path("folder"), **more):
    row, column = name.split(" ", 1)
    return Job(row, column, ("true",), Path("exp", row, "log", "x.log"), tuple(after), folder=folder, state=state, **more)


def history(epoch, max_epoch=10, seconds=2.0):
    return [{"epoch": n, "max_epoch": max_epoch, "seconds": seconds} for n in range(1, epoch + 1)]


@pytest.fixture
def table():
    return [
        job("stage1/asr fold 1", State.UP_TO_DATE),
        job("stage1/asr fold 2", State.RUNNING),
        job("asr__ser fold 1", State.RUNNING),
        job("asr__ser fold 2", State.WAITS, ["stage1/asr fold 2"]),
        job("asr__ser select", State.WAITS, ["asr__ser fold 1", "asr__ser fold 2"], folder=None),
        job("stl fold 1", State.FAILED),
        job("stl fold 2", State.QUEUED),
        job("stl select", State.SKIPPED, ["stl fold 1", "stl fold 2"], folder=None),
    ]


HISTORIES = {"stage1/asr fold 1": history(10), "stage1/asr fold 2": history(4)}


def test_a_row_per_model_and_a_column_per_fold(table):
    assert status_table(table, HISTORIES, width=80, height=24) == [
        "            fold 1      fold 2    select",
        "stage1/asr  up to date  4/10 12s",
        "asr__ser    running     waits     waits",
        "stl         FAILED      queued    skipped",
    ]


def test_cells_get_narrower_where_they_do_not_fit_and_are_cut_last_of_all(table):
    assert status_table(table, HISTORIES, width=36, height=24) == [
        "            f1    f2    select",
        "stage1/asr  done  40%",
        "asr__ser    run   wait  wait",
        "stl         FAIL  next  skip",
    ]
    assert max(map(len, status_table(table, HISTORIES, width=20, height=24))) == 20


def test_27_systems_and_10_folds_fit_a_terminal_of_80_by_24():
    jobs = [job(f"asr_gender_skip__ser_gen_{n:02} fold {fold}") for n in range(27) for fold in range(1, 11)]
    for each in jobs[:20]:
        each.state = State.DONE
    jobs[260].state = State.RUNNING
    lines = status_table(jobs, {}, width=80, height=24)
    assert len(lines) == 24
    assert max(map(len, lines)) <= 80
    shown = [line.split()[0][-2:] for line in lines[1:-1]]
    assert shown == [f"{n:02}" for n in range(2, 23)] + ["26"]
    assert lines[-1] == "... and 5 more: 20 done, 30 waiting"


def test_totals_with_the_time_that_has_passed_and_is_left(table):
    assert status_line(table, {}, 75, max_jobs_run=2) == (
        "1 up to date, 2 running, 1 queued, 2 waiting, 1 failed, 1 skipped; 75s so far"
    )
    # 6 epochs of 2 s, and three trainings that are taken to last as long as the intermediate one, 20 s each, two at a time
    assert status_line(table, HISTORIES, 75, max_jobs_run=2).endswith("; 75s so far, about 36s left")


def test_the_time_left_is_the_work_shared_out_or_the_longest_chain(table):
    # left: 12 s of the intermediate one, and 3 trainings of 20 s
    assert jobs_seconds_left(table, HISTORIES, max_jobs_run=1) == pytest.approx(12 + 3 * 20)
    assert jobs_seconds_left(table, HISTORIES, max_jobs_run=2) == pytest.approx(72 / 2)
    assert jobs_seconds_left(table, HISTORIES, max_jobs_run=8) == pytest.approx(12 + 20)
    assert jobs_seconds_left(table, {}, max_jobs_run=8) is None


def test_trainings_of_the_same_stage_tell_how_long_one_takes(table):
    measured = {**HISTORIES, "asr__ser fold 1": history(1, max_epoch=10, seconds=5.0)}
    # 12 s of the intermediate one, 45 s of the SER training that runs, two of 50 s to come
    assert jobs_seconds_left(table, measured, max_jobs_run=1) == pytest.approx(12 + 45 + 2 * 50)


def test_a_training_without_an_epoch_says_that_it_runs():
    assert job_cell(job("a fold 1", State.RUNNING)) == "running"
    assert job_cell(job("a fold 1", State.RUNNING), history(7, 8, 750.0)) == "7/8 12min"


def test_events_say_where_to_look():
    running = job("a fold 1", State.RUNNING)
    assert event_line(running) == "a fold 1: started, log in exp/a/log/x.log"
    running.state, running.started_s, running.ended_s = State.FAILED, 100.0, 107.0
    assert event_line(running) == "a fold 1: FAILED after 7s, log in exp/a/log/x.log"


def test_failures_of_the_same_reason_are_told_once():
    jobs = [
        job("a fold 1", State.FAILED, reason="no memory\nended (code 1)", started_s=1.0),
        job("a fold 2", State.DONE),
        job("b fold 1", State.FAILED, reason="tokens.txt is missing"),
        job("c fold 1", State.FAILED, reason="no memory\nended (code 1)", started_s=2.0),
    ]
    assert failures(jobs) == (
        "a fold 1, c fold 1 FAILED, log in exp/a/log/x.log:\n  no memory\n  ended (code 1)\n\n"
        "b fold 1 FAILED:\n  tokens.txt is missing\n"
    )
    assert failures([jobs[1]]) == ""


def write_history(folder, epochs):
    folder.mkdir(exist_ok=True)
    (folder / "history.jsonl").write_text("".join(json.dumps(record) + "\n" for record in epochs))


class Clock:
    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(views.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_a_log_gets_a_line_per_event_and_a_summary_when_an_epoch_was_done(tmp_path, clock):
    stream, training = io.StringIO(), job("a fold 1", State.RUNNING, folder=tmp_path / "a")
    view = Lines(stream, [training], 1)
    view.changed(training)
    for clock.now in (10.0, 29.0, 31.0):
        if clock.now == 29.0:
            write_history(training.folder, history(3))
        view.refresh()
    clock.now = 100.0
    view.refresh()  # nothing has moved
    training.state, training.ended_s = State.DONE, 100.0
    view.changed(training)
    view.refresh(final=True)
    assert stream.getvalue().splitlines() == [
        "a fold 1: started, log in exp/a/log/x.log",
        "1 running; 31s so far, about 14s left; a fold 1 3/10 14s",
        "a fold 1: done in 2min",
        "1 done; 2min so far",
    ]


def test_epochs_of_an_earlier_run_are_not_taken_for_those_of_this_one(tmp_path, clock):
    stream, training = io.StringIO(), job("a fold 1", State.RUNNING, folder=tmp_path / "a")
    write_history(training.folder, history(10))
    view = Lines(stream, [training], 1)
    view.changed(training)
    view.refresh(final=True)
    write_history(training.folder, history(1))
    view.refresh(final=True)
    assert [line.partition("; ")[2] for line in stream.getvalue().splitlines()[1:]] == [
        "0s so far",
        "0s so far, about 18s left; a fold 1 1/10 18s",
    ]


def screen_after(output):
    """What a terminal shows in the end that knows only these two sequences."""
    lines, row = [""], 0
    for part in output.replace("\x1b[J", "\0J").replace("\x1b[", "\0").split("\0"):
        if part.startswith("J"):
            lines, part = [*lines[:row], ""], part[1:]
        elif "F" in part and part.partition("F")[0].isdigit():
            up, _, part = part.partition("F")
            row -= int(up)
        for n, text in enumerate(part.split("\n")):
            row += n > 0
            lines += [""] * (row + 1 - len(lines))
            lines[row] += text
    return lines


def test_a_terminal_shows_the_last_table_alone(clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    stream, jobs = io.StringIO(), [job("a fold 1", State.QUEUED, folder=None), job("b fold 1", State.QUEUED, folder=None)]
    view = LiveTable(stream, jobs, 1)
    for clock.now, state in ((1.0, State.RUNNING), (1.2, State.FAILED), (2.0, State.DONE)):
        jobs[0].state = state
        view.changed(jobs[0])
        view.refresh()
    assert "FAILED" not in stream.getvalue()  # too soon to be drawn
    jobs[1].state = State.RUNNING
    view.refresh(final=True)
    assert screen_after(stream.getvalue()) == ["   fold 1", "a  done", "b  running", "1 done, 1 running; 2s so far", ""]


def test_only_a_terminal_gets_a_table(monkeypatch):
    stream = io.StringIO()
    assert type(view_on(stream, [], 1)) is Lines
    stream.isatty = lambda: True
    monkeypatch.setenv("TERM", "xterm")
    assert type(view_on(stream, [], 1)) is LiveTable
    monkeypatch.setenv("TERM", "dumb")
    assert type(view_on(stream, [], 1)) is Lines

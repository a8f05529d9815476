"""``espnet-ser table`` with the real run.pl, and commands that only note that they were called."""

import json
import os
import shlex
import signal
import sys
import threading
import time
from types import ModuleType

import pytest
from checkout import ROOT

import espnet_ser.bin
from espnet_ser.bin import main as commands
from espnet_ser.errors import InputError
from espnet_ser.schedule import table_jobs

PYTHON = """#!/bin/bash
# -m espnet_ser train --stage STAGE --system SYSTEM --folds FOLD ... | -m espnet_ser select|score --system SYSTEM ...
if [[ $3 == train ]]; then name=$5.$7.$9; else name=$3.$5; fi
printf '%s\\n' "$*" >> "$TABLE_TEST/words"
echo "$name" >> "$TABLE_TEST/called"
if [[ -e $TABLE_TEST/fail.$name ]]; then echo "no luck with $name"; exit 1; fi
if [[ -e $TABLE_TEST/saves ]]; then trap 'exit 85' TERM; fi
if [[ -e $TABLE_TEST/sleep ]]; then echo $$ > "$TABLE_TEST/pid"; for _ in {1..600}; do sleep 0.1; done; fi
touch "$TABLE_TEST/done.$name"
"""


class Table:
    """A recipe with two folds, whose trainings take no time."""

    def __init__(self, root):
        self.root = root
        for fold in "12":
            (root / "data" / f"fold{fold}").mkdir(parents=True)
            (root / "data" / f"fold{fold}" / "fold.json").write_text(json.dumps({"by": "session"}))
        self.reported = []

    def __call__(self, *argv):
        places = ("--conf", ROOT / "conf", "--datadir", self.root / "data", "--expdir", self.root / "exp")
        commands.main([str(word) for word in ("table", *places, "--ssl", "encoder", "--command", "./run_table.sh", *argv)])

    def fails(self, *argv):
        with pytest.raises(SystemExit) as exit:
            self(*argv)
        return exit.value.code

    def called(self):
        path = self.root / "called"
        names = path.read_text().split() if path.exists() else []
        path.unlink(missing_ok=True)
        return names

    def log(self, name):
        return self.root / "exp" / name


@pytest.fixture
def table(tmp_path, monkeypatch):
    table = Table(tmp_path)
    python = tmp_path / "python3"
    python.write_text(PYTHON)
    python.chmod(0o755)
    monkeypatch.setenv("TABLE_TEST", str(tmp_path))
    monkeypatch.setenv("PATH", f"{ROOT / 'utils'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(sys, "executable", str(python))

    def is_trained(system, stage, fold, setup):
        assert stage == "stage1" or system.intermediate is None or is_intermediate_done(system, fold)
        return (tmp_path / f"done.{stage}.{system.name}.{fold}").exists()

    def is_intermediate_done(system, fold):
        done = [path.name.split(".") for path in tmp_path.glob(f"done.stage1.*.{fold}")]
        return any(system.intermediate == table_jobs.load_system(ROOT / "conf", name).intermediate for _, _, name, _ in done)

    def report(argv):
        table.reported.append(argv)
        print("the report")

    monkeypatch.setattr(table_jobs, "_is_trained", is_trained)
    stand_in = ModuleType("espnet_ser.bin.report")
    stand_in.main = report
    monkeypatch.setitem(sys.modules, "espnet_ser.bin.report", stand_in)
    monkeypatch.setattr(espnet_ser.bin, "report", stand_in, raising=False)
    return table


SHARING = ("--systems", "asr__ser stl asr__ser_asr")


def test_trainings_are_run_once_each_then_select_and_score_then_the_report(table, capsys):
    table("--table=", *SHARING, "--nj", 2)
    called = table.called()
    assert sorted(called) == sorted(
        [f"stage1.asr__ser.{fold}" for fold in "12"]
        + [f"ser.{name}.{fold}" for name in ("asr__ser", "stl", "asr__ser_asr") for fold in "12"]
        + [f"{part}.{name}" for name in ("asr__ser", "stl", "asr__ser_asr") for part in ("select", "score")]
    )
    assert set(called[:2]) == {"stage1.asr__ser.1", "stage1.asr__ser.2"}
    for name in ("asr__ser", "stl", "asr__ser_asr"):
        order = [called.index(what) for what in (f"ser.{name}.2", f"select.{name}", f"score.{name}")]
        assert order == sorted(order)
        for log in ("train.fold1.log", "train.fold2.log", "select.log", "score.log"):
            assert table.log(f"{name}/log/{log}").is_file()
    assert table.log("stage1/asr/log/train.fold2.log").is_file()
    output = capsys.readouterr().out
    assert "stage1/asr fold 1: started" in output
    assert output.splitlines()[-1] == "the report"
    exp = table.root / "exp"
    assert table.reported == [
        ["--systems=asr__ser stl asr__ser_asr", f"--conf={ROOT / 'conf'}", f"--expdir={exp}", "--tag="]
        + [f"--output={exp / 'systems'}", "--command=./run_table.sh"]
    ]


def test_a_second_run_launches_only_what_is_missing(table, capsys):
    table(*SHARING)
    table.called()
    (table.root / "done.ser.asr__ser.2").unlink()
    table(*SHARING)
    called = table.called()
    assert [name for name in called if name.startswith(("stage1", "ser"))] == ["ser.asr__ser.2"]
    assert "stage1/asr fold 2: up to date" in capsys.readouterr().out


def test_after_a_failure_the_rest_goes_on_and_the_log_is_shown(table, capsys):
    (table.root / "fail.stage1.asr__ser.2").touch()
    message = table.fails(*SHARING)
    assert message == (
        "espnet-ser table: error: 1 of 14 jobs failed and 6 that wait for them were skipped; "
        "run again to go on with what is missing"
    )
    assert {"ser.asr__ser.1", "ser.stl.2", "score.stl"} <= set(table.called())
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        f"stage1/asr fold 2 FAILED, log in {table.log('stage1/asr/log/train.fold2.log')}:",
        "  no luck with stage1.asr__ser.2",
        "  ended (code 1)",
    ]
    assert len(table.reported) == 1
    (table.root / "fail.stage1.asr__ser.2").unlink()
    table(*SHARING)
    assert {"stage1.asr__ser.2", "ser.asr__ser.2", "ser.asr__ser_asr.2"} == {
        name for name in table.called() if name.startswith(("stage1", "ser"))
    }


def test_a_report_that_cannot_be_made_does_not_hide_a_failure(table, capsys, monkeypatch):
    def nothing_to_report(argv):
        raise InputError("no system has scores")

    monkeypatch.setattr(sys.modules["espnet_ser.bin.report"], "main", nothing_to_report)
    (table.root / "fail.score.stl").touch()
    assert "1 of 4 jobs failed; run again" in table.fails("--systems", "stl")
    assert "no report: no system has scores" in capsys.readouterr().err
    (table.root / "fail.score.stl").unlink()
    assert table.fails("--systems", "stl") == "espnet-ser table: error: no system has scores"


@pytest.mark.parametrize(
    ("signum", "saves", "code"),
    [(signal.SIGINT, False, 130), (signal.SIGTERM, False, 143), (signal.SIGHUP, False, 129), (signal.SIGTERM, True, 85)],
)
def test_an_interruption_ends_the_jobs_and_says_so(table, capsys, signum, saves, code):
    (table.root / "sleep").touch()
    if saves:
        (table.root / "saves").touch()
    pid = table.root / "pid"

    def interrupt():
        while not (pid.exists() and pid.read_text()):
            time.sleep(0.02)
        os.kill(os.getpid(), signum)

    outer = signal.signal(signum, signal.SIG_DFL)  # under nohup the signal of a lost terminal is ignored, as it should be
    thread = threading.Thread(target=interrupt)
    try:
        # The table listens from its first job on, and nobody interrupts before that has said that it runs.
        thread.start()
        assert table.fails("--systems", "stl", "--nj", 1) == code
        thread.join()
    finally:
        signal.signal(signum, outer)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    captured = capsys.readouterr()
    assert "stl fold 1: stopped after" in captured.out
    assert "run it again to go on" in captured.err
    assert table.called() == ["ser.stl.1"]
    assert table.reported == []


def test_every_option_reaches_the_trainings_as_it_was_given(table):
    more = (
        "--stage1_args=--max_epoch 2",
        "--stage2_args",
        "",
        "--stage1_data",
        "all",
        "--seed",
        3,
        "--stage1_tag",
        "t",
    )
    table("--systems", "asr__ser", "--folds", "2", "--tag=", *more)
    words = (table.root / "words").read_text().splitlines()
    common = f"--conf={ROOT / 'conf'} --datadir={table.root}/data --expdir={table.root}/exp --tag= --stage1_tag=t"
    assert words[0] == (
        f"-m espnet_ser train --stage stage1 --system asr__ser --folds 2 --job 1 {common} --dumpdir=dump "
        "--ssl=encoder --stage1_config=conf/train_stage1.yaml --stage2_config=conf/train_ser.yaml "
        "--stage1_args=--max_epoch 2 --stage2_args= --token_type=char --nbpe=100 --stage1_data=all --seed=3 "
        "--ngpu=0 --dist_backend=nccl --cache=auto --save_every_min=10 --cache_dtype=float16"
    )
    assert words[2] == f"-m espnet_ser select --system asr__ser --folds 2 {common}"
    assert words[3] == f"-m espnet_ser score --system asr__ser --folds 2 {common} --command=./run_table.sh"
    assert table.log("stage1/asr_t/log/train.fold2.log").is_file()


def test_the_real_train_command_takes_the_options_of_a_job(table, tmp_path):
    from espnet_ser.bin import score, train

    table("--systems", "asr__ser", "--folds", "2", "--stage1_args=--max_epoch 2")
    ran = {}
    for log in sorted((tmp_path / "exp").rglob("*.log")):
        ran[log.name] = shlex.split(log.read_text().splitlines()[0].removeprefix("# "))[4:]
    args = train.get_parser().parse_args(ran["train.fold2.log"])
    assert (args.system, args.folds, args.stage1_args) == ("asr__ser", "2", "--max_epoch 2")
    assert score.get_parser().parse_args(ran["score.log"]).command == "./run_table.sh"


def test_tables_of_the_paper_are_reported_whole(table):
    table("--table", 3, "--systems", "asr__ser", "--tag", "x")
    assert {"--table=3", f"--output={table.root / 'exp' / 'table3_x'}"} <= set(table.reported[0])
    assert {name.split(".")[1] for name in table.called()} == {"asr__ser"}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ((), "which systems?"),
        (("--systems", "asr__se"), "did you mean 'asr__ser'"),
        (("--table", "3", "--systems", "stl"), "table 3: unknown system 'stl'"),
        (("--table", "4"), "unknown table '4'"),
        (("--systems", "stl", "--nj", 0), "--nj must be 1 or more, not 0"),
        (("--systems", "stl", "--folds", "7"), "unknown fold '7'"),
        (("--systems", "stl", "--train_cmd", "slum.pl"), "--train_cmd 'slum.pl': no such command"),
    ],
)
def test_mistakes_are_one_line_and_start_nothing(table, argv, message):
    error = table.fails(*argv)
    assert message in error
    assert "\n" not in error
    assert table.called() == []

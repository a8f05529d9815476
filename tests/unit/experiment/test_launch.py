"""``espnet-ser launch`` through the real espnet2.bin.launch, with a stand-in for the cluster's job runner."""

import os
import signal
import subprocess
import sys
import time

import pytest

from espnet_ser.bin.launch import main
from espnet_ser.errors import InputError
from espnet_ser.utils.signals import REQUEUE_CODE

RUNNER = """#!/bin/bash
printf '%s\\n' "$@" >{folder}/words
meeting=$(grep '^file://' {folder}/words)
end() {{ printf '[%s, "%s"]' "$1" "$2" >"${{meeting#file://}}.ended"; exit 1; }}
trap 'sleep 0.5; end 85 ""' TERM
touch {folder}/started
{does}
"""


@pytest.fixture
def launch(tmp_path):
    """The command line with a job runner that does this."""

    def words(does, name="slurm.pl"):
        runner = tmp_path / "bin" / name
        runner.parent.mkdir()
        runner.write_text(RUNNER.format(folder=tmp_path, does=does))
        runner.chmod(0o755)
        launched = (
            "--cmd",
            f"{runner} --mem 2G",
            "--log",
            str(tmp_path / "log" / "train.1.log"),
            "--ngpu",
            "0",
            "--num_nodes",
            "2",
        )
        return [*launched, "--", "--stage", "ser", "--system", "stl"]

    return words


def test_each_machine_is_told_what_to_train_and_where_to_meet(launch, tmp_path):
    main(launch("exit 0"))
    words = (tmp_path / "words").read_text().split("\n")
    assert words[:8] == ["--mem", "2G", "--gpu", "0", "--num_threads", "1", "--num_nodes", "2"]
    train = words[words.index("-m") :]
    assert train[:7] == ["-m", "espnet_ser", "train", "--stage", "ser", "--system", "stl"]
    assert train[7:13] == ["--ngpu", "0", "--multiprocessing_distributed", "true", "--dist_launcher", "slurm"]
    assert train[14].startswith(f"file://{tmp_path}/log/.train.1.meeting-")
    assert train[15:17] == ["--dist_backend", "gloo"]


def test_the_error_is_that_of_the_process_that_failed_first(launch):
    with pytest.raises(InputError, match=r"^rank 1 of 2: no such thing; log is in .*train.1.log$"):
        main(launch("end 1 'rank 1 of 2: no such thing'"))


def test_what_ends_without_a_word_is_named_with_its_logs(launch):
    with pytest.raises(InputError, match=r"^the job failed, logs are in .*train.1.log and .*train.1.launch.log$"):
        main(launch("exit 3"))


def test_asked_to_end_it_waits_until_the_training_is_saved(launch, tmp_path):
    command = [sys.executable, "-m", "espnet_ser", "launch", *launch("sleep 60 & wait; wait")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "started").exists() and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert process.returncode == REQUEUE_CODE, error
    assert error == ""


@pytest.mark.parametrize(
    ("name", "message"), [("run.pl", "run.pl runs jobs on this machine alone"), ("none.pl", "no such program")]
)
def test_what_cannot_start_on_other_machines_is_refused(launch, tmp_path, name, message):
    words = launch("exit 0", name)
    if name == "none.pl":
        os.unlink(tmp_path / "bin" / name)
    with pytest.raises(InputError, match=message):
        main(words)

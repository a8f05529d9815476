"""A training that is asked to end saves itself at its next step, and goes on from there to the bit."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from account import account
from tiny import write_fold
from tiny_recipe import SYSTEM, refused

from espnet_ser.experiment import training_run as experiment
from espnet_ser.layout import CHECKPOINT_FILE
from espnet_ser.models.ser_model import SERModel
from espnet_ser.train import epoch_files
from espnet_ser.train.epoch_files import EpochFiles
from espnet_ser.train.trainer import SERTrainer
from espnet_ser.utils.signals import REQUEUE_CODE, SAME_S, STOP, StopRequest


class Kill(BaseException):
    """As sudden as a signal."""


def kill(*_arguments):
    raise Kill


@pytest.fixture
def broken_after(monkeypatch):
    """Ends a training suddenly, after the epoch after the given one has been reported, and before anything of it is saved."""
    report = SERTrainer._report.__func__

    def break_after(last):
        def report_or_end(cls, epoch, *more):
            report(cls, epoch, *more)
            if epoch > last:
                kill()

        monkeypatch.setattr(SERTrainer, "_report", classmethod(report_or_end))

    return break_after


@pytest.fixture
def asked(monkeypatch):
    """Asks for the end of the training when so many batches have been given to the model, in training and validation."""

    def ask_after(*counts):
        given = []
        logits_of = SERModel.logits_of

        def count(model, batch):
            given.append(1)
            if len(given) in counts:
                os.kill(os.getpid(), signal.SIGTERM)
            return logits_of(model, batch)

        monkeypatch.setattr(SERModel, "logits_of", count)

    return ask_after


OPTIONS = {
    "intermediate, live": ("stage1", SYSTEM, "stage1/asr_gender_skip", ["--cache", "none"]),
    "cached": ("ser", "stl_n8", "stl_n8", []),
    "n = 0": ("ser", "stl_n0", "stl_n0", []),
    "accumulated gradients": ("ser", "mtl_gender", "mtl_gender", ["--args", "--accum_grad 2"]),
    "surgery and a probe": ("ser", "mtl_asr_pcgrad", "mtl_asr_pcgrad", ["--args", "--gradient_every 2"]),
    "scheduler of steps": ("ser", "stl_n8", "stl_n8", ["--args", "--scheduler warmuplr --scheduler_conf warmup_steps=5"]),
    "reading processes": ("ser", "stl", "stl", ["--cache", "none", "--args", "--num_workers 1"]),
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_an_interrupted_training_ends_as_an_unbroken_one_does(recipe, asked, monkeypatch, capsys, kind):
    stage, system, name, options = OPTIONS[kind]
    recipe.train(stage, *options, system=system)
    folder = recipe.root / "exp" / name / "fold1"
    whole = account(folder)
    folder.rename(recipe.root / "whole")
    # Of four training batches and two of validation in each of two epochs: within training, within validation, at the end.
    codes = []
    asked(2, 7, 10, 17)
    for _ in range(10):
        if (folder / "done.json").exists():
            break
        try:
            recipe.train(stage, *options, system=system)
        except SystemExit as end:
            codes.append(end.code)
    assert len(codes) >= 3
    assert set(codes) == {REQUEUE_CODE}
    assert "saved in epoch 1, after 2 batches; the same command goes on" in capsys.readouterr().err
    assert account(folder) == whole
    assert not (folder / CHECKPOINT_FILE).exists()


@pytest.mark.parametrize(("num_batches", "batch_size", "accum_grad"), [(3, 8, 2), (5, 5, 2), (5, 5, 3), (3, 8, 7)])
def test_gradients_of_too_few_batches_are_a_step_at_the_epochs_end(recipe, monkeypatch, num_batches, batch_size, accum_grad):
    write_fold(recipe.root, sessions=("1", "2", "3", "4"))  # 24 training utterances
    steps, step = [], torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda *args, **more: (steps.append(1), step(*args, **more))[1])

    def train():
        recipe.train(
            "ser", "--save_every_min", "0", "--args", f"--accum_grad {accum_grad} --batch_size {batch_size}", system="stl_n8"
        )

    train()
    assert len(steps) == 2 * -(-num_batches // accum_grad)
    folder = recipe.root / "exp/stl_n8/fold1"
    whole = account(folder)
    folder.rename(recipe.root / "whole")

    class Killed(BaseException):
        pass

    train_one_epoch = SERTrainer.train_one_epoch.__func__

    def killed_in_epoch_two(cls, *args, reporter, **more):
        if reporter.get_epoch() == 2:
            raise Killed
        return train_one_epoch(cls, *args, reporter=reporter, **more)

    with monkeypatch.context() as patch:  # at the end of the first epoch, whose checkpoint is all that is left
        patch.setattr(SERTrainer, "train_one_epoch", classmethod(killed_in_epoch_two))
        with pytest.raises(Killed):
            train()
    train()
    assert account(folder) == whole
    folder.rename(recipe.root / "killed")

    forward = SERModel.forward

    def asked_at_every_batch(model, **batch):
        if not STOP.asked:  # who asks again later insists, and has nothing saved
            os.kill(os.getpid(), signal.SIGTERM)
        return forward(model, **batch)

    monkeypatch.setattr(SERModel, "forward", asked_at_every_batch)
    num_stops = 0
    while not (folder / "done.json").exists():
        try:
            train()
        except SystemExit as end:
            num_stops += end.code == REQUEUE_CODE
    assert num_stops == len(steps) // 3  # the training has been done thrice by now
    assert account(folder) == whole


def flip(content: bytes) -> bytes:
    return content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 1]) + content[len(content) // 2 + 1 :]


@pytest.mark.parametrize("damage", [lambda content: content[:-100], flip], ids=["cut short", "a flipped bit"])
@pytest.mark.parametrize("within", [True, False], ids=["within an epoch", "between epochs"])
def test_damage_of_what_a_training_goes_on_from_is_one_line(recipe, asked, broken_after, capsys, within, damage):
    train = partial(recipe.train, "ser", "--save_every_min", "0", system="stl_n8")
    asked(2) if within else broken_after(1)
    with pytest.raises(SystemExit if within else Kill):
        train()
    checkpoint = recipe.root / "exp/stl_n8/fold1" / CHECKPOINT_FILE
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    assert "checkpoint.pth" in (message := refused(capsys, call=train))
    assert "damaged" in message
    assert "remove it to train this fold from its beginning" in message
    checkpoint.unlink()
    broken_after(2)
    train()


def test_a_checkpoint_that_holds_code_runs_none(recipe, tmp_path, broken_after, capsys):
    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    broken_after(1)
    with pytest.raises(Kill):
        recipe.train("ser", "--save_every_min", "0", system="stl_n8")
    checkpoint = recipe.root / "exp/stl_n8/fold1/checkpoint.pth"
    states = torch.load(checkpoint, weights_only=False)
    torch.save({**states, "harm": Harm()}, checkpoint)
    message = refused(capsys, "ser", call=lambda stage: recipe.train(stage, system="stl_n8"))
    assert "checkpoint.pth is damaged" in message
    assert not (tmp_path / "harm").exists()


def test_checkpoints_are_written_now_and_then_and_models_where_they_are_the_best(tmp_path, monkeypatch):
    """Of four epochs of 6, 6, 5 and 3 minutes, where ten minutes may be lost: after the second, and after the last."""
    written, now_s = [], [0.0]
    monkeypatch.setattr(epoch_files, "save_whole", lambda obj, path: written.append(Path(path).name))
    monkeypatch.setattr(epoch_files.time, "monotonic", lambda: now_s[0])
    options = SimpleNamespace(
        best_model_criterion=[("valid", "ua", "max")], keep_nbest_models=[1], max_epoch=4, save_every_min=10
    )
    files = EpochFiles(tmp_path, options)
    stats = {}
    for epoch, (minutes, ua) in enumerate([(6, 40.0), (6, 60.0), (5, 50.0), (3, 55.0)], 1):
        now_s[0] += 60.0 * minutes
        stats[epoch] = {"valid": {"ua": ua}}
        files.finish_epoch({"model": {}, "reporter": {"epoch": epoch, "stats": stats}})
        written.append(f"end of {epoch}")
    assert written == [
        *("1epoch.pth", "end of 1", "2epoch.pth", "checkpoint.pth", "end of 2", "end of 3"),
        *("4epoch.pth", "checkpoint.pth", "end of 4"),
    ]


@pytest.mark.parametrize(
    ("lost", "save_every_min"), [("4epoch.pth", 10), ("latest.pth", 10), ("valid.ua.best.pth", 0), (None, 0), (None, 10)]
)
def test_a_kill_loses_nothing(recipe, broken_after, monkeypatch, lost, save_every_min):
    """In the fourth epoch, or (where something is lost that comes after it) right after the last checkpoint."""
    train = partial(
        recipe.train, "ser", "--save_every_min", save_every_min, "--args", "--max_epoch 4 --optim_conf lr=3e-3", system="stl_n8"
    )
    train()
    folder = recipe.root / "exp/stl_n8/fold1"
    whole = account(folder)
    assert not (folder / CHECKPOINT_FILE).exists()
    folder.rename(recipe.root / "whole")
    if lost is None:
        broken_after(3)
    else:
        monkeypatch.setattr(experiment, "describe_environment", kill)
    with pytest.raises(Kill):
        train()
    monkeypatch.undo()
    assert (folder / CHECKPOINT_FILE).exists() == (lost is not None or save_every_min == 0)
    if lost is not None:
        (folder / lost).unlink()
    for epoch in range(1, 4):  # what would have been removed next
        if not (folder / f"{epoch}epoch.pth").exists():
            (folder / f"{epoch}epoch.pth").write_bytes(b"")
    train()
    assert account(folder) == whole


def test_equal_trainings_leave_equal_bytes(recipe):
    for tag in ("a", "b"):
        recipe.train("ser", "--tag", tag, system="stl_n8")
    a, b = (account(recipe.root / f"exp/stl_n8_{tag}/fold1") for tag in "ab")
    assert a == b


def test_outside_of_training_a_signal_ends_the_process_at_once():
    program = """
import os, signal, time
from espnet_ser.utils.signals import STOP
with STOP.handled():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(20)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == REQUEUE_CODE
    assert done.stderr == "SIGINT: what was finished before is saved; the same command goes on from there\n"


@pytest.mark.parametrize(
    "command", ["with STOP.handled(): os.kill(os.getpid(), signal.SIGTERM); time.sleep(20)", "main(['synthesize'])"]
)
def test_the_next_signal_of_a_request_does_not_change_the_status_of_a_process_that_ends(command):
    program = f"""
import atexit, os, signal, sys, time, types
from espnet_ser.bin.main import main
from espnet_ser.utils.signals import STOP

def command(_arguments):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(20)
    finally:
        os.kill(os.getpid(), signal.SIGINT)

sys.modules["espnet_ser.bin.synthesize"] = types.SimpleNamespace(main=command)
atexit.register(os.kill, os.getpid(), signal.SIGTERM)
atexit.register(os.kill, os.getpid(), signal.SIGINT)
{command}
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.returncode == (REQUEUE_CODE if "handled" in command else 128 + signal.SIGTERM)


def test_a_signal_within_a_callback_is_not_lost():
    program = """
import ctypes, os, signal, time
from espnet_ser.utils.signals import unwound_by_signals
with unwound_by_signals():
    ctypes.CFUNCTYPE(None)(lambda: os.kill(os.getpid(), signal.SIGTERM))()
    time.sleep(20)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 128 + signal.SIGTERM


def test_what_was_half_made_when_a_signal_came_does_not_complain():
    program = """
import os, signal
from espnet_ser.utils.signals import unwound_by_signals
class Thing:
    def __init__(self):
        os.kill(os.getpid(), {signum})
        self.key = 1
    def __del__(self):
        print(self.key)
{begin}
    Thing()
"""
    for signum, begin, complaint in (
        ("signal.SIGTERM", "with unwound_by_signals():", False),
        ("signal.SIGTERM", "@unwound_by_signals()\ndef main():\n    Thing()\nmain()\nif False:", False),
        ("0", "with unwound_by_signals():\n    thing = Thing.__new__(Thing)\n    del thing", True),
    ):
        code = program.format(signum=signum, begin=begin)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert ("Traceback" in done.stderr) == complaint
        assert done.returncode == (0 if complaint else 128 + signal.SIGTERM)


def test_signals_that_come_together_are_one_request_and_a_later_one_insists(monkeypatch):
    now_s = [100.0]
    monkeypatch.setattr("espnet_ser.utils.signals.time.monotonic", lambda: now_s[0])
    stop = StopRequest()
    with stop.handled(), stop.deferred():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.asked
        now_s[0] += SAME_S
        with pytest.raises(SystemExit) as end:
            os.kill(os.getpid(), signal.SIGTERM)
    assert end.value.code == REQUEUE_CODE


BUSY = """
import hashlib
from espnet_ser.utils.signals import ended_while_computing, unwound_by_signals
with unwound_by_signals(), ended_while_computing(after_s=0.1):
    print("computing", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)  # minutes, in which Python looks at no signal
"""


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_one_long_operation_does_not_keep_a_signal_waiting(signum):
    # A job in the background is started with SIGINT ignored, and what ignores a signal goes on.
    listening = partial(signal.signal, signum, signal.SIG_DFL)
    command = [sys.executable, "-c", BUSY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=listening) as process:
        try:
            assert process.stdout.readline() == "computing\n"
            process.send_signal(signum)
            assert process.wait(timeout=60) == 128 + signum
        finally:
            process.kill()


def test_what_ends_in_time_is_unwound():
    code = BUSY.replace("0.1", "30").replace('hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)', "import time; time.sleep(60)")
    code = code.replace("with unwound", "import atexit; atexit.register(print, 'unwound')\nwith unwound")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "computing\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "unwound\n"
        assert process.wait(timeout=60) == 128 + signal.SIGTERM

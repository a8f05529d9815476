"""Several processes that train together leave what one leaves, and end together."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from argparse import Namespace

import pytest
import torch
from account import account
from tiny_recipe import SYSTEM, refused

from espnet_ser.bin.train import get_parser
from espnet_ser.errors import InputError
from espnet_ser.evaluation.predictions import read_epochs
from espnet_ser.experiment import processes as ranks
from espnet_ser.experiment.processes import Ranks
from espnet_ser.model_io.weights import read_trained_weights
from espnet_ser.models.ser_model import SERModel
from espnet_ser.models.wav2vec2 import Wav2Vec2Encoder
from espnet_ser.train.history import read_history
from espnet_ser.utils.distributed import this_rank
from espnet_ser.utils.signals import REQUEUE_CODE

TWO = ("--ngpu", "2", "--dist_backend", "gloo")
DROPOUTS = ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout", "layerdrop")
CALM = json.dumps({**dict.fromkeys(DROPOUTS, 0.0), "apply_spec_augment": False})
# Where a gradient is next to nothing, AdamW divides it by as little: rounding would become a step of its own.
NOTHING_RANDOM = f"--dropout 0 --encoder_conf '{CALM}' --optim_conf lr=1e-4 --optim_conf eps=1e-5"


@pytest.fixture(autouse=True)
def _forked(monkeypatch):
    """Ranks that need not import everything anew; one test below starts them as users do."""
    monkeypatch.setattr(ranks, "START_METHOD", "fork")


SYSTEMS = {
    "words and gender": ("stage1", SYSTEM, "stage1/asr_gender_skip", ["--cache", "none"], ""),
    "a last batch of one utterance": ("ser", "mtl_asr", "mtl_asr", [], "--batch_size 5"),
    "accumulated gradients": ("ser", "mtl_gender", "mtl_gender", [], "--accum_grad 2"),
    "surgery and a probe": ("ser", "mtl_asr_pcgrad", "mtl_asr_pcgrad", [], "--gradient_every 2"),
}


@pytest.mark.parametrize("kind", SYSTEMS)
def test_two_processes_train_as_one_does(recipe, kind):
    """To 1e-5, where nothing is drawn at random: 16 training utterances, eight held out, an epoch of each two."""
    stage, system, name, options, args = SYSTEMS[kind]
    for tag, more in (("one", ()), ("two", TWO)):
        tags = ("--tag", tag, "--stage1_tag", tag)
        recipe.train(stage, *options, *tags, *more, "--args", f"{NOTHING_RANDOM} {args}", system=system)
    one, two = (recipe.root / "exp" / f"{name}_{tag}" / "fold1" for tag in ("one", "two"))
    weights, others = read_trained_weights(one), read_trained_weights(two)
    assert weights.keys() == others.keys()
    for parameter, tensor in weights.items():
        torch.testing.assert_close(others[parameter], tensor, rtol=0, atol=1e-5, msg=parameter)
    for record, other in zip(read_history(one), read_history(two), strict=True):
        for phase in ("train", "valid"):
            assert record[phase] == pytest.approx(other[phase], rel=1e-4, abs=1e-4)
    for lines, other_lines in zip(read_epochs(one), read_epochs(two), strict=True):
        assert [line["utt"] for line in lines] == [line["utt"] for line in other_lines]
        assert len({line["utt"] for line in lines}) == 8
        for line, other in zip(lines, other_lines, strict=True):
            assert line.keys() == other.keys()
            told = {task: of["scores"] for task, of in line.items() if task in ("emotion", "gender")}
            assert told
            for task, scores in told.items():
                assert scores == pytest.approx(other[task]["scores"], abs=1e-5)
    if "probe" in kind:
        records, other_records = (
            [json.loads(line) for line in (folder / "gradients.jsonl").read_text().splitlines()] for folder in (one, two)
        )
        for record, other in zip(records, other_records, strict=True):
            for pair, cosines in record["cosines"].items():
                assert cosines == pytest.approx(other["cosines"][pair], abs=1e-3)


@pytest.fixture
def at_step(monkeypatch):
    """Does something in one of the ranks, when so many batches have been given to its model."""

    def do(rank, count, action):
        given = []
        logits_of = SERModel.logits_of

        def count_batches(model, batch):
            given.append(1)
            if len(given) == count and this_rank() == rank:
                action()
            return logits_of(model, batch)

        monkeypatch.setattr(SERModel, "logits_of", count_batches)

    return do


def ask_this_process():
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(
    "more", [(), ("--args", "--encoder_conf layerdrop=0.3"), ("--ngpu", "3")], ids=["two", "drop", "three"]
)
def test_asked_to_end_they_save_together_and_go_on_to_the_bit(recipe, at_step, more, capfd):
    options = ("stage1", *TWO, *more)
    folder = recipe.root / "exp/stage1/asr_gender_skip/fold1"
    recipe.train(*options)
    whole = account(folder)
    folder.rename(recipe.root / "whole")
    # Each rank is given four training batches and one of validation in each of two epochs, anew in each attempt.
    at_step(rank=1, count=3, action=ask_this_process)
    num_stops = 0
    for _ in range(10):
        if (folder / "done.json").exists():
            break
        try:
            recipe.train(*options)
        except SystemExit as end:
            num_stops += end.code == REQUEUE_CODE
    assert num_stops == 3
    assert "saved in epoch 1, after 3 batches; the same command goes on" in capfd.readouterr().err
    assert account(folder) == whole


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("how", ["an error of the user's", "a fault", "killed"])
def test_one_that_fails_ends_all_and_says_why(recipe, at_step, capsys, rank, how):
    def fail():
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise InputError("this file is wrong") if how.startswith("an error") else ZeroDivisionError("division by zero")

    at_step(rank, 3, fail)
    started_s = time.monotonic()
    message = refused(capsys, "ser", *TWO, call=lambda *words: recipe.train(*words, system="stl_n8"))
    said = {
        "an error of the user's": ": this file is wrong",
        "a fault": ": ZeroDivisionError",
        "killed": " was killed by SIGKILL",
    }
    assert f"rank {rank} of 2 on {os.uname().nodename}{said[how]}" in message
    assert time.monotonic() - started_s < ranks.GRACE_S
    assert not multiprocessing.active_children()
    assert not (recipe.root / "exp/stl_n8/fold1/done.json").exists()


def test_what_is_frozen_is_computed_by_one_of_them(recipe, monkeypatch):
    outputs_at = Wav2Vec2Encoder.outputs_at

    def note(encoder, *arguments):
        with open(recipe.root / "computed", "a") as file:
            file.write(f"{this_rank()}\n")
        return outputs_at(encoder, *arguments)

    monkeypatch.setattr(Wav2Vec2Encoder, "outputs_at", note)
    recipe.train("ser", *TWO, system="stl_n0")
    assert set((recipe.root / "computed").read_text().split()) == {"0"}
    assert len(list((recipe.root / "dump/cache").glob("*/part-*.npy"))) == 1


def _train_on_machine(recipe, words):
    try:
        recipe.train("ser", *words, system="stl_n8")
    except SystemExit as end:
        (recipe.root / f"said{words[-1]}").write_text(str(end.code))


def on_two_machines(recipe, of_the_second=()):
    """As ``espnet2.bin.launch`` starts a process on each of two machines without a GPU."""
    meeting = f"file://{recipe.root}/meeting{time.monotonic_ns()}"
    launched = ("--ngpu", "0", "--multiprocessing_distributed", "true", "--dist_init_method", meeting)
    launched += ("--dist_backend", "gloo", "--dist_world_size", "2", "--dist_rank")
    fork = multiprocessing.get_context("fork")
    words = {0: (*launched, "0"), 1: (*of_the_second, *launched, "1")}
    machines = [fork.Process(target=_train_on_machine, args=(recipe, words[node])) for node in (1, 0)]
    for machine in machines:
        machine.start()
    for machine in machines:
        machine.join(300)
        assert machine.exitcode == 0


def test_two_machines_train_as_two_processes_do(recipe):
    on_two_machines(recipe)
    folder = recipe.root / "exp/stl_n8/fold1"
    across = account(folder)
    folder.rename(recipe.root / "across")
    recipe.train("ser", *TWO, system="stl_n8")
    assert account(folder) == across


def test_machines_hear_of_one_another_s_failures(recipe, at_step):
    def fail():
        raise InputError("this file is wrong")

    at_step(1, 3, fail)
    on_two_machines(recipe)
    for node in (0, 1):
        assert "rank 1 of 2 on " in (recipe.root / f"said{node}").read_text()
        assert "this file is wrong" in (recipe.root / f"said{node}").read_text()


def test_machines_hear_of_what_kept_one_from_beginning(recipe):
    on_two_machines(recipe, ("--stage2_args", "--no_such_option 1"))
    for node in (0, 1):
        assert "unknown ESPnet option '--no_such_option'" in (recipe.root / f"said{node}").read_text()


def test_started_as_users_do_a_training_saves_itself_and_says_so(recipe):
    train = [sys.executable, "-m", "espnet_ser", "train", "--stage", "ser", *recipe.where("stl_n8"), *recipe.with_what()]
    train += [*TWO, "--stage2_args", "--max_epoch 10000"]
    process = subprocess.Popen([str(word) for word in train], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    history = recipe.root / "exp/stl_n8/fold1/history.jsonl"
    try:
        while not history.exists() and process.poll() is None:
            time.sleep(0.2)
        process.terminate()
        _, error = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == REQUEUE_CODE, error
    assert error.count("the same command goes on from there") == 1
    assert "Traceback" not in error


def options(**given):
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    return get_parser().parse_args(["--stage", "ser", "--system", "stl", "--ssl", "x", *words])


def test_options_of_the_launcher_say_who_is_who(monkeypatch):
    assert Ranks.of(options()).total == 1
    several = Ranks.of(options(ngpu=4))
    assert (several.total, several.num_gpus, several.backend) == (4, 4, "nccl")
    on_cpus = Ranks.of(options(ngpu=2, dist_backend="gloo"))
    assert (on_cpus.total, on_cpus.num_gpus) == (2, 0)
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setenv("SLURM_NTASKS", "3")
    monkeypatch.setenv("SLURM_STEP_NUM_NODES", "3")
    meeting = {"dist_launcher": "slurm", "multiprocessing_distributed": "true", "dist_init_method": "file:///x/meeting"}
    on_slurm = Ranks.of(options(ngpu=2, **meeting))
    assert (on_slurm.node, on_slurm.num_nodes, on_slurm.total) == (1, 3, 6)
    args = on_slurm._rank_args(Namespace(seed=1), 1, "file:///x/meeting")
    assert (args.dist_rank, args.dist_world_size, args.local_rank, args.ngpu, args.dist_backend) == (3, 6, 1, 1, "nccl")
    by_ssh = Ranks.of(options(ngpu=1, dist_rank=2, dist_world_size=4, local_rank=3, dist_init_method="file:///x/meeting"))
    args = by_ssh._rank_args(Namespace(), 0, "file:///x/meeting")
    assert (args.dist_rank, args.dist_world_size, args.local_rank) == (2, 4, 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dist_world_size": 2}, "--dist_world_size needs --dist_rank"),
        ({"dist_world_size": 2, "dist_rank": 2}, "--dist_rank 2: there are 2 processes"),
        ({"dist_world_size": 2, "dist_rank": 1}, "several machines: where do they meet"),
        ({"dist_launcher": "slurm"}, "was not started by srun"),
        ({"dist_launcher": "pbs"}, "known are slurm and mpi"),
    ],
)
def test_what_makes_no_sense_is_refused(monkeypatch, given, message):
    for name in ("SLURM_PROCID", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match=message):
        Ranks.of(options(**given))

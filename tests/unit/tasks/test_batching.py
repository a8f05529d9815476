"""How long a training is, and what its scheduler makes of that."""

from argparse import Namespace

import pytest
import torch
from tiny_recipe import CONF

from espnet_ser.data.batches import compose_batches
from espnet_ser.tasks.batching import num_steps, with_length
from espnet_ser.train.espnet_patches import scheduler_classes
from espnet_ser.utils.yaml_mapping import read_yaml_mapping

LENGTHS = [16000 + 100 * index for index in range(33)]


def options(**changes):
    defaults = {"batch_type": "folded", "batch_size": 4, "batch_bins": 1, "accum_grad": 1, "max_epoch": 3, "seed": 0}
    return Namespace(**{**defaults, "scheduler": None, "scheduler_conf": {}, **changes})


@pytest.mark.parametrize(("accum_grad", "steps"), [(1, 3 * 9), (2, 3 * 5), (9, 3), (10, 3)])
def test_an_epochs_last_step_may_be_of_fewer_batches(accum_grad, steps):
    assert num_steps(options(accum_grad=accum_grad), LENGTHS) == steps


def test_epochs_that_are_cut_by_length_have_other_numbers_of_batches():
    bins = 40000
    by_epoch = [len(compose_batches(LENGTHS, None, bins, seed=0, epoch=epoch)) for epoch in (1, 2, 3)]
    assert num_steps(options(batch_type="numel", batch_bins=bins), LENGTHS) == sum(by_epoch)


@pytest.mark.parametrize(
    ("scheduler", "conf", "expected"),
    [
        (None, {}, {}),
        ("tristagelr", {"warmup_ratio": 0.1}, {"warmup_ratio": 0.1, "max_steps": 27}),
        ("tristagelr", {"max_steps": 5}, {"max_steps": 5}),
        ("onecyclelr", {"max_lr": 1.0}, {"max_lr": 1.0, "total_steps": 27}),
        ("onecyclelr", {"epochs": 2, "steps_per_epoch": 4}, {"epochs": 2, "steps_per_epoch": 4}),
        ("cosineannealinglr", {}, {"T_max": 3}),
        ("warmuplr", {"warmup_steps": 7}, {"warmup_steps": 7}),
    ],
)
def test_a_scheduler_is_told_how_long_the_training_is(scheduler, conf, expected):
    assert with_length(options(scheduler=scheduler, scheduler_conf=conf), LENGTHS) == expected


@pytest.mark.parametrize("name", ["train_stage1", "train_ser"])
@pytest.mark.parametrize("max_epoch", [4, 100])
def test_the_papers_rate_is_reached_after_a_tenth_of_all_steps_and_kept(name, max_epoch):
    config = read_yaml_mapping(CONF / f"{name}.yaml", missing="")
    args = options(**{key: config[key] for key in ("batch_size", "scheduler", "scheduler_conf")}, max_epoch=max_epoch)
    steps = max_epoch * 277
    conf = with_length(args, [16000] * 4425)
    assert conf["max_steps"] == steps
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], **config["optim_conf"])
    scheduler = scheduler_classes[config["scheduler"]](optimizer, **conf)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    rise = steps // 10
    assert rates[0] == pytest.approx(1e-4 * (0.01 + 0.99 / rise))
    assert rates[rise // 2] == pytest.approx(0.5e-4, rel=0.05)
    assert rates[rise - 2] < 1e-4 == max(rates)
    assert rates[rise - 1 :] == [1e-4] * (steps - rise + 1)

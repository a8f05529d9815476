import math

import pytest
import torch
from torch import nn

from espnet_ser.models.pcgrad import cosine_by_group, project_conflicts, surgery_loss, task_gradients


def gradients_of(**vectors):
    """Task -> {"w": gradient}."""
    return {task: {"w": torch.tensor(vector)} for task, vector in vectors.items()}


def network():
    """Two shared weights and a head of one weight for each of two tasks; their losses pull the shared ones apart.

    d emotion / d w = e * (1, 0) = (2, 0); d asr / d w = a * (-1, 1) = (-3, 3); d emotion / d e = w[0] = 4,
    d asr / d a = w[1] - w[0] = 1.
    """
    w = nn.Parameter(torch.tensor([4.0, 5.0]))
    e, a = nn.Parameter(torch.tensor(2.0)), nn.Parameter(torch.tensor(3.0))
    losses = {"emotion": e * w[0], "asr": a * (w[1] - w[0])}
    return losses, {"w": w}, {"e": e, "a": a}


def test_gradients_of_each_task_leave_grad_and_graph_alone():
    losses, shared, own = network()
    shared["w"].grad = torch.tensor([7.0, 7.0])
    gradients = task_gradients(losses, {**shared, **own})
    assert {task: {name: g.tolist() for name, g in named.items()} for task, named in gradients.items()} == {
        "emotion": {"w": [2.0, 0.0], "e": 4.0, "a": 0.0},
        "asr": {"w": [-3.0, 3.0], "e": 0.0, "a": 1.0},
    }
    assert shared["w"].grad.tolist() == [7.0, 7.0]
    assert own["e"].grad is None
    sum(losses.values()).backward()  # the graph is still there
    assert shared["w"].grad.tolist() == [6.0, 10.0]


def test_no_parameters_have_no_gradients():
    assert task_gradients(network()[0], {}) == {"emotion": {}, "asr": {}}


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1.0, 2.0], [3.0, 6.0], 1.0),
        ([1.0, 2.0], [-3.0, -6.0], -1.0),
        ([1.0, 2.0], [-2.0, 1.0], 0.0),
        ([1.0, 0.0], [-1.0, 1.0], -math.sqrt(0.5)),
        ([3e-30, 4e-30], [4e-30, 3e-30], 0.96),
        ([0.0, 0.0], [3.0, 6.0], None),
    ],
    ids=["parallel", "opposite", "orthogonal", "conflict", "tiny", "none"],
)
def test_cosine_of_two_gradients(first, second, expected):
    cosines = cosine_by_group(gradients_of(emotion=first, asr=second), lambda name: "1")
    for cosine in (cosines["emotion, asr"]["1"], cosines["emotion, asr"]["all"]):
        assert cosine is None if expected is None else cosine == pytest.approx(expected, abs=1e-7)
        assert cosine is None or abs(cosine) <= 1.0


def test_cosines_are_by_pair_and_group_in_order():
    names = ["layer2.a", "layer2.b", "layer1.a", "other"]
    emotion = dict(zip(names, torch.tensor([[3.0], [4.0], [1.0], [0.0]]), strict=True))
    asr = dict(zip(names, torch.tensor([[4.0], [3.0], [-2.0], [6.0]]), strict=True))
    gender = dict(zip(names, torch.tensor([[0.0], [0.0], [5.0], [1.0]]), strict=True))
    cosines = cosine_by_group(
        {"emotion": emotion, "asr": asr, "gender": gender}, lambda name: None if name == "other" else name.split(".")[0]
    )
    assert list(cosines) == ["emotion, asr", "emotion, gender", "asr, gender"]
    assert all(list(groups) == ["layer2", "layer1", "all"] for groups in cosines.values())
    assert cosines["emotion, asr"] == pytest.approx({"layer2": 24 / 25, "layer1": -1.0, "all": 22 / math.sqrt(26 * 65)})
    assert cosines["emotion, gender"] == {"layer2": None, "layer1": pytest.approx(1.0), "all": pytest.approx(5 / 26)}


def test_a_cosine_that_is_not_a_number_stays_one():
    cosines = cosine_by_group(gradients_of(emotion=[math.nan, 1.0], asr=[1.0, 1.0]), lambda name: None)
    assert math.isnan(cosines["emotion, asr"]["all"])


def test_conflicting_gradients_lose_their_components_along_each_other():
    # g1 . g2 = -1; g1 - (-1 / 2) g2 = (0.5, 0.5); g2 - (-1 / 1) g1 = (0, 1).
    assert project_conflicts(gradients_of(emotion=[1.0, 0.0], asr=[-1.0, 1.0]))["w"].tolist() == [0.5, 1.5]


def test_gradients_without_conflict_are_summed():
    combined = project_conflicts(gradients_of(emotion=[1.0, 0.0], asr=[0.3, 1.1], gender=[0.0, 0.7], style=[0.0, 0.0]))
    assert torch.equal(combined["w"], torch.tensor([[1.0, 0.0], [0.3, 1.1], [0.0, 0.7], [0.0, 0.0]]).sum(0))


def test_a_single_task_keeps_its_gradient():
    assert project_conflicts(gradients_of(emotion=[0.1, -0.7]))["w"].tolist() == torch.tensor([0.1, -0.7]).tolist()


def test_conflict_is_judged_over_all_parameters_together():
    # Opposed in a (-1) and agreed in b (+4): no conflict, though there is one in a.
    emotion = {"a": torch.tensor([1.0]), "b": torch.tensor([2.0])}
    asr = {"a": torch.tensor([-1.0]), "b": torch.tensor([2.0])}
    combined = project_conflicts({"emotion": emotion, "asr": asr})
    assert (combined["a"].item(), combined["b"].item()) == (0.0, 4.0)
    # Opposed on the whole (-2 + 1): both change in a and in b, g1 by g2 / 2, g2 by g1 / 5.
    emotion = {"a": torch.tensor([2.0]), "b": torch.tensor([1.0])}
    asr = {"a": torch.tensor([-1.0]), "b": torch.tensor([1.0])}
    combined = project_conflicts({"emotion": emotion, "asr": asr})
    assert combined["a"].item() == pytest.approx((2.0 - 0.5) + (-1.0 + 0.4))
    assert combined["b"].item() == pytest.approx((1.0 + 0.5) + (1.0 + 0.2))


THREE = {"emotion": [1.0, 0.0], "asr": [-1.0, 1.0], "gender": [-1.0, -3.0]}


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        # Products: g1.g2 = -1, g1.g3 = -1, g2.g3 = -2; squared norms 1, 2, 10. A task's projection meets the original others.
        # g1: + g2 / 2 = (0.5, 0.5); its product with g3 is -2: + 0.2 g3 = (0.3, -0.1).
        # g2: + g1 = (0, 1); with g3 -3: + 0.3 g3 = (-0.3, 0.1).
        # g3: + g1 = (0, -3); with g2 -3: + 1.5 g2 = (-1.5, -1.5).
        ([0, 1, 2], [0.3 - 0.3 - 1.5, -0.1 + 0.1 - 1.5]),
        # g1: + 0.1 g3 = (0.9, -0.3); with g2 -1.2: + 0.6 g2 = (0.3, 0.3).
        # g2: + 0.2 g3 = (-1.2, 0.4); with g1 -1.2: + 1.2 g1 = (0, 0.4).
        # g3: + g2 = (-2, -2); with g1 -2: + 2 g1 = (0, -2).
        ([2, 1, 0], [0.3 + 0.0 + 0.0, 0.3 + 0.4 - 2.0]),
    ],
)
def test_three_tasks_meet_in_the_order_that_is_drawn(monkeypatch, order, expected):
    monkeypatch.setattr(torch, "randperm", lambda n, generator=None: torch.tensor(order))
    assert project_conflicts(gradients_of(**THREE))["w"].tolist() == pytest.approx(expected, abs=1e-6)


def test_the_order_follows_the_seed_and_is_drawn_for_each_task():
    def combined(seed):
        torch.manual_seed(seed)
        return tuple(project_conflicts(gradients_of(**THREE))["w"].tolist())

    results = [combined(seed) for seed in range(40)]
    assert results == [combined(seed) for seed in range(40)]
    assert len({tuple(round(value, 4) for value in result) for result in results}) == 8  # two orders for each of three tasks
    generator = torch.Generator().manual_seed(7)
    torch.manual_seed(7)
    expected = project_conflicts(gradients_of(**THREE))["w"]
    assert torch.equal(project_conflicts(gradients_of(**THREE), generator)["w"], expected)


def test_surgery_loss_has_the_sums_value_and_the_projected_gradient():
    losses, shared, own = network()
    loss = surgery_loss(losses, shared, own)
    assert loss.item() == 2 * 4 + 3 * 1
    assert shared["w"].grad is None
    assert own["a"].grad is None
    loss.backward()
    # g1 = (2, 0), g2 = (-3, 3), product -6: g1 + 6 / 18 g2 = (1, 1); g2 + 6 / 4 g1 = (0, 3).
    assert shared["w"].grad.tolist() == pytest.approx([1.0, 4.0])
    assert (own["e"].grad.item(), own["a"].grad.item()) == (4.0, 1.0)


def test_surgery_loss_may_be_scaled_and_accumulated():
    losses, shared, own = network()
    for scale in (0.5, 1024.0):
        (scale * surgery_loss(losses, shared, own)).backward()
    assert shared["w"].grad.tolist() == pytest.approx([1024.5, 4 * 1024.5])
    assert own["e"].grad.item() == pytest.approx(4 * 1024.5)


@pytest.mark.parametrize("tasks", [["emotion"], ["asr"]])
def test_surgery_on_one_task_is_its_plain_gradient(tasks):
    losses, shared, own = network()
    surgery_loss({task: losses[task] for task in tasks}, shared, own).backward()
    expected, expected_shared, expected_own = network()
    expected[tasks[0]].backward()
    assert torch.equal(shared["w"].grad, expected_shared["w"].grad)
    for name, parameter in own.items():
        plain = expected_own[name].grad
        assert torch.equal(parameter.grad, torch.zeros([]) if plain is None else plain)


def test_surgery_without_shared_parameters_is_the_plain_gradient():
    losses, shared, own = network()
    surgery_loss(losses, {}, own).backward()
    assert shared["w"].grad is None
    assert (own["e"].grad.item(), own["a"].grad.item()) == (4.0, 1.0)


def test_surgery_on_tasks_that_agree_is_the_plain_gradient_of_a_network():
    torch.manual_seed(0)
    net, heads = nn.Sequential(nn.Linear(5, 7), nn.Tanh()), nn.ModuleDict({t: nn.Linear(7, 1) for t in ("emotion", "asr")})
    heads["asr"].load_state_dict({name: 2.0 * weight for name, weight in heads["emotion"].state_dict().items()})
    x = torch.randn(4, 5)
    shared, own = dict(net.named_parameters()), dict(heads.named_parameters())

    def losses():
        return {task: head(net(x)).mean() for task, head in heads.items()}

    plain = torch.autograd.grad(sum(losses().values()), [*shared.values(), *own.values()])
    ours = torch.autograd.grad(surgery_loss(losses(), shared, own), [*shared.values(), *own.values()])
    for gradient, expected in zip(ours, plain, strict=True):
        torch.testing.assert_close(gradient, expected)

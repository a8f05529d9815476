"""Conflicts between the tasks' gradients (Sec. 2.2): how to measure them, and gradient surgery (PCGrad), which removes them.

Two tasks conflict where the gradients of their losses point away from one another, that is, have a negative cosine similarity.
PCGrad (Yu et al., NeurIPS 2020, the paper's reference 25) takes from each task's gradient what conflicts with another task's.
A gradient here is a mapping of parameter names to tensors.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import combinations

import torch
from torch import Tensor, nn

from espnet_ser.utils.distributed import num_ranks, of_first_rank, sum_over_ranks

ALL = "all"


def task_gradients(losses: Mapping[str, Tensor], parameters: Mapping[str, nn.Parameter]) -> dict[str, dict[str, Tensor]]:
    """The gradient of each task's loss; ``.grad`` is left alone, and the losses can still be differentiated. ``losses``: task
    -> scalar. Where several processes train together, what each adds to the loss of the whole batch: the gradient is that of
    the sum; ``parameters``: trainable parameters by name. Returns task -> name -> gradient, shaped like the parameter; zero
    where the loss does not depend on it.

    >>> w = nn.Parameter(torch.tensor(3.0))
    >>> task_gradients({"emotion": w**2, "asr": -w}, {"w": w})
    {'emotion': {'w': tensor(6.)}, 'asr': {'w': tensor(-1.)}}
    """
    if not parameters:
        return {task: {} for task in losses}
    tensors = list(parameters.values())
    return {task: dict(zip(parameters, _gradient(loss, tensors), strict=True)) for task, loss in losses.items()}


def cosine_by_group(
    gradients: Mapping[str, Mapping[str, Tensor]], group_of: Callable[[str], str | None]
) -> dict[str, dict[str, float | None]]:
    """Cosine similarity of each two tasks' gradients, by group of parameters: negative where the tasks conflict. ``gradients``:
    from :func:`task_gradients`; ``group_of``: the group of a parameter, by its name, such as its layer; None for one that
    counts under ``all`` alone. Returns ``"emotion, asr"`` -> group -> cosine; None where one of the two has no gradient there.
    Pairs come in the tasks' order, groups in that of their first parameters, and last ``all``: every parameter together.

    >>> gradients = {"emotion": {"a": torch.tensor([1.0, 0.0])}, "asr": {"a": torch.tensor([-3.0, 0.0])}}
    >>> cosine_by_group(gradients, lambda name: None)
    {'emotion, asr': {'all': -1.0}}
    """
    groups: dict[str, list[str]] = {}
    names = list(next(iter(gradients.values()), ()))
    for name in names:
        group = group_of(name)
        assert group != ALL, f"{ALL!r} is every parameter together, not the group of {name}"
        if group is not None:
            groups.setdefault(group, []).append(name)
    groups[ALL] = names
    return {
        f"{first}, {second}": {
            group: _cosine(gradients[first], gradients[second], members) for group, members in groups.items()
        }
        for first, second in combinations(gradients, 2)
    }


def project_conflicts(
    gradients: Mapping[str, Mapping[str, Tensor]], generator: torch.Generator | None = None
) -> dict[str, Tensor]:
    """PCGrad: the sum of the tasks' gradients, each freed of what conflicts with the others.

    Each task's gradient g_i meets the other tasks' in random order. Where its product with g_j, as it was before any
    projection, is negative, it loses its component along g_j. Products run over all parameters together. ``gradients``: from
    :func:`task_gradients`, over the shared parameters; ``generator``: of the random order; PyTorch's global one where None.
    Returns name -> combined gradient; the plain sum where no tasks conflict.

    >>> gradients = {"emotion": {"w": torch.tensor([1.0, 0.0])}, "asr": {"w": torch.tensor([-1.0, 1.0])}}
    >>> project_conflicts(gradients)  # [0.5, 0.5] + [0, 1]
    {'w': tensor([0.5000, 1.5000])}
    """
    tasks = list(gradients.values())
    names = list(tasks[0])
    products = torch.tensor([[_inner(a, b, names) for b in tasks] for a in tasks], dtype=torch.float64)
    # A projected gradient is a weighted sum of the original ones: its weights, a row per task, are all there is to follow.
    weights = torch.eye(len(tasks), dtype=torch.float64)
    for i in range(len(tasks)):
        for j in torch.randperm(len(tasks), generator=generator).tolist():
            product = weights[i] @ products[:, j]
            if j != i and product < 0:
                weights[i, j] -= product / products[j, j]
    total = of_first_rank(weights).sum(0).tolist()  # each process has drawn an order of its own
    return {
        name: torch.stack([weight * task[name] for weight, task in zip(total, tasks, strict=True)]).sum(0) for name in names
    }


def surgery_loss(losses: Mapping[str, Tensor], shared: Mapping[str, nn.Parameter], own: Mapping[str, nn.Parameter]) -> Tensor:
    """The sum of the losses, with PCGrad's gradient for what the tasks share.

    The gradients are taken here, one backward pass per task. What is returned is linear in the parameters, with those gradients
    for slopes: its backward pass costs next to nothing, and scaling it (gradient accumulation, a ``GradScaler``) scales them.
    Being taken before any such scaling, they would underflow in float16: train in float32 or bfloat16. ``losses``: task ->
    scalar, weighted as it counts in the sum; see :func:`task_gradients`; ``shared``: the trainable parameters that the tasks
    share, by name: their gradient is :func:`project_conflicts`; ``own``: all other trainable parameters (the heads): their
    gradient is the plain sum's. Returns a scalar; its graph ends at ``shared`` and ``own``, and any other tensor gets no
    gradient.
    """
    total = torch.stack(list(losses.values())).sum().detach()
    parameters = {**shared, **own}
    gradients = task_gradients(losses, parameters)
    slopes = project_conflicts({task: {name: gradient[name] for name in shared} for task, gradient in gradients.items()})
    slopes |= {name: torch.stack([gradient[name] for gradient in gradients.values()]).sum(0) for name in own}
    linear = sum((parameter * slopes[name]).sum() for name, parameter in parameters.items())
    return total + (linear - linear.detach())  # the bracket is zero exactly: it adds a gradient and no value


def _gradient(loss: Tensor, tensors: list[Tensor]) -> list[Tensor]:
    """Over all processes that train together; in one message, since there are hundreds of tensors."""
    gradients = torch.autograd.grad(loss, tensors, retain_graph=True, materialize_grads=True)
    if num_ranks() == 1:
        return list(gradients)
    flat = sum_over_ranks(torch.cat([gradient.flatten() for gradient in gradients]))
    parts = flat.split([gradient.numel() for gradient in gradients])
    return [part.view_as(gradient) for part, gradient in zip(parts, gradients, strict=True)]


def _inner(first: Mapping[str, Tensor], second: Mapping[str, Tensor], names: Iterable[str]) -> float:
    """Inner product over the named parameters; in float64, where the squares of small gradients do not vanish."""
    return float(sum((first[name].double() * second[name].double()).sum() for name in names))


def _cosine(first: Mapping[str, Tensor], second: Mapping[str, Tensor], names: Iterable[str]) -> float | None:
    squares = _inner(first, first, names) * _inner(second, second, names)
    if squares == 0.0:
        return None
    cosine = _inner(first, second, names) / squares**0.5
    return cosine if abs(cosine) <= 1.0 else cosine / abs(cosine)  # rounding alone exceeds one

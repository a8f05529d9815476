"""What processes that train together ("ranks") tell one another; where a process trains alone, each of these is trivial."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import Tensor, distributed

LONGEST_WAIT = timedelta(days=7)
"""For what the first rank does alone. A rank that has died is noticed by whoever started it, not by waiting."""


def num_ranks() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if _together() else 1


def this_rank() -> int:
    """Which of them this one is, from 0; the first is the one that writes."""
    return distributed.get_rank() if _together() else 0


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """The sum of what each rank gives, all of one shape; every rank gets the same bits."""
    if num_ranks() > 1:
        tensor = tensor.clone()
        distributed.all_reduce(tensor)
    return tensor


def of_first_rank(tensor: Tensor) -> Tensor:
    """What the first rank gives, of the shape that every rank gives."""
    if num_ranks() > 1:
        there = tensor.to(_device())
        distributed.broadcast(there, src=0)
        tensor = there.to(tensor.device)
    return tensor


def any_rank(flag: bool) -> bool:
    """Whether any rank says so."""
    return bool(sum_over_ranks(torch.tensor(int(flag), device=_device())) > 0)


def of_all_ranks(item: object) -> list:
    """What each rank gives, in their order; every rank waits for all."""
    items = [item] * num_ranks()
    if num_ranks() > 1:
        distributed.all_gather_object(items, item)
    return items


@contextmanager
def first_rank_first() -> Iterator[None]:
    """The others run the body when the first rank has, however long it takes."""
    if num_ranks() == 1:
        yield
        return
    waiting = distributed.new_group(timeout=LONGEST_WAIT)
    if this_rank() > 0:
        distributed.barrier(waiting)
    yield
    if this_rank() == 0:
        distributed.barrier(waiting)
    distributed.destroy_process_group(waiting)


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _device() -> str:
    return "cuda" if _together() and distributed.get_backend() == "nccl" else "cpu"

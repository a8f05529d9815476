"""How large batches are, and how long a training is, which follows from that."""

from argparse import Namespace
from collections.abc import Sequence

from espnet_ser.data.batches import compose_batches
from espnet_ser.errors import InputError, unknown_name

NUM_STEPS = {
    "tristagelr": "max_steps",
    "onecyclelr": "total_steps",
    "exponentialdecaywarmup": "total_steps",
    "cosineannealingwarmuprestarts": "first_cycle_steps",
}
"""ESPnet's schedulers that want to know how many steps a training has -> what they call that."""

NUM_EPOCHS = {"cosineannealinglr": "T_max"}  # those that want to know how many epochs it has


def batch_limits(args: Namespace, mode: str) -> dict[str, int]:
    """How large batches are, as ESPnet's options say it: ``batch_size`` utterances, or ``batch_bins`` samples. ``args``:
    ``batch_type`` is ``folded``, for a number of utterances, or ``numel``, for one of samples; ``mode``: ``valid`` may have
    limits of its own. Raises InputError for another type of batches, or an empty batch.
    """
    types = {"folded": "batch_size", "numel": "batch_bins"}

    def option(name: str):
        own = getattr(args, f"valid_{name}") if mode == "valid" else None
        return getattr(args, name) if own is None else own

    batch_type = option("batch_type")
    if batch_type not in types:
        raise unknown_name("batch type", batch_type, types, where="--batch_type")
    limit = types[batch_type]
    value = option(limit)
    if type(value) is not int or value < 1:
        raise InputError(f"--{limit} must be a whole number from 1, not {value!r}")
    return {limit: value}


def num_steps(args: Namespace, num_samples: Sequence[int]) -> int:
    """How often a training changes its weights: in each epoch once for every ``accum_grad`` batches, and for those left.
    ``num_samples``: length of each training utterance.
    """
    limits = {"batch_size": None, **batch_limits(args, "train")}

    def of_epoch(epoch: int) -> int:
        return -(-len(compose_batches(num_samples, **limits, seed=args.seed, epoch=epoch)) // args.accum_grad)

    if limits["batch_size"] is not None:  # as many batches in every epoch
        return args.max_epoch * of_epoch(1)
    return sum(map(of_epoch, range(1, args.max_epoch + 1)))


def with_length(args: Namespace, num_samples: Sequence[int]) -> dict[str, object]:
    """A scheduler's settings, with the training's length where it takes it and it is not set. So a share of a
    training, such as the tenth in which the learning rate rises, stays that share when ``--max_epoch``, the batches or the
    corpus are others. ``num_samples``: length of each training utterance.
    """
    conf = args.scheduler_conf
    if args.scheduler in NUM_EPOCHS:
        return {NUM_EPOCHS[args.scheduler]: args.max_epoch, **conf}
    key = NUM_STEPS.get(args.scheduler)
    if key is None or key in conf or {"epochs", "steps_per_epoch"} & conf.keys():
        return conf
    return {key: num_steps(args, num_samples), **conf}

"""A pass of ESPnet's trainer over a loader, outside a whole training."""

from argparse import Namespace
from collections.abc import Iterable

import torch
from espnet2.train.distributed_utils import DistributedOption
from espnet2.train.reporter import Reporter
from espnet2.train.trainer import Trainer


class EspnetEpoch:
    """Runs a trainer class's own ``train_one_epoch``.

    Args:
        trainer: ESPnet's, or one derived from it.
        model: On its device.
        optimizers: As the task builds them.
        args: The task's options.
    """

    def __init__(self, trainer: type[Trainer], model: torch.nn.Module, optimizers: list, args: Namespace):
        self.trainer, self.model, self.optimizers = trainer, model, optimizers
        self.options = trainer.build_options(args)
        self.scaler = torch.cuda.amp.GradScaler() if args.use_amp else None
        self.reporter = Reporter()

    def run(self, loader: Iterable) -> None:
        """Trains on each batch, ``(utterance ids, tensors)``."""
        self.reporter.set_epoch(self.reporter.get_epoch() + 1)
        with self.reporter.observe("train") as reporter:
            self.trainer.train_one_epoch(
                model=self.model,
                iterator=loader,
                optimizers=self.optimizers,
                schedulers=[None],
                scaler=self.scaler,
                reporter=reporter,
                summary_writer=None,
                options=self.options,
                distributed_option=DistributedOption(),
            )


def command_of(options: dict[str, object]) -> list[str]:
    """Options as on a command line; a None is left out."""
    command = []
    for name, value in options.items():
        if value is not None:
            command += [f"--{name}", *(map(str, value) if isinstance(value, list) else [str(value)])]
    return command

"""All in which this package changes how ESPnet behaves, each with its reason; nothing else patches it.

- :func:`light_imports`: ``espnet2.tasks.abs_task`` imports the plots of attention weights, which bring a text-to-speech model
  with numba and scipy's statistics, and adapters, which bring the front ends of speech enhancement; and typeguard parses the
  source of each function to check the types of its arguments. That takes longer than importing torch. Functions that are hardly
  ever called import their module when they are, and ESPnet's types are not checked. An ESPnet that has moved these parts is
  imported whole.
- :func:`saving_by`: ESPnet's trainer calls ``torch.save`` for a model and a checkpoint after every epoch, in place.
- :func:`without_arguments`: ESPnet takes the defaults of its options from a parser that reads this process's command line.
- :func:`take_options_by`: ESPnet evaluates the value of an option that takes a mapping as Python before it reads it as YAML.
"""

import argparse
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import ModuleType
from unittest import mock

import torch

HARDLY_CALLED = {
    "espnet2.main_funcs.calculate_all_attentions": "calculate_all_attentions",
    "espnet2.layers.create_adapter": "create_adapter",
}
"""Module -> the function that ESPnet's trainer or base task imports from it."""


@contextmanager
def light_imports() -> Iterator[None]:
    """Imports in the body get stand-ins for :data:`HARDLY_CALLED`; imports after it the modules themselves."""
    import typeguard

    stand_ins = {module: _stand_in(module, name) for module, name in HARDLY_CALLED.items() if module not in sys.modules}
    typechecked = typeguard.typechecked
    sys.modules.update(stand_ins)
    typeguard.typechecked = lambda target: target
    try:
        yield
    finally:
        typeguard.typechecked = typechecked
        for module in stand_ins:
            del sys.modules[module]


def _stand_in(module: str, name: str) -> ModuleType:
    def call(*args, **kwargs):
        function: Callable = getattr(importlib.import_module(module), name)
        return function(*args, **kwargs)

    stand_in = ModuleType(module)
    setattr(stand_in, name, call)
    return stand_in


def saving_by(save: Callable) -> AbstractContextManager:
    """While the body runs, ``torch.save`` is ``save``."""
    return mock.patch.object(torch, "save", save)


def without_arguments() -> AbstractContextManager:
    """While the body runs, this process seems to have been called without options."""
    return mock.patch.object(sys, "argv", sys.argv[:1])


def take_options_by(new: type[argparse.Action], old: type[argparse.Action], parser: argparse.ArgumentParser) -> None:
    """Options of ESPnet's parser whose action is ``old`` have ``new``, a subclass of it, instead."""
    for action in parser._actions:
        if type(action) is old:
            action.__class__ = new


try:
    with light_imports():
        from espnet2.tasks.abs_task import AbsTask, optim_classes, scheduler_classes
        from espnet2.train.trainer import Trainer, TrainerOptions
except Exception:  # whatever comes of a stand-in in which another ESPnet looks for more
    from espnet2.tasks.abs_task import AbsTask, optim_classes, scheduler_classes
    from espnet2.train.trainer import Trainer, TrainerOptions

__all__ = ["AbsTask", "Trainer", "TrainerOptions", "optim_classes", "scheduler_classes"]
